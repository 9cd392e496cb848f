//! `somata rerun`

use std::path::{Path, PathBuf};

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;
use somata_io::checksum::{Total, sampled_fingerprint, total_bytes_within};

use crate::{
    again::{Again as Manifest, absolute, path_text},
    commands::{help::heading, image, segment, sort},
    exit::{ExitCode, Failure, Outcome},
    run::{OutputArguments, RunArguments},
};

/// Entries of folders that are listed to see whether inputs are the same, of all inputs of a manifest together.
const MAX_ENTRIES: usize = 1_000_000;

/// Arguments of `somata rerun`.
#[derive(Args, Clone)]
pub struct Arguments {
    /// The manifest of a result of sort, image or segment, or the folder that holds it
    pub manifest: PathBuf,
    #[command(flatten)]
    pub output: OutputArguments,
    /// Look below NEW for what lay below OLD: the input, the probe, the weights; can be given again
    #[arg(long, num_args = 2, value_names = ["OLD", "NEW"], help_heading = heading::RESULT)]
    pub moved: Vec<PathBuf>,
    /// Another device than the one of the manifest; results are then alike, not the same
    #[arg(long, help_heading = heading::MACHINE)]
    pub device: Option<String>,
    /// Threads; results do not depend on it
    #[arg(long, value_name = "N", help_heading = heading::MACHINE)]
    pub threads: Option<usize>,
    /// Largest memory to use, for example 4GB; results do not depend on it
    #[arg(long, value_name = "SIZE", help_heading = heading::MACHINE)]
    pub memory: Option<String>,
    /// Print one JSON object at the end
    #[arg(long, help_heading = heading::MESSAGES)]
    pub json: bool,
    /// Write events as JSON lines to this file, or `-` for stdout
    #[arg(long, value_name = "FILE", help_heading = heading::MESSAGES)]
    pub events: Option<PathBuf>,
    /// Show no progress
    #[arg(long, short, help_heading = heading::MESSAGES)]
    pub quiet: bool,
    /// Say also what was opened, on what it runs, and which parameters are not the defaults
    #[arg(long, short, conflicts_with = "quiet", help_heading = heading::MESSAGES)]
    pub verbose: bool,
}

/// What is to be run again.
pub enum Again {
    /// A sort.
    Sort(Box<sort::Arguments>),
    /// A movie.
    Image(Box<image::Arguments>),
    /// Still images.
    Segment(Box<segment::Arguments>),
}

/// Runs `somata rerun`.
pub fn run(arguments: &Arguments) -> Outcome {
    match plan(arguments)? {
        Again::Sort(again) => sort::run(&again),
        Again::Image(again) => image::run(&again),
        Again::Segment(again) => segment::run(&again),
    }
}

