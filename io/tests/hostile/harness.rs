//! Runs one parser on many inputs and tells what broke.
//!
//! A parser gets a folder and the path in it that is to be opened. It passes when it returns (with a result or with an error of
//! one line) within two seconds and without holding more than so many times the size of its input.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, Once, PoisonError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use somata_io::{IoError, IoErrorKind};

use crate::mutations::{Random, mutate};
use crate::watch::watched;

/// Inputs of all parsers together, where nothing else is asked for.
const USUAL_INPUTS: u64 = 40_000;
/// Time of one input at most.
const LONGEST: Duration = Duration::from_secs(2);
/// Time after which an input is taken to never end.
const HANGING: Duration = Duration::from_secs(60);
/// How often that is looked at.
const TICK: Duration = Duration::from_secs(1);
/// Letters of a message at most, beyond the paths in it.
const LONGEST_MESSAGE: usize = 1000;

/// A real input: files in a folder, and which of them is opened (the folder itself where it is empty).
#[derive(Clone, Debug)]
pub struct Seed {
    pub files: Vec<(String, Vec<u8>)>,
    pub entry: String,
}

impl Seed {
    /// One file.
    pub fn file(name: &str, bytes: Vec<u8>) -> Seed {
        Seed {
            files: vec![(name.to_owned(), bytes)],
            entry: name.to_owned(),
        }
    }

    /// A folder.
    pub fn folder(files: Vec<(String, Vec<u8>)>) -> Seed {
        Seed {
            files,
            entry: String::new(),
        }
    }

    fn write(&self, folder: &Path) {
        for (name, bytes) in &self.files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
    }
}

/// A parser and what it is tried on.
pub struct Target {
    pub name: &'static str,
    pub seeds: Vec<Seed>,
    /// Bytes that the parser may hold for each byte of its input: what its codecs can make of one, and what a parsed text costs.
    pub expansion: usize,
    /// Bytes that it may hold whatever its input.
    pub allowance_bytes: usize,
    /// Opens the path and reads what it promises. The second path is the folder that must not be left.
    pub parse: fn(&Path, &Path) -> Result<(), IoError>,
}

/// The share of one of `n_targets` parsers in all inputs.
fn n_inputs(n_targets: u64) -> u64 {
    let all = match std::env::var("SOMATA_HOSTILE_INPUTS") {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("SOMATA_HOSTILE_INPUTS is `{text}`, not a number")),
        Err(_) => USUAL_INPUTS,
    };
    all.div_ceil(n_targets)
}

/// Memory rather than a disk, where the system has such a folder.
pub fn fast_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir()
        && let Ok(folder) = tempfile::tempdir_in(memory)
    {
        return folder;
    }
    tempfile::tempdir().unwrap()
}

/// Tries a parser on its share of the inputs.
pub fn run(target: &Target, n_targets: u64) {
    let root = fast_folder();
    let secrets = crate::outside::Secrets::new(root.path());
    let paths = secrets.paths();
    let folders: Vec<PathBuf> = (0..target.seeds.len())
        .map(|index| root.path().join(format!("in{index}")))
        .collect();
    for (seed, folder) in target.seeds.iter().zip(&folders) {
        seed.write(folder);
        let seen = watched(|| (target.parse)(&folder.join(&seed.entry), folder));
        // Inputs that are all refused at the door would prove nothing.
        match seen.result {
            Ok(Ok(())) => {}
            Ok(Err(error)) => panic!(
                "{}: its own seed `{:?}` fails: {error}",
                target.name, seed.files[0].0
            ),
            Err(panic) => panic!(
                "{}: its own seed `{:?}`: {panic}",
                target.name, seed.files[0].0
            ),
        }
    }
    let n_inputs = n_inputs(n_targets);
    let mut total = Duration::ZERO;
    let mut broken: BTreeMap<String, (u64, usize)> = BTreeMap::new();
    let (mut slowest, mut most_bytes, mut n_opened) = (Duration::ZERO, 0, 0u64);
    for number in 0..n_inputs {
        let mut random = Random::new(target.name, number);
        let which = random.below(target.seeds.len());
        let (seed, folder) = (&target.seeds[which], &folders[which]);
        let undo = disturb(target, seed, folder, &paths, &mut random);
        let size_bytes: usize = size_of_folder(folder);
        let entry = folder.join(&seed.entry);
        watch_clock(Some((target.name, number)));
        // Time on a processor, where the system tells it: machines are busy. What waits for ever is noticed by the watch.
        let (started, before) = (Instant::now(), processor_time());
        let seen = watched(|| (target.parse)(&entry, folder));
        let on_processor = before.and_then(|before| processor_time()?.checked_sub(before));
        let took = on_processor.unwrap_or_else(|| started.elapsed());
        watch_clock(None);
        total += took;
        slowest = slowest.max(took);
        most_bytes = most_bytes.max(seen.peak_bytes);
        let limit = size_bytes * target.expansion + target.allowance_bytes;
        let mut failures = Vec::new();
        match seen.result {
            Ok(Ok(())) => n_opened += 1,
            Ok(Err(error)) => failures.extend(bad_message(&error)),
            Err(panic) => failures.push(panic),
        }
        if seen.peak_bytes > limit {
            failures.push(format!(
                "memory: more than {} times its size and {} bytes",
                target.expansion, target.allowance_bytes
            ));
        }
        if took > LONGEST {
            failures.push("time: more than two seconds".to_owned());
        }
        for failure in failures {
            let entry = broken.entry(failure.clone()).or_insert_with(|| {
                let kept = keep(target.name, number, folder);
                println!(
                    "{} {number}: {failure}\n  {size_bytes} bytes in, {} held, {took:?}; kept in {}",
                    target.name,
                    seen.peak_bytes,
                    kept.display()
                );
                (number, 0)
            });
            entry.1 += 1;
        }
        undo.write(folder);
    }
    println!(
        "| {} | {n_inputs} | {:.1} | {n_opened} | {slowest:.1?} | {:.1} |",
        target.name,
        total.as_secs_f64(),
        most_bytes as f64 / 1e6
    );
    let list: Vec<String> = broken
        .iter()
        .map(|(failure, (number, times))| {
            format!("input {number} (and {} more): {failure}", times - 1)
        })
        .collect();
    assert!(broken.is_empty(), "{}:\n{}", target.name, list.join("\n"));
}

