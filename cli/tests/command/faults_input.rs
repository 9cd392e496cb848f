//! Inputs that are cut, changed or taken away while they are read, checkpoints that are damaged, clocks that run backwards.

use std::{
    io::Read,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    data::tetrode,
    movies::{image, imaging_answer, small, small_pages, tiff, write},
    run::{Ran, answer, assert_same, manifest, nothing_left, run, somata, sort},
};

/// Lets a run come to a moment of its events, does something while it stands still, and lets it go on to its end.
#[cfg(unix)]
pub(crate) fn meanwhile(command: Command, events: &Path, moment: &str, what: impl FnOnce()) -> Ran {
    use crate::same_answer::signals::{signal, started};
    // Those of an earlier run hold the moment already.
    let _ = std::fs::remove_file(events);
    let mut child =
        started(command, events, moment).unwrap_or_else(|| panic!("the run ended before {moment}"));
    signal(&child, "STOP");
    stands_still(child.id());
    what();
    signal(&child, "CONT");
    let mut stderr = String::new();
    let pipe = child.stderr.as_mut().expect("a pipe");
    pipe.read_to_string(&mut stderr).expect("UTF-8");
    Ran {
        code: child.wait().expect("a child").code(),
        stdout: String::new(),
        stderr,
    }
}

/// Waits until no thread of a process that was told to stop runs any more.
#[cfg(unix)]
fn stands_still(process: u32) {
    let stopped = |state: String| {
        let after_name = state.rsplit_once(") ").map(|(_, rest)| rest.to_owned());
        after_name.is_none_or(|rest| rest.starts_with('T'))
    };
    for _ in 0..1000 {
        let Ok(threads) = std::fs::read_dir(format!("/proc/{process}/task")) else {
            // Not Linux: long enough on a machine that is not overloaded.
            std::thread::sleep(std::time::Duration::from_millis(100));
            return;
        };
        let mut states = threads
            .flatten()
            .filter_map(|thread| std::fs::read_to_string(thread.path().join("stat")).ok());
        if states.all(stopped) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    panic!("the process does not stand still");
}

#[cfg(unix)]
#[test]
fn a_recording_that_is_cut_changed_or_removed_while_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    run(&mut sort(&recording, &out)).succeeds();
    let expected = answer(&out);
    std::fs::remove_dir_all(&out).unwrap();
    let data = recording.join("recording.bin");
    let whole = std::fs::read(&data).unwrap();
    let events = folder.path().join("events.jsonl");
    let surveyed = r#""stage_started","stage":"detection""#;

    let ran = meanwhile(sort(&recording, &out), &events, surveyed, || {
        let file = std::fs::OpenOptions::new().write(true).open(&data).unwrap();
        file.set_len(whole.len() as u64 / 3).unwrap();
    });
    // The first pass may have read it all by then: whitened data are kept, and what is missing is noticed when they have been used.
    let (what, hint) = if ran.stderr.contains("truncated") {
        ("truncated", "copy")
    } else {
        ("was changed while it was read", "same command")
    };
    ran.fails(3, &["recording.bin", what], &[hint]);
    nothing_left(&out);

    std::fs::write(&data, &whole).unwrap();
    let ran = meanwhile(sort(&recording, &out), &events, surveyed, || {
        let mut changed = whole.clone();
        changed[whole.len() / 2] ^= 0x10;
        std::fs::write(&data, changed).unwrap();
    });
    ran.fails(
        3,
        &["recording.bin", "was changed while it was read"],
        &["same command"],
    );
    nothing_left(&out);

    // Nothing that was read of the changed file is taken up: not in the run to its end, and not after it.
    std::fs::write(&data, &whole).unwrap();
    let ran = meanwhile(sort(&recording, &out), &events, surveyed, || {
        // An open file can be read although its name is gone.
        std::fs::remove_file(&data).unwrap();
    });
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_same(&expected, &answer(&out), "removed");
    let warnings = manifest(&out)["warnings"].to_string();
    assert!(
        warnings.contains("was removed during the run"),
        "{warnings}"
    );
}

#[cfg(unix)]
#[test]
fn a_movie_that_is_cut_changed_or_removed_while_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let out = folder.path().join("out");
    let whole = std::fs::read(&movie).unwrap();
    let events = folder.path().join("events.jsonl");
    let begins = r#""stage_started","stage":"cells""#;

    let ran = meanwhile(image(&movie, &out), &events, begins, || {
        let file = std::fs::OpenOptions::new()
            .write(true)
            .open(&movie)
            .unwrap();
        file.set_len(whole.len() as u64 / 2).unwrap();
    });
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);
    ran.fails(3, &["movie.tif"], &[]);
    nothing_left(&out);

    std::fs::write(&movie, &whole).unwrap();
    let ran = meanwhile(image(&movie, &out), &events, begins, || {
        let mut changed = whole.clone();
        // Within the first block that the fingerprint looks at.
        changed[1000] ^= 0x10;
        std::fs::write(&movie, changed).unwrap();
    });
    ran.fails(
        3,
        &["movie.tif", "was changed while it was read"],
        &["same command"],
    );
    nothing_left(&out);

    // Of many files, one that is opened late.
    let parts = folder.path().join("parts");
    std::fs::create_dir(&parts).unwrap();
    let pages = small_pages(300);
    for (k, part) in pages.chunks(3).enumerate() {
        write(&parts, &format!("{k:03}.tif"), &tiff(part));
    }
    let ran = meanwhile(image(&parts, &out), &events, begins, || {
        std::fs::remove_dir_all(&parts).unwrap();
    });
    match ran.code {
        Some(0) => {
            let warnings = manifest(&out)["warnings"].to_string();
            assert!(
                warnings.contains("was removed during the run"),
                "{warnings}"
            );
        }
        _ => {
            ran.fails(3, &[".tif", "does not exist"], &[]);
            nothing_left(&out);
        }
    }
}