/// The command that a manifest describes.
///
/// # Errors
/// When the manifest is damaged, or its input is not there or another.
pub fn plan(arguments: &Arguments) -> Outcome<Again> {
    let path = if arguments.manifest.is_dir() {
        arguments.manifest.join("manifest.json")
    } else {
        arguments.manifest.clone()
    };
    let manifest = read(&path)?;
    let kind = manifest["kind"].as_str().unwrap_or_default();
    if !["sort", "image", "segment"].contains(&kind) {
        return Err(Failure::new(
            ExitCode::Input,
            format!(
                "`{}` is not the manifest of a sort, a movie or still images",
                path.display()
            ),
        )
        .hint(
            "give the `manifest.json` that `somata sort`, `somata image` or `somata segment` wrote",
        ));
    }
    let again = Manifest::of(&path, &manifest)?;
    let moved: Vec<(PathBuf, PathBuf)> = arguments
        .moved
        .chunks_exact(2)
        .map(|pair| (absolute(&pair[0]), absolute(&pair[1])))
        .collect();
    let mut entries = MAX_ENTRIES;
    for input in manifest["inputs"].as_array().into_iter().flatten() {
        same_file(&path, input, &moved, &mut entries)?;
    }
    let run = RunArguments {
        device: arguments
            .device
            .clone()
            .unwrap_or_else(|| choice_of(&again.device).to_owned()),
        threads: arguments.threads,
        memory: arguments.memory.clone(),
        chunk_blocks: None,
        settings: settings(&path, &manifest)?,
        params: None,
        json: arguments.json,
        events: arguments.events.clone(),
        quiet: arguments.quiet,
        verbose: arguments.verbose,
        again: Some(again),
    };
    let output = arguments.output.clone();
    match kind {
        "sort" => {
            let asked: sort::Arguments = asked(&path, &manifest, &moved)?;
            Ok(Again::Sort(Box::new(sort::Arguments {
                output,
                run,
                ..asked
            })))
        }
        "image" => {
            let asked: image::Arguments = asked(&path, &manifest, &moved)?;
            Ok(Again::Image(Box::new(image::Arguments {
                output,
                run,
                ..asked
            })))
        }
        _ => {
            let asked: segment::Arguments = asked(&path, &manifest, &moved)?;
            Ok(Again::Segment(Box::new(segment::Arguments {
                output,
                run,
                ..asked
            })))
        }
    }
}

fn damaged(path: &Path, what: &str) -> Failure {
    Failure::new(
        ExitCode::Input,
        format!("`{}` is no manifest that can be used: {what}", path.display()),
    )
    .hint("it may be damaged, or of a version whose results cannot be made again from their manifests")
}

fn read(path: &Path) -> Outcome<Value> {
    let bytes = std::fs::read(path).map_err(|error| {
        Failure::new(
            ExitCode::Input,
            format!("could not read `{}`: {error}", path.display()),
        )
        .hint("give the `manifest.json` of a result, or the folder that holds it")
    })?;
    serde_json::from_slice(&bytes).map_err(|error| damaged(path, &error.to_string()))
}

/// Every parameter of the manifest, as `--set` takes it.
fn settings(path: &Path, manifest: &Value) -> Outcome<Vec<String>> {
    let stages = manifest["parameters"]
        .as_object()
        .ok_or_else(|| damaged(path, "it has no `parameters`"))?;
    let mut settings = Vec::new();
    for (stage, values) in stages {
        let values = values
            .as_object()
            .ok_or_else(|| damaged(path, "`parameters` holds something else than stages"))?;
        settings.extend(
            values
                .iter()
                .map(|(name, value)| format!("{stage}.{name}={value}")),
        );
    }
    Ok(settings)
}

/// The arguments that the manifest keeps, with the places that have moved.
fn asked<T: DeserializeOwned>(
    path: &Path,
    manifest: &Value,
    moved: &[(PathBuf, PathBuf)],
) -> Outcome<T> {
    let mut asked = manifest["arguments"].clone();
    if !asked.is_object() {
        return Err(damaged(path, "it has no `arguments`"));
    }
    move_all(&mut asked, moved);
    serde_json::from_value(asked).map_err(|error| damaged(path, &format!("`arguments`: {error}")))
}

/// Changes every text that is a path below an old place.
fn move_all(value: &mut Value, moved: &[(PathBuf, PathBuf)]) {
    match value {
        Value::String(path) => *path = path_text(&now_at(Path::new(path), moved)),
        Value::Array(values) => values.iter_mut().for_each(|value| move_all(value, moved)),
        Value::Object(fields) => fields.values_mut().for_each(|value| move_all(value, moved)),
        _ => {}
    }
}

/// Where a path lies now.
fn now_at(path: &Path, moved: &[(PathBuf, PathBuf)]) -> PathBuf {
    let below = moved
        .iter()
        .find_map(|(old, new)| path.strip_prefix(old).ok().map(|rest| (new, rest)));
    match below {
        None => path.to_owned(),
        // Joining nothing would end the path with a separator.
        Some((new, rest)) if rest.as_os_str().is_empty() => new.clone(),
        Some((new, rest)) => new.join(rest),
    }
}

