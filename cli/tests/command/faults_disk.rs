//! Disks that fill, folders that go away, two runs on one output: the right exit code, nothing half, and the same bytes later.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    data::tetrode,
    movies::{image, imaging_answer, small},
    run::{Ran, answer, assert_same, nothing_left, run, somata, sort},
};

fn with_tetrode() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let out = folder.path().join("out");
    (folder, recording, out)
}

/// Asserts exit code 4 and one error with a hint.
#[track_caller]
fn refused_by_the_disk(ran: &Ran, what: &[&str], hint: &[&str]) {
    let quiet = Ran {
        code: ran.code,
        stdout: String::new(),
        stderr: ran.stderr.clone(),
    };
    quiet.fails(4, what, hint);
}

/// Runs a shell script where `$disk` may be mounted; `None` where the system does not allow that.
#[cfg(target_os = "linux")]
fn in_own_mounts(script: &str, disk: &Path, command: &Command) -> Option<Ran> {
    // The same mount that the script will make, to know whether it may.
    crate::bad_input::with_file_system(disk, "size=16k", &Command::new("true"))?;
    let mut isolated = Command::new("unshare");
    isolated
        .args(["--mount", "--map-root-user", "sh", "-c"])
        .arg(format!("disk=$0; set -u\n{script}"))
        .arg(disk)
        .arg(command.get_program())
        .args(command.get_args())
        .env("NO_COLOR", "1");
    Some(run(&mut isolated))
}

/// A disk of its own in a file, with a file system that becomes read-only when it meets an error, as most are set up to.
#[cfg(target_os = "linux")]
struct FailingDisk {
    image: PathBuf,
    place: PathBuf,
}

#[cfg(target_os = "linux")]
impl FailingDisk {
    /// Makes and mounts it; `None`, with a line that says so, where the system does not allow that (without root, mostly).
    fn new(folder: &Path) -> Option<Self> {
        let disk = Self {
            image: folder.join("disk.img"),
            place: folder.join("disk"),
        };
        std::fs::create_dir(&disk.place).unwrap();
        let file = std::fs::File::create(&disk.image).unwrap();
        file.set_len(96 << 20).unwrap();
        let made = Command::new("mkfs.ext4")
            .args(["-q", "-F"])
            .arg(&disk.image)
            .output();
        if made.is_ok_and(|made| made.status.success()) && disk.mount() && disk.trigger().exists() {
            return Some(disk);
        }
        println!("ignored: no file system can be mounted here and made to fail");
        None
    }

    fn mount(&self) -> bool {
        let mounted = Command::new("mount")
            .args(["-o", "loop,errors=remount-ro"])
            .args([&self.image, &self.place])
            .output();
        mounted.is_ok_and(|mounted| mounted.status.success())
    }

    fn unmount(&self) {
        let _ = Command::new("umount").arg(&self.place).output();
    }

    /// The kernel's own switch for an error of this file system.
    fn trigger(&self) -> PathBuf {
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap();
        let place = format!(" {} ", self.place.display());
        let device = mounts
            .lines()
            .find(|line| line.contains(&place))
            .and_then(|line| {
                let name = line.split(' ').next()?.strip_prefix("/dev/")?;
                Some(format!("/sys/fs/ext4/{name}/trigger_fs_error"))
            });
        PathBuf::from(device.unwrap_or_default())
    }

    fn fail(&self) {
        std::fs::write(self.trigger(), "1").unwrap();
        let refused = std::fs::write(self.place.join("a"), "b").unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
    }

    /// As after the repair of such a disk: of a copy, since a test in mounts of its own may hold this one still.
    fn repair(&mut self) {
        self.unmount();
        let copy = self.image.with_added_extension("again");
        std::fs::copy(&self.image, &copy).unwrap();
        std::fs::remove_file(&self.image).unwrap();
        self.image = copy;
        let _ = Command::new("e2fsck")
            .args(["-fy"])
            .arg(&self.image)
            .output();
        assert!(self.mount(), "the disk comes back");
    }
}

