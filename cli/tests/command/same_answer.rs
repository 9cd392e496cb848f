//! The same spikes, byte for byte, however a sort is run: threads, chunk size, killed and taken up again.

use std::path::{Path, PathBuf};

use crate::{
    data::simulate,
    run::{answer, assert_same, manifest, run, sort},
};

/// A drifting probe, so that motion is estimated and corrected detection runs too.
fn drifting(folder: &Path) -> PathBuf {
    simulate(
        folder,
        &[
            "--kind",
            "drift",
            "--channels",
            "16",
            "--units",
            "10",
            "--seconds",
            "6",
            "--seed",
            "2",
        ],
    )
}

#[test]
fn threads_and_chunk_size_do_not_change_the_answer() {
    let folder = tempfile::tempdir().unwrap();
    let recording = drifting(folder.path());
    let sorted = |name: &str, options: &[&str]| {
        let out = folder.path().join(name);
        run(sort(&recording, &out).args(options)).succeeds();
        answer(&out)
    };
    let one = sorted("one", &["--threads", "1", "--chunk-blocks", "1"]);
    assert!(
        one.contains_key("metrics.csv") && one.contains_key("motion.csv"),
        "{:?}",
        one.keys()
    );
    assert!(
        manifest(&folder.path().join("one"))["n_spikes"].as_u64() > Some(0),
        "nothing to compare"
    );
    assert_same(
        &one,
        &sorted("two", &["--threads", "2", "--chunk-blocks", "1"]),
        "2 threads",
    );
    assert_same(
        &one,
        &sorted("three", &["--threads", "2", "--chunk-blocks", "3"]),
        "3 blocks together",
    );
    // Sets of templates that are made again and again, as where memory is short.
    assert_same(
        &one,
        &sorted("few", &["--threads", "2", "--template-sets", "1"]),
        "one set of templates",
    );
    assert_same(
        &one,
        &sorted("anew", &["--threads", "2", "--no-whitened-file"]),
        "whitened anew in every pass",
    );
    assert_same(
        &one,
        &sorted("all", &["--threads", "1"]),
        "the default chunk",
    );
    assert_same(
        &one,
        &sorted("again", &["--threads", "1"]),
        "the same again",
    );
}

#[cfg(unix)]
pub(crate) mod signals {
    use std::{
        path::Path,
        process::{Child, Command, Stdio},
        time::Duration,
    };

    use super::*;
    use crate::run::partial_results;

    /// Starts a sort and waits until its events file holds `moment`; `None` when it ended before.
    pub(crate) fn started(mut command: Command, events: &Path, moment: &str) -> Option<Child> {
        command
            .arg("--events")
            .arg(events)
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let mut child = command.spawn().expect("the binary starts");
        loop {
            if std::fs::read_to_string(events).is_ok_and(|text| text.contains(moment)) {
                return Some(child);
            }
            if child.try_wait().expect("a child").is_some() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub(crate) fn signal(child: &Child, name: &str) {
        let sent = Command::new("kill")
            .args(["-s", name, &child.id().to_string()])
            .status()
            .expect("kill");
        assert!(sent.success());
    }

    #[test]
    fn a_killed_run_goes_on_and_gives_the_same_answer() {
        let folder = tempfile::tempdir().unwrap();
        let recording = drifting(folder.path());
        let undisturbed = folder.path().join("undisturbed");
        run(&mut sort(&recording, &undisturbed)).succeeds();
        let expected = answer(&undisturbed);

        for (moment, stages_done) in [
            (r#""stage_started","stage":"survey""#, 0),
            (r#""stage_done","stage":"detection""#, 2),
            (r#""progress","stage":"matching""#, 4),
            (r#""stage_started","stage":"last matching""#, 6),
            (r#""stage_done","stage":"waveforms""#, 7),
        ] {
            let out = folder.path().join("killed");
            let events = folder.path().join("events.jsonl");
            let mut child = started(sort(&recording, &out), &events, moment)
                .unwrap_or_else(|| panic!("the run ended before {moment}"));
            // What a batch system does last: no handler runs.
            signal(&child, "KILL");
            let status = child.wait().unwrap();
            // At the last moment the run may win the race; the answer is then complete.
            assert_eq!(
                out.exists(),
                status.success(),
                "{moment}: a result is whole or not there"
            );

            run(&mut sort(&recording, &out)).succeeds();
            assert_same(&expected, &answer(&out), moment);
            let resumed = manifest(&out)["stages"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|s| s["resumed"] == true)
                .count();
            assert!(
                status.success() || resumed >= stages_done,
                "{moment}: only {resumed} stages were taken up again"
            );
            assert_eq!(
                partial_results(&out),
                Vec::<String>::new(),
                "{moment}: left by the killed run"
            );
            assert!(
                !folder.path().join("killed.work").exists(),
                "the work folder goes after success"
            );
            std::fs::remove_dir_all(&out).unwrap();
            std::fs::remove_file(&events).unwrap();
        }
    }

    #[test]
    fn a_run_killed_again_and_again_comes_to_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let recording = drifting(folder.path());
        let undisturbed = folder.path().join("undisturbed");
        run(&mut sort(&recording, &undisturbed)).succeeds();
        let out = folder.path().join("killed");
        for milliseconds in [5, 50, 120, 250, 400] {
            let mut command = sort(&recording, &out);
            let mut child = command
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            std::thread::sleep(Duration::from_millis(milliseconds));
            child.kill().unwrap();
            child.wait().unwrap();
        }
        run(&mut sort(&recording, &out)).succeeds();
        assert_same(&answer(&undisturbed), &answer(&out), "killed five times");
    }

    #[test]
    fn signals_end_a_run_with_their_code_and_it_goes_on_later() {
        let folder = tempfile::tempdir().unwrap();
        let recording = drifting(folder.path());
        let undisturbed = folder.path().join("undisturbed");
        run(&mut sort(&recording, &undisturbed)).succeeds();
        let expected = answer(&undisturbed);
        for (name, code) in [("TERM", 143), ("INT", 130)] {
            let out = folder.path().join(name);
            let events = folder.path().join(format!("{name}.jsonl"));
            let mut child = started(
                sort(&recording, &out),
                &events,
                r#""stage_done","stage":"survey""#,
            )
            .unwrap();
            signal(&child, name);
            let mut stderr = String::new();
            std::io::Read::read_to_string(child.stderr.as_mut().unwrap(), &mut stderr).unwrap();
            assert_eq!(child.wait().unwrap().code(), Some(code), "{stderr}");
            assert!(
                stderr.contains("error: stopped on request\n\nhint: the same command goes on"),
                "{stderr}"
            );
            crate::run::nothing_left(&out);

            let ran = run(&mut sort(&recording, &out)).succeeds();
            assert!(
                ran.stderr.contains("from the work folder"),
                "{}",
                ran.stderr
            );
            assert_same(&expected, &answer(&out), name);
        }
    }
}
