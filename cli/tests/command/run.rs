//! Runs the binary and judges what it said and left.

use std::{
    collections::BTreeMap,
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

/// What a run of the binary gave.
pub struct Ran {
    /// Exit code; `None` when a signal ended the process.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// The binary, without what the caller's environment would change in it. `SOMATA_BINARY` names another one, as a release build
/// for runs by hand.
pub fn somata() -> Command {
    let binary = std::env::var_os("SOMATA_BINARY");
    let mut command = Command::new(binary.unwrap_or_else(|| env!("CARGO_BIN_EXE_somata").into()));
    command
        .stdin(Stdio::null())
        .env("NO_COLOR", "1")
        .env_remove("SLURM_CPUS_PER_TASK")
        // Mesa's Vulkan driver complains on stderr, with `error:`, where this is not set.
        .env("XDG_RUNTIME_DIR", std::env::temp_dir());
    command
}

/// `somata sort RECORDING --out OUT --device cpu`. Few spikes make a unit here, since the recordings are short.
pub fn sort(recording: &Path, out: &Path) -> Command {
    let mut command = somata();
    command.arg("sort").arg(recording).arg("--out").arg(out);
    command.args(["--device", "cpu", "--set", "clustering.min_spikes=15"]);
    command
}

/// Runs a command to its end.
pub fn run(command: &mut Command) -> Ran {
    let output = command.output().expect("the binary starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("UTF-8");
    Ran {
        code: output.status.code(),
        stdout: text(output.stdout),
        stderr: text(output.stderr),
    }
}

impl Ran {
    /// Asserts success and gives itself back.
    #[track_caller]
    pub fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "stderr:\n{}", self.stderr);
        self
    }

    /// Asserts the exit code, and one `error:` line with all of `what` and one `hint:` line with all of `hint`.
    #[track_caller]
    pub fn fails(&self, code: i32, what: &[&str], hint: &[&str]) {
        let stderr = &self.stderr;
        assert_eq!(self.code, Some(code), "stderr:\n{stderr}");
        for (name, parts) in [("error: ", what), ("hint: ", hint)] {
            let lines: Vec<&str> = stderr
                .lines()
                .filter_map(|line| line.strip_prefix(name))
                .collect();
            assert_eq!(
                lines.len(),
                1,
                "one `{name}` line was expected in:\n{stderr}"
            );
            for part in parts {
                assert!(
                    lines[0].contains(part),
                    "`{part}` is not in `{name}{}`",
                    lines[0]
                );
            }
            assert!(
                !lines[0].ends_with('.'),
                "a message is not a paragraph: {}",
                lines[0]
            );
        }
        assert!(
            !stderr.contains("panicked") && !stderr.contains("this is a bug"),
            "{stderr}"
        );
        assert_eq!(self.stdout, "", "data go to stdout, errors do not");
    }

    /// Asserts a usage error that clap itself reports.
    #[track_caller]
    pub fn fails_at_parsing(&self, what: &str) {
        assert_eq!(self.code, Some(2), "stderr:\n{}", self.stderr);
        assert!(
            self.stderr.starts_with("error: ") && self.stderr.contains(what),
            "{}",
            self.stderr
        );
        assert!(self.stderr.contains("--help"), "{}", self.stderr);
    }
}

/// Asserts that neither a result nor a part of one is at or beside `out`.
#[track_caller]
pub fn nothing_left(out: &Path) {
    assert!(
        !out.exists(),
        "`{}` is there after a failure",
        out.display()
    );
    assert_eq!(partial_results(out), Vec::<String>::new());
}

/// Names of the temporary folders of `out` that lie beside it.
pub fn partial_results(out: &Path) -> Vec<String> {
    let prefix = format!(
        ".{}.",
        out.file_name().expect("a name").to_str().expect("UTF-8")
    );
    let Ok(entries) = out.parent().expect("a parent").read_dir() else {
        return Vec::new();
    };
    entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .filter(|name| name.starts_with(&prefix))
        .collect()
}

/// The manifest of a result.
#[track_caller]
pub fn manifest(out: &Path) -> Value {
    json(&std::fs::read_to_string(out.join("manifest.json")).expect("a manifest"))
}

/// Text that must be JSON.
#[track_caller]
pub fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"))
}

/// Every file of a result that may not depend on how it was computed: the phy folder and the tables.
pub fn answer(out: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in out.join("phy").read_dir().expect("a phy folder") {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_str()
            .expect("UTF-8")
            .to_owned();
        files.insert(name, std::fs::read(&path).expect("a file"));
    }
    for name in ["metrics.csv", "motion.csv"] {
        if let Ok(bytes) = std::fs::read(out.join(name)) {
            files.insert(name.to_owned(), bytes);
        }
    }
    files
}

/// Asserts that two answers are equal byte for byte.
#[track_caller]
pub fn assert_same(
    expected: &BTreeMap<String, Vec<u8>>,
    found: &BTreeMap<String, Vec<u8>>,
    how: &str,
) {
    assert_eq!(
        expected.keys().collect::<Vec<_>>(),
        found.keys().collect::<Vec<_>>(),
        "{how}"
    );
    let differ: Vec<&String> = expected
        .keys()
        .filter(|&name| expected[name] != found[name])
        .collect();
    assert!(differ.is_empty(), "{how}: {differ:?} differ");
}