#[cfg(target_os = "linux")]
impl Drop for FailingDisk {
    fn drop(&mut self) {
        self.unmount();
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_becomes_read_only_during_the_run() {
    use crate::faults_input::meanwhile;
    let (folder, recording, out) = with_tetrode();
    let movie = small(folder.path());
    let Some(mut disk) = FailingDisk::new(folder.path()) else {
        return;
    };
    run(&mut sort(&recording, &out)).succeeds();
    let expected = answer(&out);
    std::fs::remove_dir_all(&out).unwrap();
    let events = folder.path().join("events.jsonl");
    let work = folder.path().join("work");
    // The work folder, the output, and the work folder of a movie; at a moment when there is something to lose.
    let place = disk.place.clone();
    let on_disk = |name: &str| place.join(name);
    let sorted = |out: &Path, work: &Path| {
        let mut command = sort(&recording, out);
        command.arg("--work").arg(work);
        command
    };
    let detected = r#""stage_started","stage":"detection""#;

    let ran = meanwhile(sorted(&out, &on_disk("work")), &events, detected, || {
        disk.fail();
    });
    refused_by_the_disk(
        &ran,
        &["could not write", "Read-only"],
        &["read-only", "same command"],
    );
    assert!(!out.exists());
    disk.repair();
    run(&mut sorted(&out, &on_disk("work"))).succeeds();
    assert_same(
        &expected,
        &answer(&out),
        "its work folder's disk was read-only",
    );
    // What had not reached the disk is lost with it and made again, so that nothing is asked of what was taken up.

    let ran = meanwhile(sorted(&on_disk("out"), &work), &events, detected, || {
        disk.fail();
    });
    refused_by_the_disk(&ran, &["cannot write", "Read-only"], &["can be written"]);
    disk.repair();
    assert!(!on_disk("out").exists());
    run(&mut sorted(&on_disk("out"), &work)).succeeds();
    assert_same(
        &expected,
        &answer(&on_disk("out")),
        "its disk was read-only",
    );

    let imaged = |work: &Path| {
        let mut command = image(&movie, &folder.path().join("imaged"));
        command.arg("--work").arg(work);
        command
    };
    let begins = r#""stage_started","stage":"cells""#;
    let ran = meanwhile(imaged(&on_disk("movie")), &events, begins, || disk.fail());
    refused_by_the_disk(&ran, &["Read-only"], &["read-only", "same command"]);
    assert!(!folder.path().join("imaged").exists());
    disk.repair();
    run(&mut imaged(&on_disk("movie"))).succeeds();
}

#[cfg(target_os = "linux")]
#[test]
fn a_disk_that_is_full_at_any_write_of_the_result() {
    let (folder, recording, out) = with_tetrode();
    run(&mut sort(&recording, &out)).succeeds();
    let expected = answer(&out);
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mut command = sort(&recording, &disk.join("out"));
    // Every run but the first takes its stages from here, so that only the writing is left.
    command.arg("--work").arg(folder.path().join("work"));
    // At first a disk with room, twice, since a run that goes on from the work folder has less to tell in its manifest: what the
    // result takes. That much is a page too few, which the lock takes meanwhile, and the page is missed at the manifest, which is
    // written last. Then ever smaller disks.
    let script = r#"
        mount -t tmpfs -o size=64m none "$disk" || exit 99
        "$@" 2>/dev/null || exit 98
        rm -r "$disk/out"
        "$@" 2>/dev/null || exit 98
        used=$(df -k --output=used "$disk" | tail -1)
        umount "$disk"
        for size in $used $((used - 4)) $((used * 3 / 4)) $((used / 2)) $((used / 4)) 16 8 4; do
            mount -t tmpfs -o size="${size}k" none "$disk" || exit 97
            "$@" 2>"$disk/../stderr"
            echo "$? $(ls -A "$disk" | wc -l) $(tr '\n' ' ' < "$disk/../stderr")"
            umount "$disk"
        done
        mount -t tmpfs -o size="$((used + 16))k" none "$disk" || exit 96
        "$@" 2>/dev/null || exit 95
        cp -r "$disk/out" "$disk/../copy"
    "#;
    let Some(ran) = in_own_mounts(script, &disk, &command) else {
        return;
    };
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert_eq!(ran.stdout.lines().count(), 8, "{}", ran.stdout);
    for line in ran.stdout.lines() {
        assert!(line.starts_with("4 0 "), "code 4 and nothing left: {line}");
        for part in ["error: ", "No space left", "hint: ", "free some space"] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
    assert!(
        ran.stdout.lines().next().unwrap().contains("manifest.json"),
        "0 bytes free at the manifest: {}",
        ran.stdout
    );
    assert_same(
        &expected,
        &answer(&folder.path().join("copy")),
        "room again",
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_work_folder_that_fills_again_and_again() {
    let (folder, recording, out) = with_tetrode();
    run(&mut sort(&recording, &out)).succeeds();
    let sorted = answer(&out);
    let movie = small(folder.path());
    let imaged = folder.path().join("imaged");
    run(&mut image(&movie, &imaged)).succeeds();
    let cells = imaging_answer(&imaged);
    std::fs::remove_dir_all(&out).unwrap();
    std::fs::remove_dir_all(&imaged).unwrap();

    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    // More room after every failure, and the same command: it goes on from what it has.
    let script = r#"
        size=16
        mount -t tmpfs -o size="${size}k" none "$disk" || exit 99
        while true; do
            "$@" 2>"$disk/../stderr"
            code=$?
            echo "$code $(tr '\n' ' ' < "$disk/../stderr")"
            [ "$code" -eq 4 ] || exit "$code"
            size=$((size * 2))
            mount -o remount,size="${size}k" "$disk" || exit 98
        done
    "#;
    for (mut command, result) in [
        (sort(&recording, &out), &out),
        (image(&movie, &imaged), &imaged),
    ] {
        command.arg("--work").arg(disk.join("work"));
        let Some(ran) = in_own_mounts(script, &disk, &command) else {
            return;
        };
        assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
        let lines: Vec<&str> = ran.stdout.lines().collect();
        let (last, failures) = lines.split_last().unwrap();
        assert!(
            failures.len() >= 3 && last.starts_with("0 "),
            "{}",
            ran.stdout
        );
        for line in failures {
            assert!(
                line.contains("No space left") && line.contains("then resumes"),
                "{line}"
            );
        }
        let same = match result == &out {
            true => (&sorted, answer(result)),
            false => (&cells, imaging_answer(result)),
        };
        assert_same(same.0, &same.1, "after many failures");
    }
}

#[cfg(unix)]
#[test]
fn a_limit_on_the_size_of_files_is_as_good_as_a_full_disk() {
    let (folder, recording, out) = with_tetrode();
    run(&mut sort(&recording, &out)).succeeds();
    let sorted = answer(&out);
    let movie = small(folder.path());
    let imaged = folder.path().join("imaged");
    run(&mut image(&movie, &imaged)).succeeds();
    let cells = imaging_answer(&imaged);
    for (command, result) in [
        (sort(&recording, &out), &out),
        (image(&movie, &imaged), &imaged),
    ] {
        std::fs::remove_dir_all(result).unwrap();
        let mut failures = 0;
        // In units of 512 bytes: from less than any file to more than the largest.
        let mut limit = 1;
        loop {
            let mut limited = Command::new("sh");
            limited
                .args(["-c", "ulimit -c 0; ulimit -f \"$0\"; exec \"$@\""])
                .arg(limit.to_string())
                .arg(command.get_program())
                .args(command.get_args())
                .env("NO_COLOR", "1");
            let ran = run(&mut limited);
            if ran.code == Some(0) {
                break;
            }
            refused_by_the_disk(&ran, &["File too large"], &["ulimit -f"]);
            nothing_left(result);
            failures += 1;
            limit *= 4;
            assert!(limit < 1 << 22, "no file is that large");
        }
        assert!(failures >= 3, "{failures} failures");
        match result == &out {
            true => assert_same(&sorted, &answer(result), "limits"),
            false => assert_same(&cells, &imaging_answer(result), "limits"),
        }
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_events_file_costs_a_warning_and_a_full_stdout_is_told() {
    let (_folder, recording, out) = with_tetrode();
    let ran = run(sort(&recording, &out).args(["--events", "/dev/full"])).succeeds();
    let told = ran
        .stderr
        .matches("events file can no longer be written")
        .count();
    assert_eq!(told, 1, "{}", ran.stderr);

    let full = std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut info = somata();
    info.args(["info", "--json"]).arg(&recording).stdout(full);
    let output = info.output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(4), "{stderr}");
    assert!(
        stderr.contains("error: could not write to standard output"),
        "{stderr}"
    );
}

#[cfg(unix)]
mod meanwhile {
    use super::*;
    use crate::{
        faults_input::meanwhile,
        run::{manifest, partial_results},
    };

    #[test]
    fn a_work_or_output_folder_that_is_removed_during_the_run() {
        let (folder, recording, out) = with_tetrode();
        run(&mut sort(&recording, &out)).succeeds();
        let expected = answer(&out);
        std::fs::remove_dir_all(&out).unwrap();
        let events = folder.path().join("events.jsonl");
        let begins = r#""stage_started","stage":"survey""#;

        let work = folder.path().join("out.work");
        let ran = meanwhile(sort(&recording, &out), &events, begins, || {
            std::fs::remove_dir_all(&work).unwrap();
        });
        ran.fails(
            4,
            &["could not write", "out.work"],
            &["removed", "the same command"],
        );
        nothing_left(&out);

        let ran = meanwhile(sort(&recording, &out), &events, begins, || {
            let partial = partial_results(&out);
            let folder_of = |name: &&String| !name.ends_with(".lock");
            let name = partial.iter().find(folder_of).expect("a partial result");
            std::fs::remove_dir_all(folder.path().join(name)).unwrap();
        });
        ran.fails(4, &["cannot write", ".out.partial-"], &["folder exists"]);
        nothing_left(&out);

        run(&mut sort(&recording, &out)).succeeds();
        assert_same(&expected, &answer(&out), "after both");
        let resumed = manifest(&out)["stages"][0]["resumed"].clone();
        assert_eq!(resumed, true, "what was finished is kept");
    }

    #[test]
    fn of_two_runs_on_one_output_the_second_is_refused() {
        let (folder, recording, out) = with_tetrode();
        run(&mut sort(&recording, &out)).succeeds();
        let expected = answer(&out);
        std::fs::remove_dir_all(&out).unwrap();
        let events = folder.path().join("events.jsonl");
        let other_work = folder.path().join("other.work");
        let first = sort(&recording, &out);
        let moment = r#""stage_started","stage":"survey""#;
        let ran = meanwhile(first, &events, moment, || {
            // By the work folder, which is the same by default, and by the output, whatever the parameters.
            run(&mut sort(&recording, &out)).fails(
                4,
                &["out.work", "in use by process"],
                &["wait"],
            );
            for options in [&[][..], &["--force"], &["--set", "matching.sweeps=2"]] {
                let mut second = sort(&recording, &out);
                second.arg("--work").arg(&other_work).args(options);
                run(&mut second).fails(4, &["`", "/out` is in use by process"], &["wait"]);
                assert!(!other_work.exists(), "nothing to go on from");
            }
        });
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        assert_same(&expected, &answer(&out), "the first of two");
        assert_eq!(partial_results(&out), Vec::<String>::new());
    }
}