/// How long this thread was on a processor; `None` where the system does not tell.
fn processor_time() -> Option<Duration> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = text.split_whitespace().next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Changes a folder on disk; what is returned puts it right again.
fn disturb(
    target: &Target,
    seed: &Seed,
    folder: &Path,
    paths: &[String],
    random: &mut Random,
) -> Seed {
    let which = random.below(seed.files.len());
    let (name, bytes) = &seed.files[which];
    let path = folder.join(name);
    let undo = Seed::folder(vec![(name.clone(), bytes.clone())]);
    // In a folder a file may also be absent, or hold what belongs to another.
    if seed.files.len() > 1 && random.once_in(24) {
        if random.once_in(2) {
            std::fs::remove_file(path).unwrap();
        } else {
            let (_, other) = &seed.files[random.below(seed.files.len())];
            std::fs::write(path, other).unwrap();
        }
        return undo;
    }
    // Mostly another file of the same name, sometimes any.
    let other = random.pick(&target.seeds);
    let other = other.files.iter().find(|(found, _)| found == name);
    let other = other.unwrap_or_else(|| &seed.files[0]);
    let mut changed = bytes.clone();
    mutate(&mut changed, &other.1, paths, random);
    std::fs::write(path, changed).unwrap();
    undo
}

/// Bytes of all files below a folder.
pub fn size_of_folder(folder: &Path) -> usize {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() {
                size_of_folder(&path)
            } else {
                std::fs::metadata(&path).map_or(0, |metadata| metadata.len() as usize)
            }
        })
        .sum()
}

/// What is wrong with a message, if anything: it must be one line that ends, of an error of the input, with a hint that can be made.
pub fn bad_message(error: &IoError) -> Option<String> {
    let (text, hint) = (error.to_string(), error.hint().unwrap_or_default());
    let kind = std::mem::discriminant(error);
    if error.kind() != IoErrorKind::Input {
        return Some(format!("not an error of the input: {error}"));
    }
    if text.chars().count() > LONGEST_MESSAGE || hint.chars().count() > LONGEST_MESSAGE {
        return Some(format!(
            "a message without end ({kind:?}): {}",
            text.chars().take(300).collect::<String>()
        ));
    }
    if text.chars().chain(hint.chars()).any(char::is_control) {
        return Some(format!(
            "a message with control characters ({kind:?}): {}",
            text.escape_debug().take(120).collect::<String>()
        ));
    }
    None
}

/// Copies a folder to the target folder, where it outlives the test.
fn keep(name: &str, number: u64, folder: &Path) -> PathBuf {
    fn copy(from: &Path, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for entry in std::fs::read_dir(from).unwrap() {
            let path = entry.unwrap().path();
            let target = to.join(path.file_name().unwrap());
            if path.is_dir() {
                copy(&path, &target);
            } else {
                std::fs::copy(&path, &target).unwrap();
            }
        }
    }
    let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("hostile/{name}-{number}"));
    let _ = std::fs::remove_dir_all(&kept);
    copy(folder, &kept);
    kept
}

/// Begins or ends the time of this thread's input. An input that never ends would leave nothing behind: it is named, and the
/// process ends.
fn watch_clock(input: Option<(&'static str, u64)>) {
    type Running = HashMap<ThreadId, (Duration, &'static str, u64)>;
    static RUNNING: LazyLock<Mutex<Running>> = LazyLock::new(Mutex::default);
    static WATCHER: Once = Once::new();
    let this = std::thread::current().id();
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    match input {
        Some((name, number)) => running.insert(this, (Duration::ZERO, name, number)),
        None => running.remove(&this),
    };
    drop(running);
    WATCHER.call_once(|| {
        std::thread::spawn(|| {
            loop {
                // Seconds that the watch was awake for: a process that was halted (SIGSTOP), or a machine that slept, hangs in nothing.
                std::thread::sleep(TICK);
                let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
                for (took, name, number) in running.values_mut() {
                    *took += TICK;
                    if *took > HANGING {
                        eprintln!("{name}: input {number} does not end");
                        std::process::abort();
                    }
                }
            }
        });
    });
}