/// Refuses an input file that is gone or not the one of the manifest; what is read of it is compared again when it is open. A
/// manifest may be another's and name anything: `entries` bounds what is listed of folders, and pipes are not opened.
fn same_file(
    manifest: &Path,
    input: &Value,
    moved: &[(PathBuf, PathBuf)],
    entries: &mut usize,
) -> Outcome {
    let Some(path) = input["path"].as_str() else {
        return Err(damaged(manifest, "an entry of `inputs` has no `path`"));
    };
    let path = now_at(Path::new(path), moved);
    let gone = |error: std::io::Error| {
        Failure::new(
            ExitCode::Input,
            format!(
                "`{}` names the input `{}`, which cannot be read: {error}",
                manifest.display(),
                path.display()
            ),
        )
        .hint("if it lies elsewhere now, say so with `--moved OLD NEW`")
    };
    let metadata = std::fs::metadata(&path).map_err(gone)?;
    let unusable = |what: String| {
        Failure::new(
            ExitCode::Input,
            format!(
                "`{}` names the input `{}`, which {what}",
                manifest.display(),
                path.display()
            ),
        )
        .hint("is it the manifest of a result of yours? To process this input, use the command itself")
    };
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(unusable("is neither a file nor a folder".into()));
    }
    let then = input["bytes"].as_u64();
    let changed = |how: String| {
        Failure::new(
            ExitCode::Input,
            format!(
                "`{}` is not the input of `{}`: {how}",
                path.display(),
                manifest.display()
            ),
        )
        .hint("restore the file; to process it as it is now, use the command itself")
    };
    // An input may be a folder.
    match (
        then,
        total_bytes_within(&path, then.unwrap_or(u64::MAX), entries)?,
    ) {
        (_, Total::TooMany) => {
            return Err(unusable(format!(
                "has more files than are listed for a manifest ({MAX_ENTRIES} in all)"
            )));
        }
        (Some(then), Total::More) => {
            return Err(changed(format!("it had {then} bytes and has more")));
        }
        (Some(then), Total::Bytes(bytes)) if bytes != then => {
            return Err(changed(format!("it had {then} bytes and has {bytes}")));
        }
        _ => {}
    }
    if let Some(then) = input["fingerprint"].as_str()
        && then != sampled_fingerprint(&path)?
    {
        return Err(changed("its content has changed".into()));
    }
    Ok(())
}

/// The device of a manifest as a choice: names of graphics cards stand there with their backend.
fn choice_of(device: &str) -> &str {
    device
        .rsplit_once(" (")
        .filter(|(_, backend)| backend.ends_with(')'))
        .map_or(device, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_chosen_by_its_name() {
        assert_eq!(choice_of("cpu"), "cpu");
        assert_eq!(
            choice_of("llvmpipe (LLVM 19, 256 bits) (vulkan)"),
            "llvmpipe (LLVM 19, 256 bits)"
        );
    }

    #[test]
    fn moved_places_are_found_and_others_stay() {
        let moved = [(PathBuf::from("/old"), PathBuf::from("/new/place"))];
        assert_eq!(
            now_at(Path::new("/old/a.bin"), &moved),
            Path::new("/new/place/a.bin")
        );
        assert_eq!(path_text(&now_at(Path::new("/old"), &moved)), "/new/place");
        assert_eq!(
            now_at(Path::new("/older/a.bin"), &moved),
            Path::new("/older/a.bin")
        );
        let mut value =
            serde_json::json!({ "movie": ["/old/a.tif"], "dtype": "int16", "tau": 0.5 });
        move_all(&mut value, &moved);
        let expected =
            serde_json::json!({ "movie": ["/new/place/a.tif"], "dtype": "int16", "tau": 0.5 });
        assert_eq!(value, expected);
    }
}
