//! Folders and files of acquisition systems: Open Ephys, Intan, mtscomp.

use std::path::Path;

use somata_io::IoError;
use somata_io::recording::{OpenOptions, open};

use crate::harness::{Seed, Target, size_of_folder};
use crate::outside::check_inside;
use crate::reading::read_ends;
use crate::seeds::{golden, single_files, whole_folder};

/// Reads samples of the recording and of each stream that the error of a recording with several names.
fn read_streams(path: &Path, folder: &Path) -> Result<(), IoError> {
    match read_samples(path, folder, None) {
        Err(IoError::SeveralStreams { streams, .. }) => {
            for stream in streams.iter().take(3) {
                read_samples(path, folder, Some(stream.clone()))?;
            }
            Ok(())
        }
        result => result,
    }
}

/// Opens a recording and reads samples from its start, middle and end.
fn read_samples(path: &Path, folder: &Path, stream: Option<String>) -> Result<(), IoError> {
    let options = OpenOptions {
        stream,
        ..OpenOptions::default()
    };
    let reader = open(path, &options)?;
    let description = reader.description();
    check_inside(folder, &description.paths);
    let frame_bytes = description.frame_bytes();
    // A frame beyond the folder's size cannot be stored in it, but what is unpacked may be larger: the caller's limit holds.
    if frame_bytes > (1 << 20) + 64 * size_of_folder(folder) {
        return Ok(());
    }
    read_ends(&*reader)?;
    for warning in &description.warnings {
        assert!(warning.chars().count() < 1000, "a warning without end");
    }
    Ok(())
}

/// Sessions of the binary format, whole and one recording of them.
pub fn open_ephys() -> Target {
    Target {
        name: "open_ephys",
        seeds: ["board", "bands", "old"]
            .map(|name| whole_folder(&format!("open_ephys/{name}")))
            .to_vec(),
        expansion: 64,
        // Names and numbers of up to 65,536 channels.
        allowance_bytes: 32 << 20,
        parse: read_streams,
    }
}

/// Sessions of `.continuous` files.
pub fn open_ephys_legacy() -> Target {
    let mut board = whole_folder("open_ephys_legacy/board");
    // A few of the files are as good as all.
    board.files.truncate(4);
    Target {
        name: "open_ephys_legacy",
        seeds: vec![board, whole_folder("open_ephys_legacy/experiments")],
        expansion: 64,
        allowance_bytes: 4 << 20,
        parse: read_streams,
    }
}

/// Traditional files of every version, and a file a channel or a kind of signal.
pub fn intan() -> Target {
    let mut seeds = single_files("intan", &[".rhd", ".rhs"], 1 << 20);
    seeds.extend(
        ["channels", "channels_stim", "signals", "session"]
            .map(|name| whole_folder(&format!("intan/{name}"))),
    );
    Target {
        name: "intan",
        seeds,
        expansion: 64,
        allowance_bytes: 4 << 20,
        parse: read_streams,
    }
}

/// Compressed samples and the table of their chunks.
pub fn mtscomp() -> Target {
    let pair = |folder: &str, name: &str, with_meta: bool| {
        let mut files = Vec::new();
        for ending in ["cbin", "ch", "meta"]
            .iter()
            .take(if with_meta { 3 } else { 2 })
        {
            let file_name = format!("{name}.{ending}");
            let path = golden(folder).join(&file_name);
            files.push((file_name, std::fs::read(path).unwrap()));
        }
        Seed {
            files,
            entry: format!("{name}.cbin"),
        }
    };
    let mut seeds: Vec<Seed> = [
        "usual",
        "no_time_diff",
        "spatial_diff",
        "spatial_only",
        "sample_major",
        "int32",
        "uint16",
    ]
    .iter()
    .map(|name| pair("mtscomp", name, false))
    .collect();
    seeds.push(pair("mtscomp/spikeglx", "run_g0_t0.imec0.ap", true));
    Target {
        name: "mtscomp",
        seeds,
        // A deflated byte becomes 1032 at most, is undone in turns, and put in order.
        expansion: 4 * 1032,
        allowance_bytes: 4 << 20,
        parse: read_streams,
    }
}
