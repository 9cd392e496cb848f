//! Gives a parser of the command many changed inputs, and fails where one is not survived.

use std::path::Path;
use std::time::{Duration, Instant};

use super::{
    mutations::{Random, mutate},
    watch::watched,
};
use crate::{
    exit::{ExitCode, Outcome},
    messages::printable,
};

/// Inputs of each kind, where nothing else is asked for.
const USUAL_INPUTS: u64 = 1000;
/// Time of one input at most.
const LONGEST: Duration = Duration::from_secs(2);

fn n_inputs() -> u64 {
    match std::env::var("SOMATA_HOSTILE_INPUTS") {
        // The share of one of some forty parsers.
        Ok(text) => text.parse::<u64>().expect("a number").div_ceil(40),
        Err(_) => USUAL_INPUTS,
    }
}

/// A real input, and what may become of it.
pub struct Trial<'a> {
    /// Of the parser.
    pub name: &'static str,
    /// Files by their names in a folder.
    pub files: Vec<(String, Vec<u8>)>,
    /// The file that is opened; the folder where it is empty.
    pub entry: &'a str,
    /// Paths that inputs are given to lead to.
    pub paths: &'a [String],
    /// Codes that a refusal may have.
    pub codes: &'a [ExitCode],
    /// Bytes that the parser may hold for each byte of its input, and whatever its input.
    pub memory: (usize, usize),
}

impl Trial<'_> {
    /// Tries `parse` on the input as it is, which must succeed, and then changed many times.
    pub fn run(&self, parse: impl Fn(&Path) -> Outcome) {
        let name = self.name;
        let folder = folder();
        for (file, bytes) in &self.files {
            let path = folder.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        let entry = folder.path().join(self.entry);
        parse(&entry).unwrap_or_else(|failure| panic!("{name}: its own seed: {}", failure.message));
        let whole: usize = self.files.iter().map(|(_, bytes)| bytes.len()).sum();
        let mut total = Duration::ZERO;
        let (mut n_opened, mut slowest, mut most_bytes) = (0, Duration::ZERO, 0);
        for number in 0..n_inputs() {
            let mut random = Random::new(name, number);
            let (file, seed) = random.pick(&self.files);
            let path = folder.path().join(file);
            let mut n_bytes = whole - seed.len();
            // In a folder a file may also be absent, or hold what belongs to another.
            if self.files.len() > 1 && random.once_in(24) {
                if random.once_in(2) {
                    std::fs::remove_file(&path).unwrap();
                } else {
                    let (_, other) = random.pick(&self.files);
                    std::fs::write(&path, other).unwrap();
                    n_bytes += other.len();
                }
            } else {
                let (_, other) = random.pick(&self.files);
                let mut bytes = seed.clone();
                mutate(&mut bytes, other, self.paths, &mut random);
                std::fs::write(&path, &bytes).unwrap();
                n_bytes += bytes.len();
            }
            let (started, before) = (Instant::now(), processor_time());
            let seen = watched(|| parse(&entry));
            // Time on a processor, where the system tells it: machines are busy.
            let took = before
                .and_then(|before| processor_time()?.checked_sub(before))
                .unwrap_or_else(|| started.elapsed());
            total += took;
            slowest = slowest.max(took);
            most_bytes = most_bytes.max(seen.peak_bytes);
            let kept = || {
                let kept = std::env::temp_dir().join(format!("somata-hostile-{name}-{number}"));
                let _ = std::fs::copy(&path, &kept);
                format!("{name} {number}, `{file}`, kept as `{}`", kept.display())
            };
            assert!(took < LONGEST, "{}: {took:?}", kept());
            let limit = n_bytes * self.memory.0 + self.memory.1;
            assert!(
                seen.peak_bytes <= limit,
                "{}: {} bytes held for {n_bytes}",
                kept(),
                seen.peak_bytes
            );
            match seen.result {
                Err(panic) => panic!("{}: {panic}", kept()),
                Ok(Ok(())) => n_opened += 1,
                Ok(Err(failure)) => {
                    assert!(
                        self.codes.contains(&failure.code),
                        "{}: {}",
                        kept(),
                        failure.message
                    );
                    let hint = failure.hint.unwrap_or_default();
                    for text in [&failure.message, &hint] {
                        let shown = printable(text);
                        let is_bad = |letter: char| letter.is_control() && letter != '\n';
                        assert!(!shown.contains(is_bad), "{}: {shown:?}", kept());
                        assert!(shown.chars().count() < 5000, "{}", kept());
                    }
                }
            }
            std::fs::write(&path, seed).unwrap();
        }
        println!(
            "| {name} | {} | {:.1} | {n_opened} | {slowest:.1?} | {:.1} |",
            n_inputs(),
            total.as_secs_f64(),
            most_bytes as f64 / 1e6
        );
    }
}

/// Every file below a folder, with its name relative to it.
pub fn files_in(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
                files.push((name.to_owned(), std::fs::read(&path).unwrap()));
            }
        }
    }
    files.sort();
    files
}

/// Memory rather than a disk, where the system has such a folder.
fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    tempfile::tempdir_in(memory)
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// How long this thread was on a processor; `None` where the system does not tell.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}
