//! `somata validate` and `somata compare`.

use crate::{
    data::tetrode,
    run::{json, run, somata, sort},
};

#[test]
fn a_result_is_scored_against_its_truth_and_compared_with_itself() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();

    let table = run(somata().arg("validate").args([&out, &recording]))
        .succeeds()
        .stdout;
    assert!(table.starts_with("true units        5\n"), "{table}");
    let scores = json(
        &run(somata()
            .arg("validate")
            .args([&out, &recording])
            .arg("--json"))
        .succeeds()
        .stdout,
    );
    assert_eq!(scores["sorting"]["n_true"], 5);

    let comparison = json(
        &run(somata().arg("compare").args([&out, &out]).arg("--json"))
            .succeeds()
            .stdout,
    );
    assert_eq!(comparison["only_first"].as_array().unwrap().len(), 0);
    let table = run(somata().arg("compare").args([&out, &out.join("phy")]))
        .succeeds()
        .stdout;
    assert!(table.contains("mean agreement of 1.000"), "{table}");
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    for command in ["validate", "compare"] {
        let ran = run(somata()
            .arg(command)
            .arg(folder.path().join("nowhere"))
            .arg(&recording));
        ran.fails(3, &["nowhere"], &[]);
    }
}

#[test]
fn a_simulation_that_cannot_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let simulate = |options: &[&str]| run(somata().args(["simulate", "recording"]).args(options));
    let new = folder.path().join("new");
    let new = new.to_str().unwrap();
    simulate(&[new, "--kind", "utha"]).fails(2, &["utha", "utah"], &[]);
    simulate(&[new, "--kind", "tetrode", "--channels", "5"]).fails(2, &["n_channels"], &[]);
    simulate(&[new, "--seconds", "-1"]).fails_at_parsing("-1");
    simulate(&[recording.to_str().unwrap()]).fails(4, &["recording", "exist"], &[]);
    assert_eq!(
        folder.path().read_dir().unwrap().count(),
        1,
        "nothing but the first recording is there"
    );
}
