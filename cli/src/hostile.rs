//! Damaged and hostile files that the command itself reads: tables of parameters, manifests, results and truths that are scored,
//! changed as those of `io/tests/hostile` are.

use std::path::{Path, PathBuf};

use clap::Parser;
use serde_json::{Value, json};
use somata_engine::parameters::{
    ParameterSet, imaging::ImagingParameters, sorting::SortingParameters,
};

use crate::{
    Cli, Command,
    commands::rerun,
    exit::{ExitCode, Outcome},
    run::{RunArguments, parameters},
};

#[path = "../../io/tests/hostile/mutations.rs"]
mod mutations;
mod results;
mod trial;
#[path = "../../io/tests/hostile/watch.rs"]
mod watch;

use trial::Trial;

/// Gives one file, changed, to `parse` many times.
fn try_all(
    name: &'static str,
    seed: &[u8],
    paths: &[String],
    codes: &[ExitCode],
    parse: impl Fn(&Path) -> Outcome,
) {
    Trial {
        name,
        files: vec![(name.to_owned(), seed.to_owned())],
        entry: name,
        paths,
        codes,
        // A table in memory with all its names and messages.
        memory: (400, 4 << 20),
    }
    .run(parse);
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
    let Command::Segment(segment) = typed(&["somata", "segment", path, "--out", "x"]) else {
        unreachable!("that is what was typed");
    };
    let segment = manifest(
        "segment",
        serde_json::to_value(&*segment).unwrap(),
        serde_json::to_value(ImagingParameters::default()).unwrap(),
        &input,
    );
    try_all("segment.json", &segment, &paths, &codes, parse);
}
