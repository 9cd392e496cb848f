//! The same cells and traces, byte for byte, however a movie is processed: threads, chunk size, killed and taken up again.

use std::{collections::BTreeMap, path::Path};

use crate::{
    movies::{image, imaging_answer, small},
    run::{assert_same, manifest, run},
};

/// What a run with `options` gives. Results name their own place, so that all of them are made at the same one.
fn answer_at(movie: &Path, out: &Path, options: &[&str]) -> BTreeMap<String, Vec<u8>> {
    run(image(movie, out).args(options)).succeeds();
    assert!(
        manifest(out)["n_cells"].as_u64() > Some(0),
        "nothing to compare"
    );
    let answer = imaging_answer(out);
    std::fs::remove_dir_all(out).unwrap();
    answer
}

#[test]
fn threads_and_chunk_size_do_not_change_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let out = folder.path().join("out");
    let with = |options: &[&str]| answer_at(&movie, &out, &[options, &["--keep-movie"]].concat());
    let one = with(&["--threads", "1", "--chunk-blocks", "1"]);
    for name in [
        "suite2p/plane0/F.npy",
        "suite2p/plane0/stat.npy",
        "registered.tif",
        "masks.tif",
    ] {
        assert!(one.contains_key(name), "{name} is not in {:?}", one.keys());
    }
    for options in [
        &["--threads", "2", "--chunk-blocks", "1"][..],
        &["--threads", "2", "--chunk-blocks", "3"],
        &["--threads", "1", "--chunk-blocks", "1000"],
        &["--threads", "2"],
        &["--threads", "1"],
    ] {
        assert_same(&one, &with(options), &options.join(" "));
    }
}

#[cfg(unix)]
mod signals {
    use std::process::Stdio;

    use super::*;
    use crate::{
        run::{nothing_left, partial_results},
        same_answer::signals::{signal, started},
    };

    #[test]
    fn a_killed_run_goes_on_and_gives_the_same_answer() {
        let folder = tempfile::tempdir().unwrap();
        let movie = small(folder.path());
        let out = folder.path().join("out");
        for (moment, options, stages_done) in [
            (r#""stage_started","stage":"registration""#, &[][..], 0),
            (r#""progress","stage":"registration""#, &[], 0),
            (r#""stage_done","stage":"registration""#, &[], 1),
            (r#""stage_started","stage":"traces""#, &[], 2),
            (r#""progress","stage":"traces""#, &[], 2),
            // The registered movie is only there when its pass is made: that stage is made again.
            (r#""progress","stage":"traces""#, &["--keep-movie"], 2),
            (r#""stage_done","stage":"traces""#, &["--keep-movie"], 2),
            (r#""stage_started","stage":"spikes""#, &[], 3),
            (r#""stage_done","stage":"spikes""#, &[], 4),
        ] {
            let how = format!("killed at {moment} {options:?}");
            let expected = answer_at(&movie, &out, options);
            let events = folder.path().join("events.jsonl");
            let with_options = || {
                let mut command = image(&movie, &out);
                command.args(options);
                command
            };
            let mut child = started(with_options(), &events, moment)
                .unwrap_or_else(|| panic!("the run ended before {moment}"));
            // What a batch system does last: no handler runs.
            signal(&child, "KILL");
            let status = child.wait().unwrap();
            // At the last moment the run may win the race; the answer is then complete.
            assert_eq!(out.exists(), status.success(), "{how}: whole or not there");

            run(&mut with_options()).succeeds();
            assert_same(&expected, &imaging_answer(&out), &how);
            let stages = manifest(&out)["stages"].clone();
            let resumed = |stage: &&serde_json::Value| stage["resumed"] == true;
            let n_resumed = stages.as_array().unwrap().iter().filter(resumed).count();
            assert!(
                status.success() || n_resumed >= stages_done,
                "{how}: only {n_resumed} stages were taken up again"
            );
            assert_eq!(partial_results(&out), Vec::<String>::new(), "{how}");
            assert!(
                !folder.path().join("out.work").exists(),
                "{how}: the work folder stays"
            );
            std::fs::remove_dir_all(&out).unwrap();
            std::fs::remove_file(&events).unwrap();
        }
    }

    #[test]
    fn a_run_killed_again_and_again_comes_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let movie = small(folder.path());
        let out = folder.path().join("out");
        let expected = answer_at(&movie, &out, &[]);
        for milliseconds in [5, 60, 150, 300, 500, 800] {
            let mut command = image(&movie, &out);
            let quiet = command.stdout(Stdio::null()).stderr(Stdio::null());
            let mut child = quiet.spawn().unwrap();
            std::thread::sleep(std::time::Duration::from_millis(milliseconds));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        run(&mut image(&movie, &out)).succeeds();
        assert_same(&expected, &imaging_answer(&out), "killed six times");
        assert_eq!(partial_results(&out), Vec::<String>::new());
    }

    #[test]
    fn signals_end_a_run_with_their_code_and_it_goes_on_later() {
        let folder = tempfile::tempdir().unwrap();
        let movie = small(folder.path());
        let out = folder.path().join("out");
        let expected = answer_at(&movie, &out, &[]);
        for (name, code) in [("TERM", 143), ("INT", 130)] {
            let events = folder.path().join(format!("{name}.jsonl"));
            let done = r#""stage_done","stage":"registration""#;
            let mut child = started(image(&movie, &out), &events, done).unwrap();
            signal(&child, name);
            let mut stderr = String::new();
            std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut stderr).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(code), "{stderr}");
            assert!(
                stderr.contains("error: stopped on request\n\nhint: the same command goes on"),
                "{stderr}"
            );
            nothing_left(&out);

            let ran = run(&mut image(&movie, &out)).succeeds();
            assert!(
                ran.stderr.contains("from the work folder"),
                "{}",
                ran.stderr
            );
            assert_same(&expected, &imaging_answer(&out), name);
            std::fs::remove_dir_all(&out).unwrap();
        }
    }
}
