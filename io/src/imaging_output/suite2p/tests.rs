//! The files by their bytes; that other programs open them is tested by `tests/writers/`.

use super::*;
use crate::imaging_output::traces::TraceArrays;
use crate::npy::{parse_header, read_npy};

const HEIGHT: usize = 6;
const WIDTH: usize = 8;

/// Calls `use_plane` with a plane of two overlapping cells and three frames.
fn with_plane(use_plane: impl FnOnce(Suite2pPlane)) {
    let image: Vec<f32> = (0..HEIGHT * WIDTH).map(|pixel| pixel as f32).collect();
    let settings = Suite2pSettings {
        n_channels: 2,
        ..Suite2pSettings::default()
    };
    let inputs = ["data/a.tif".to_owned()];
    let first = ([1i64, 1, 2], [1i64, 2, 2], [1.0f32, 2.0, 0.5]);
    let second = ([2i64, 3], [2i64, 2], [1.0f32, 1.0]);
    let roi = |ypix, xpix, lam| Suite2pRoi {
        ypix,
        xpix,
        lam,
        footprint: 0.0,
        skew: 1.5,
        std: 2.5,
        snr: 0.5,
        is_cell: true,
        probability: 0.75,
        more: &[("decay_time_s", 0.7), ("npix", -1.0)],
    };
    let rois = [
        roi(&first.0, &first.1, &first.2),
        roi(&second.0[..], &second.1[..], &second.2[..]),
    ];
    use_plane(Suite2pPlane {
        final_folder: Path::new("run/suite2p/plane0"),
        input_files: &inputs,
        plane: 0,
        height: HEIGHT,
        width: WIDTH,
        settings: &settings,
        mean_image: &image,
        mean_image_enhanced: &image,
        reference_image: &image,
        max_projection: &image,
        correlation_image: &image,
        y_range: [1, 5],
        x_range: [2, 7],
        shifts: &[[0.4, -0.6], [1.5, 0.0], [-2.5, 3.2]],
        shift_correlation: &[0.1, 0.2, 0.3],
        nonrigid: None,
        bad_frames: &[false, true, false],
        second_channel: None,
        rois: &rois,
    });
}

/// Traces of every kind for that many cells and three frames.
fn traces(values: &[f32], n_cells: usize) -> TraceArrays<'_> {
    let values = &values[..3 * n_cells];
    [
        TraceKind::Fluorescence,
        TraceKind::Neuropil,
        TraceKind::Spikes,
        TraceKind::Corrected,
        TraceKind::FluorescenceChannel2,
        TraceKind::NeuropilChannel2,
    ]
    .into_iter()
    .fold(TraceArrays::new(n_cells, 3), |traces, kind| {
        traces.with(kind, values)
    })
}

const VALUES: [f32; 6] = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];

#[test]
fn tables_have_their_shapes_and_values() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plane0");
    with_plane(|plane| write_suite2p_plane(&path, &plane, &mut traces(&VALUES, 2)).unwrap());
    for name in ["F.npy", "Fneu.npy", "spks.npy", "F_corrected.npy"] {
        let array = read_npy::<f32>(&path.join(name)).unwrap();
        assert_eq!((array.shape, &array.data[..]), (vec![2, 3], &VALUES[..]));
    }
    let is_cell = read_npy::<f64>(&path.join("iscell.npy")).unwrap();
    assert_eq!(is_cell.shape, [2, 2]);
    assert_eq!(is_cell.data, [1.0, 0.75, 1.0, 0.75]);
    let shifts = read_npy::<f32>(&path.join("shifts.npy")).unwrap();
    assert_eq!(shifts.data, [0.4, -0.6, 1.5, 0.0, -2.5, 3.2]);
    for name in ["db", "settings", "reg_outputs", "detect_outputs", "ops"] {
        let bytes = std::fs::read(path.join(format!("{name}.npy"))).unwrap();
        assert!(parse_header(&path, &bytes).unwrap().shape.is_empty());
    }
    assert!(!path.join("F_chan2.npy").exists());
}

#[test]
fn no_cells_is_a_valid_result() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plane0");
    with_plane(|mut plane| {
        plane.rois = &[];
        write_suite2p_plane(&path, &plane, &mut traces(&VALUES, 0)).unwrap();
    });
    let array = read_npy::<f32>(&path.join("F.npy")).unwrap();
    assert_eq!(array.shape, [0, 3]);
    assert_eq!(
        read_npy::<f64>(&path.join("iscell.npy")).unwrap().shape,
        [0, 2]
    );
    let bytes = std::fs::read(path.join("stat.npy")).unwrap();
    assert_eq!(parse_header(&path, &bytes).unwrap().shape, [0]);
}

