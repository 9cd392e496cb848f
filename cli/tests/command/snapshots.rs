//! What the command says, word for word: each `--help`, and the errors that users meet first.
//!
//! A file of `snapshots/` holds exit code, stdout and stderr of one command line, after the filters of [`filtered`]. A change of words
//! is then seen in review. `SOMATA_UPDATE_SNAPSHOTS=1 cargo test -p somata --test command snapshots` writes them anew.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
};

use crate::{
    data::tetrode,
    run::{nothing_left, run, somata},
};

/// Commands and the commands below them.
const COMMANDS: [&[&str]; 19] = [
    &[],
    &["demo"],
    &["sort"],
    &["image"],
    &["segment"],
    &["simulate"],
    &["simulate", "recording"],
    &["simulate", "movie"],
    &["validate"],
    &["compare"],
    &["match"],
    &["convert"],
    &["info"],
    &["devices"],
    &["bench"],
    &["params"],
    &["completions"],
    &["man"],
    &["rerun"],
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/command/snapshots")
}

/// Text without what differs between machines and releases.
fn filtered(text: &str, here: &Path) -> String {
    let text = text
        .replace(&here.display().to_string(), "HERE")
        .replace(env!("CARGO_PKG_VERSION"), "VERSION")
        .replace("somata.exe", "somata");
    // Help ends some lines with blanks, which an editor would take away.
    let lines = text.lines().map(str::trim_end);
    let lines: Vec<&str> = lines
        .map(|line| {
            if line.starts_with("needs  ") {
                "needs      DEPENDS ON THE CORES"
            } else {
                line
            }
        })
        .collect();
    lines.join("\n")
}

/// Runs a command and compares with the file of that name.
#[track_caller]
fn says(name: &str, command: &mut Command, here: &Path) {
    says_at(name, command, here, 100);
}

/// As [`says`], for a terminal with so many columns.
#[track_caller]
pub fn says_at(name: &str, command: &mut Command, here: &Path, columns: usize) {
    // The help is as wide as the terminal, which is none here.
    let ran = run(command.env("COLUMNS", columns.to_string()));
    matches_file(name, ran.code, &ran.stdout, &ran.stderr, here);
}

/// Compares what a command gave with the file of that name.
#[track_caller]
pub fn matches_file(name: &str, code: Option<i32>, stdout: &str, stderr: &str, here: &Path) {
    let found = format!(
        "exit code {}\n\n== stdout\n{}\n\n== stderr\n{}\n",
        code.expect("no signal ended it"),
        filtered(stdout, here),
        filtered(stderr, here)
    );
    let path = folder().join(format!("{name}.txt"));
    if std::env::var_os("SOMATA_UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(folder()).unwrap();
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    // A checkout on Windows may have other ends of lines.
    let expected = expected.replace("\r\n", "\n");
    assert!(
        found == expected,
        "`{}` is no longer what the command says. It says:\n{found}\nIf that is meant, run the tests with SOMATA_UPDATE_SNAPSHOTS=1.",
        path.display()
    );
}

/// Name of the file of a command's help.
fn help_name(command: &[&str]) -> String {
    std::iter::once("help")
        .chain(command.iter().copied())
        .collect::<Vec<_>>()
        .join("-")
}

#[test]
fn the_help_of_every_command_is_as_it_was() {
    let here = tempfile::tempdir().unwrap();
    for command in COMMANDS {
        says(
            &help_name(command),
            somata().args(command).arg("--help"),
            here.path(),
        );
    }
    // A command that is added is added above as well.
    let listed = run(somata().arg("--help")).succeeds().stdout;
    let commands = listed.split("Commands:").nth(1).unwrap();
    let commands = commands.split("Options:").next().unwrap();
    let listed: BTreeSet<&str> = commands
        .lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    let known: BTreeSet<&str> = COMMANDS.iter().filter_map(|c| c.first().copied()).collect();
    assert_eq!(listed, known);
}

#[test]
fn errors_that_users_meet_first_are_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let recording = tetrode(here);
    let out = here.join("out");
    let bare = here.join("bare.dat");
    std::fs::write(&bare, [0; 64]).unwrap();
    let text = here.join("notes.txt");
    std::fs::write(&text, "no recording").unwrap();
    let taken = here.join("taken");
    std::fs::create_dir(&taken).unwrap();
    std::fs::write(taken.join("mine"), "mine").unwrap();
    let sort = |input: &Path, more: &[&str]| {
        let mut command = somata();
        command.arg("sort").arg(input).arg("--out").arg(&out);
        command.args(["--device", "cpu"]).args(more);
        command
    };
    let image = |input: &Path, more: &[&str]| {
        let mut command = somata();
        command.arg("image").arg(input).arg("--out").arg(&out);
        command.args(["--device", "cpu"]).args(more);
        command
    };
    let set = |setting: &str| sort(&recording, &["--set", setting]);
    let mut into_taken = somata();
    into_taken
        .arg("sort")
        .arg(&recording)
        .arg("--out")
        .arg(&taken);
    let mut convert = somata();
    convert.arg("convert").arg(&taken).args(["--to", "nwb"]);
    for (name, mut command) in [
        ("error-no-command", somata()),
        ("error-command-typo", {
            let mut command = somata();
            command.arg("srot");
            command
        }),
        ("error-option-typo", sort(&recording, &["--devise", "cpu"])),
        ("error-no-recording", sort(&here.join("none.bin"), &[])),
        ("error-not-a-recording", sort(&text, &[])),
        ("error-bare-binary", sort(&bare, &[])),
        ("error-parameter-typo", set("clustering.min_spike=20")),
        ("error-parameter-stage-typo", set("clusterin.min_spikes=20")),
        ("error-parameter-range", set("clustering.min_spikes=-1")),
        ("error-parameter-no-equals", set("clustering.min_spikes")),
        ("error-result-exists", into_taken),
        ("error-no-movie", image(&here.join("none.tif"), &[])),
        ("error-not-a-movie", image(&text, &[])),
        (
            "error-imaging-parameter-typo",
            image(&text, &["--set", "registration.corect=false"]),
        ),
        ("error-nothing-to-convert", convert),
    ] {
        says(name, &mut command, here);
        nothing_left(&out);
    }
}

#[test]
fn colour_comes_where_it_is_asked_for_and_not_where_it_is_refused() {
    let coloured = |variables: &[(&str, &str)]| {
        let mut command = somata();
        command.env_remove("NO_COLOR").arg("--help");
        command.envs(variables.iter().copied());
        run(&mut command).succeeds().stdout.contains('\u{1b}')
    };
    assert!(!coloured(&[]), "stdout is no terminal here");
    assert!(coloured(&[("CLICOLOR_FORCE", "1")]));
    assert!(!coloured(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")]));
}

#[test]
fn every_snapshot_belongs_to_a_test() {
    let source = concat!(
        include_str!("snapshots.rs"),
        include_str!("drawing.rs"),
        include_str!("told.rs"),
    );
    for entry in folder().read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let is_help = COMMANDS.iter().any(|command| help_name(command) == name);
        assert!(
            // Those of `info` are named by what they are of.
            is_help || name.starts_with("told-info-") || source.contains(&format!("\"{name}\"")),
            "no test has `{name}`"
        );
    }
}
