//! Damaged and hostile files that the command itself reads: tables of parameters and manifests, changed as those of
//! `io/tests/hostile` are.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use serde_json::{Value, json};
use somata_engine::parameters::{
    ParameterSet, imaging::ImagingParameters, sorting::SortingParameters,
};

use crate::{
    Cli, Command,
    commands::rerun,
    exit::{ExitCode, Outcome},
    messages::printable,
    run::{RunArguments, parameters},
};

#[path = "../../io/tests/hostile/mutations.rs"]
mod mutations;

use mutations::{Random, mutate};

/// Inputs of each kind, where nothing else is asked for.
const USUAL_INPUTS: u64 = 2000;
/// Time of one input at most.
const LONGEST: Duration = Duration::from_secs(2);

fn n_inputs() -> u64 {
    match std::env::var("SOMATA_HOSTILE_INPUTS") {
        // The share of one of some forty parsers.
        Ok(text) => text.parse::<u64>().expect("a number").div_ceil(40),
        Err(_) => USUAL_INPUTS,
    }
}

/// Gives `seed`, changed, to `parse` many times. A panic fails the test by itself.
fn try_all(
    name: &'static str,
    seed: &[u8],
    paths: &[String],
    codes: &[ExitCode],
    parse: impl Fn(&Path) -> Outcome,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, seed).unwrap();
    parse(&path).unwrap_or_else(|failure| panic!("{name}: its own seed: {}", failure.message));
    let begun = Instant::now();
    let (mut n_opened, mut slowest) = (0, Duration::ZERO);
    for number in 0..n_inputs() {
        let mut random = Random::new(name, number);
        let mut bytes = seed.to_vec();
        mutate(&mut bytes, seed, paths, &mut random);
        std::fs::write(&path, &bytes).unwrap();
        let started = Instant::now();
        let outcome = parse(&path);
        let mut took = started.elapsed();
        if took > LONGEST {
            // The machine may have been busy.
            let started = Instant::now();
            let _ = parse(&path);
            took = took.min(started.elapsed());
        }
        slowest = slowest.max(took);
        assert!(took < LONGEST, "{name} {number}: {took:?}");
        match outcome {
            Ok(()) => n_opened += 1,
            Err(failure) => {
                assert!(
                    codes.contains(&failure.code),
                    "{name} {number}: {}",
                    failure.message
                );
                let hint = failure.hint.unwrap_or_default();
                for text in [&failure.message, &hint] {
                    let shown = printable(text);
                    let is_bad = |letter: char| letter.is_control() && letter != '\n';
                    assert!(!shown.contains(is_bad), "{name} {number}: {shown:?}");
                    assert!(shown.chars().count() < 5000, "{name} {number}");
                }
            }
        }
    }
    println!(
        "| {name} | {} | {:.1} | {n_opened} | {slowest:.1?} | |",
        n_inputs(),
        begun.elapsed().as_secs_f64()
    );
}

/// A table with every parameter.
fn table<P: ParameterSet>() -> Vec<u8> {
    toml::to_string(&P::default()).unwrap().into_bytes()
}

fn read_table<P: ParameterSet>(path: &Path) -> Outcome {
    let run = RunArguments {
        params: Some(path.to_owned()),
        ..RunArguments::on("cpu", true)
    };
    parameters::<P>(&run).map(drop)
}

#[test]
fn tables_of_parameters() {
    let codes = [ExitCode::Usage];
    let sorting = table::<SortingParameters>();
    try_all(
        "sorting.toml",
        &sorting,
        &[],
        &codes,
        read_table::<SortingParameters>,
    );
    let imaging = table::<ImagingParameters>();
    try_all(
        "imaging.toml",
        &imaging,
        &[],
        &codes,
        read_table::<ImagingParameters>,
    );
}

/// A manifest as a run writes it, as far as `somata rerun` reads it.
fn manifest(kind: &str, arguments: Value, parameters: Value, input: &Path) -> Vec<u8> {
    json!({
        "somata": env!("CARGO_PKG_VERSION"),
        "kind": kind,
        "device": "cpu",
        "input_fingerprint": "0123",
        "weights": "4567",
        "inputs": [{
            "path": input.to_str().unwrap(),
            "bytes": std::fs::metadata(input).unwrap().len(),
            "fingerprint": somata_io::checksum::sampled_fingerprint(input).unwrap(),
        }],
        "arguments": arguments,
        "parameters": parameters,
    })
    .to_string()
    .into_bytes()
}

#[test]
fn manifests_that_are_run_again() {
    let folder = tempfile::tempdir().unwrap();
    let input: PathBuf = folder.path().join("a.bin");
    std::fs::write(&input, [7; 1000]).unwrap();
    let parse = |path: &Path| {
        let line = [
            "somata",
            "rerun",
            path.to_str().unwrap(),
            "--out",
            "/nowhere/out",
        ];
        let Command::Rerun(arguments) = Cli::try_parse_from(line).unwrap().command else {
            unreachable!("that is what was typed");
        };
        match rerun::plan(&arguments)? {
            rerun::Again::Sort(again) => parameters::<SortingParameters>(&again.run).map(drop),
            rerun::Again::Image(again) => parameters::<ImagingParameters>(&again.run).map(drop),
            rerun::Again::Segment(again) => parameters::<ImagingParameters>(&again.run).map(drop),
        }
    };
    let paths: Vec<String> = ["/dev/zero", "/proc/self/environ", ".", ""]
        .map(str::to_owned)
        .to_vec();
    let codes = [ExitCode::Input, ExitCode::Usage];
    let typed = |line: &[&str]| Cli::try_parse_from(line).unwrap().command;
    let path = input.to_str().unwrap();
    let Command::Sort(sort) = typed(&["somata", "sort", path, "--out", "x", "--start-s", "1.5"])
    else {
        unreachable!("that is what was typed");
    };
    let sort = manifest(
        "sort",
        serde_json::to_value(&*sort).unwrap(),
        serde_json::to_value(SortingParameters::default()).unwrap(),
        &input,
    );
    try_all("sort.json", &sort, &paths, &codes, parse);
    let Command::Image(image) = typed(&["somata", "image", path, "--out", "x", "--tau", "0.7"])
    else {
        unreachable!("that is what was typed");
    };
    let image = manifest(
        "image",
        serde_json::to_value(&*image).unwrap(),
        serde_json::to_value(ImagingParameters::default()).unwrap(),
        &input,
    );
    try_all("image.json", &image, &paths, &codes, parse);
}