#[test]
fn a_second_channel_adds_its_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plane0");
    with_plane(|mut plane| {
        plane.second_channel = Some(SecondChannel {
            mean_image: plane.mean_image,
            red_cells: Some(&[(true, 0.9), (false, 0.1)]),
        });
        write_suite2p_plane(&path, &plane, &mut traces(&VALUES, 2)).unwrap();
    });
    let red = read_npy::<f64>(&path.join("redcell.npy")).unwrap();
    assert_eq!(red.data, [1.0, 0.9, 0.0, 0.1]);
    for name in ["F_chan2.npy", "Fneu_chan2.npy"] {
        assert_eq!(read_npy::<f32>(&path.join(name)).unwrap().shape, [2, 3]);
    }
}

#[test]
fn cells_carry_their_shape_and_what_the_caller_adds() {
    with_plane(|plane| {
        let list = cell_list(&plane);
        let Value::Dict(entry) = &list[0] else {
            panic!("a cell is a dictionary")
        };
        let of = |key: &str| {
            let found: Vec<_> = entry.iter().filter(|(name, _)| name == key).collect();
            assert_eq!(found.len(), 1, "{key}");
            &found[0].1
        };
        let overlap = Array::new(&[3], Elements::Bool(vec![false, false, true]));
        assert_eq!(of("overlap"), &Value::Array(overlap));
        assert_eq!(of("med"), &Value::List(vec![1i64.into(), 2i64.into()]));
        // The medians of 3 and 2 pixels are 2.5.
        assert_eq!(of("npix_norm_no_crop"), &Value::Float32(1.2));
        assert_eq!(of("decay_time_s"), &Value::Float(0.7));
        assert_eq!(of("npix"), &Value::Int(3), "Suite2p's own keys are kept");
    });
}

#[test]
fn shifts_are_rounded_and_images_cropped() {
    with_plane(|plane| {
        let registration = registration(&plane);
        let of = |dict: &Dict<'static>, key: &str| {
            dict.iter().find(|(name, _)| name == key).unwrap().1.clone()
        };
        let yoff = Array::new(&[3], Elements::Int64(vec![0, 2, -3]));
        assert!(registration.contains(&("yoff".to_owned(), Value::Array(yoff))));
        let Value::Array(crop) = of(&detection(&plane), "Vcorr") else {
            panic!("an image is an array")
        };
        let expected: Vec<f32> = (1..5)
            .flat_map(|y| (2..7).map(move |x| (y * WIDTH + x) as f32))
            .collect();
        assert_eq!(crop, Array::new(&[4, 5], Elements::OwnedFloat32(expected)));
    });
}

#[test]
fn what_does_not_fit_is_one_sentence() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plane0");
    let message = |change: &dyn Fn(&mut Suite2pPlane), n_cells: usize| {
        let mut text = String::new();
        with_plane(|mut plane| {
            change(&mut plane);
            let error =
                write_suite2p_plane(&path, &plane, &mut traces(&VALUES, n_cells)).unwrap_err();
            text = error.to_string();
        });
        text
    };
    assert!(message(&|_| (), 1).contains("`cells of the traces` has 1 entries instead of 2"));
    assert!(message(&|plane| plane.mean_image = &[], 2).contains("`mean_image`"));
    assert!(message(&|plane| plane.y_range = [3, 3], 2).contains("`y_range` is 3 to 3"));
    assert!(message(&|plane| plane.x_range = [0, 9], 2).contains("of 8 pixels"));
    assert!(message(&|plane| plane.height = 2, 2).contains("instead of 16"));
    let roi = |ypix, lam| Suite2pRoi {
        ypix,
        xpix: &[1],
        lam,
        footprint: 0.0,
        skew: 0.0,
        std: 0.0,
        snr: 0.0,
        is_cell: false,
        probability: 0.0,
        more: &[],
    };
    for (roi, expected) in [
        (roi(&[6], &[1.0]), "row 6, column 1"),
        (roi(&[-1], &[1.0]), "row -1"),
        (roi(&[1], &[]), "0 weights"),
    ] {
        let rois: &[Suite2pRoi] = Box::leak(Box::new([roi]));
        let mut text = String::new();
        with_plane(|mut plane| {
            plane.rois = rois;
            let error = write_suite2p_plane(&path, &plane, &mut traces(&VALUES, 1)).unwrap_err();
            text = error.to_string();
        });
        assert!(text.contains(expected), "{text}");
    }
    assert!(!path.exists(), "nothing is written before all is checked");
}
