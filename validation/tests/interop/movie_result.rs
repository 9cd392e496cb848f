//! Does a result of `somata image` open in numpy, tifffile and roifile, and do its files agree with each other?

use std::path::Path;

/// Simulates a movie, takes it to cells and has the result opened.
fn opens(simulate: &[&str], image: &[&str], has_cells: bool) {
    let Some((python, somata)) = super::tools() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let (movie, result) = (folder.path().join("movie"), folder.path().join("result"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let (made, result) = (text(&movie), text(&result));
    super::run(&somata, &[&["simulate", "movie", &made], simulate].concat());
    let movie = text(&movie.join("movie.tif"));
    let common = ["image", &movie, "--out", &result, "--keep-movie"];
    let quietly = ["--device", "cpu", "--quiet"];
    super::run(&somata, &[&common[..], &quietly, image].concat());
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/interop/open_movie_result.py"
    );
    let said = super::run(&python, &[script, &result]);
    println!("{said}");
    assert!(said.contains("all agree"), "{said}");
    assert_eq!(!said.starts_with("0 cells"), has_cells, "{said}");
    super::nwb_opens(&python, &somata, &result);
}

#[test]
fn cells_of_two_planes_open() {
    opens(
        &[
            "--kind", "small", "--planes", "2", "--size", "96", "--frames", "200", "--cells", "14",
            "--seed", "4",
        ],
        &["--frame-rate", "30", "--n-planes", "2"],
        true,
    );
}

#[test]
fn a_movie_without_cells_opens() {
    opens(
        &[
            "--kind", "small", "--size", "64", "--frames", "100", "--cells", "0", "--seed", "6",
        ],
        &["--frame-rate", "30"],
        false,
    );
}