/// Runs with the work folder kept, damages each of its files in several ways, and asserts that the same command gives the same
/// bytes and takes up no stage whose file was damaged.
fn damaged_one_by_one(
    command: impl Fn() -> Command,
    out: &Path,
    answer: impl Fn() -> std::collections::BTreeMap<String, Vec<u8>>,
) {
    run(command().arg("--keep-work")).succeeds();
    let expected = answer();
    let taken_up = || {
        std::fs::remove_dir_all(out).unwrap();
        run(command().arg("--keep-work")).succeeds();
        let stages = manifest(out)["stages"].as_array().unwrap().clone();
        stages
            .iter()
            .filter(|stage| stage["resumed"] == true)
            .count()
    };
    let stages = taken_up();
    let checkpoints = out.with_file_name("out.work").join("checkpoints");
    let mut files: Vec<PathBuf> = checkpoints
        .read_dir()
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(stages > 0 && files.len() >= stages, "{files:?}");
    type Damage = fn(&mut Vec<u8>);
    let damages: [(&str, Damage); 4] = [
        ("one bit", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }),
        ("the last bit", |bytes| *bytes.last_mut().unwrap() ^= 1),
        ("cut", |bytes| bytes.truncate(bytes.len() * 2 / 3)),
        ("empty", |bytes| bytes.clear()),
    ];
    for (k, file) in files.iter().enumerate() {
        let whole = std::fs::read(file).unwrap();
        let (how, damage) = damages[k % damages.len()];
        let name = file.file_name().unwrap().to_str().unwrap();
        let how = format!("{name}, {how}");
        let mut bytes = whole.clone();
        damage(&mut bytes);
        std::fs::write(file, &bytes).unwrap();
        let resumed = taken_up();
        assert_same(&expected, &answer(), &how);
        assert!(
            resumed < stages,
            "{how}: {resumed} of {stages} stages were taken up"
        );
        assert_eq!(std::fs::read(file).unwrap(), whole, "{how}: made again");
    }
    // All of it at once: garbage where checkpoints were.
    for file in &files {
        std::fs::write(file, b"no checkpoint at all, but longer than a checksum is").unwrap();
    }
    std::fs::remove_dir_all(out).unwrap();
    run(&mut command()).succeeds();
    assert_same(&expected, &answer(), "all files");
}

#[test]
fn damaged_checkpoints_of_a_sort_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    damaged_one_by_one(|| sort(&recording, &out), &out, || answer(&out));
}

#[test]
fn damaged_checkpoints_of_a_movie_are_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let movie = small(folder.path());
    let out = folder.path().join("out");
    damaged_one_by_one(|| image(&movie, &out), &out, || imaging_answer(&out));
}

/// A library that stands between a program and the clock, which then jumps hours forth and back.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
const JUMPING_CLOCK: &str = r#"
use std::sync::atomic::{AtomicI64, Ordering};
#[repr(C)]
pub struct Time { s: i64, ns: i64 }
unsafe extern "C" { fn syscall(number: i64, ...) -> i64; }
static CALLS: AtomicI64 = AtomicI64::new(0);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: i32, time: *mut Time) -> i32 {
    let code = unsafe { syscall(228, i64::from(clock), time) } as i32;
    let calls = CALLS.fetch_add(1, Ordering::Relaxed);
    if code == 0 { unsafe { (*time).s += 3600 * (calls % 5); } }
    code
}
"#;

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
#[test]
fn a_clock_that_jumps_changes_nothing_but_the_durations() {
    let folder = tempfile::tempdir().unwrap();
    let source = write(folder.path(), "clock.rs", JUMPING_CLOCK.as_bytes());
    let library = folder.path().join("libclock.so");
    let built = Command::new("rustc")
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "cdylib",
            "-C",
            "panic=abort",
            "-o",
        ])
        .args([&library, &source])
        .output();
    if !built.is_ok_and(|built| built.status.success()) {
        println!("ignored: `rustc` cannot make a library here");
        return;
    }
    let recording = tetrode(folder.path());
    let movie = small(folder.path());
    let out = folder.path().join("out");
    for (command, is_sort) in [(sort(&recording, &out), true), (image(&movie, &out), false)] {
        let answer_of = |out: &Path| match is_sort {
            true => answer(out),
            false => imaging_answer(out),
        };
        let again = || {
            let mut again = somata();
            again.args(command.get_args());
            again
        };
        run(&mut again()).succeeds();
        let expected = answer_of(&out);
        std::fs::remove_dir_all(&out).unwrap();
        run(again().env("LD_PRELOAD", &library)).succeeds();
        assert_same(&expected, &answer_of(&out), "a jumping clock");
        let manifest = manifest(&out);
        let stages = manifest["stages"].as_array().unwrap();
        let seconds = stages.iter().map(|stage| &stage["seconds"]);
        let mut jumped = false;
        for seconds in seconds.chain([&manifest["seconds"]]) {
            let seconds = seconds.as_f64().expect("a number");
            assert!(seconds >= 0.0 && seconds.is_finite());
            jumped |= seconds == 0.0 || seconds > 3000.0;
        }
        assert!(jumped, "the clock did not jump");
        std::fs::remove_dir_all(&out).unwrap();
    }
}
