//! Does a simulated movie open in tifffile and numpy, with the values that were meant?

use somata_validation::simulate::movie::{MovieKind, MovieSpec, SimulatedMovie, write_movie};

const OPEN: &str = r#"
import sys, json, numpy, tifffile
folder = sys.argv[1]
pages = tifffile.imread(folder + "/movie.tif")
truth = numpy.load(folder + "/plane1/truth.npz")
print(json.dumps(dict(
    shape=pages.shape, dtype=str(pages.dtype), sum_of_page_7=int(pages[7].astype("i8").sum()),
    types={name: str(truth[name].dtype) for name in ("masks", "bodies", "active", "calcium", "spikes", "visible", "shift_y", "shift_x", "fs")},
    n_body_pixels=int(truth["bodies"].sum()), n_spikes=int(truth["spikes"].sum()), shapes=[truth["masks"].shape, truth["shift_y"].shape],
)))
"#;

#[test]
fn a_simulated_volume_opens_in_tifffile_and_numpy() {
    let Some(python) = std::env::var_os("SOMATA_PYTHON") else {
        return super::ignored(
            "set SOMATA_PYTHON to a Python with the packages of validation/tests/interop/requirements.txt",
        );
    };
    let spec = MovieSpec {
        height: 48,
        width: 65,
        n_frames: 6,
        n_planes: 2,
        n_cells: 5,
        n_vessels: 0,
        ..MovieSpec::new(MovieKind::Volume)
    };
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("movie");
    write_movie(&spec, &folder, &mut |_| ()).unwrap();
    let output = super::run(
        std::path::Path::new(&python),
        &["-c", OPEN, folder.to_str().unwrap()],
    );
    let found: serde_json::Value = serde_json::from_str(&output).unwrap();

    let movie = SimulatedMovie::new(&spec).unwrap();
    let truth = movie.truth().of_plane(1);
    // Page 7 is the second plane of frame 3.
    let sum: i64 = movie
        .frame(1, 3)
        .iter()
        .map(|&count| i64::from(count))
        .sum();
    let n_body_pixels: usize = truth.bodies.iter().map(|body| body.pixels.len()).sum();
    let n_spikes: i64 = truth.spikes.iter().flatten().map(|&n| i64::from(n)).sum();
    assert_eq!(
        found,
        serde_json::json!({
            "shape": [12, 48, 65], "dtype": "int16", "sum_of_page_7": sum,
            "types": {
                "masks": "float16", "bodies": "bool", "active": "bool", "calcium": "float32", "spikes": "int16",
                "visible": "float64", "shift_y": "float32", "shift_x": "float32", "fs": "float64",
            },
            "n_body_pixels": n_body_pixels, "n_spikes": n_spikes,
            "shapes": [[truth.n_cells(), 48, 65], [6]],
        })
    );
}
