//! Zarr stores: descriptions, attributes and chunks of every codec.

use std::path::Path;

use somata_io::IoError;
use somata_io::recording::{OpenOptions, open};

use crate::harness::Target;
use crate::outside::check_inside;
use crate::reading::{MOST_FRAME_BYTES, read_ends, read_movie};
use crate::seeds::whole_folder;

/// Opens a recording and reads some samples. Absent chunks take no room, so that there may be more samples than bytes.
fn read_recording(path: &Path, folder: &Path) -> Result<(), IoError> {
    let reader = open(path, &OpenOptions::default())?;
    let description = reader.description();
    check_inside(folder, &description.paths);
    let frame_bytes = description.frame_bytes();
    if frame_bytes > MOST_FRAME_BYTES {
        return Ok(());
    }
    read_ends(&*reader)
}

/// SpikeInterface's and NWB's recordings, of both versions.
pub fn zarr_recording() -> Target {
    let names = [
        "v2/spikeinterface.zarr",
        "v3/spikeinterface.zarr",
        "v2/recording.nwb.zarr",
    ];
    Target {
        name: "zarr_recording",
        seeds: names
            .map(|name| whole_folder(&format!("zarr/{name}")))
            .to_vec(),
        // A packed byte becomes 32,768 at most (zstd), is unpacked and put in order.
        expansion: 3 * 32_768,
        // Names and numbers of up to 1,048,576 channels.
        allowance_bytes: 192 << 20,
        parse: read_recording,
    }
}

/// Arrays of every codec, and OME-Zarr.
pub fn zarr_movie() -> Target {
    let names = [
        "v2/fortran",
        "v2/lz4",
        "v2/zstd",
        "v2/gzip",
        "v2/blosc_blosclz_plain",
        "v2/blosc_blosclz_bytes",
        "v2/blosc_lz4_bits",
        "v2/blosc_zlib_bytes",
        "v2/blosc_zstd_bits",
        "v2/blosc_small_blocks",
        "v2/blosc_stored",
        "v2/blosc_long_runs",
        "v2/delta",
        "v2/shuffle_and_sums",
        "v2/nested_keys",
        "v2/absent_chunks",
        "v2/image.ome.zarr",
        "v3/zstd_sum",
        "v3/transpose",
        "v3/shards",
        "v3/shards_start_of_many_codecs",
        "v3/absent_chunks",
        "v3/named_axes",
        "v3/image.ome.zarr",
    ];
    Target {
        name: "zarr_movie",
        seeds: names
            .map(|name| whole_folder(&format!("zarr/{name}")))
            .to_vec(),
        expansion: 3 * 32_768,
        allowance_bytes: 8 << 20,
        parse: read_movie,
    }
}
