//! Damaged and hostile files into every parser: an error is fine; a panic, a hang, a huge allocation or a look outside of the
//! input folder is not.
//!
//! Inputs are real files, changed by a generator whose seed is the parser's name and the input's number, so that each can be made
//! again. `cargo test -p somata-io --test hostile` tries some 40,000; `SOMATA_HOSTILE_INPUTS=1000000` that many. The last long run
//! is in `docs/internals/hostile-input.md`. How a parser is added: a function that gives a [`harness::Target`], and its line below.

mod acquisition;
mod arrays;
mod containers;
mod harness;
mod images;
mod mutations;
mod outside;
mod reading;
mod recordings;
mod regressions;
mod results;
mod seeds;
mod stores;
mod watch;

use harness::Target;

/// One test a parser, and the list of them.
macro_rules! targets {
    ($($name:ident: $make:path,)*) => {
        /// All parsers that are tried.
        const TARGETS: &[fn() -> Target] = &[$($make),*];
        $(
            #[test]
            fn $name() {
                harness::run(&$make(), TARGETS.len() as u64);
            }
        )*
    };
}

targets! {
    spikeglx: recordings::spikeglx,
    blackrock: recordings::blackrock,
    open_ephys: acquisition::open_ephys,
    open_ephys_legacy: acquisition::open_ephys_legacy,
    intan: acquisition::intan,
    mtscomp: acquisition::mtscomp,
    hdf5: containers::hdf5,
    nwb_recording: containers::nwb_recording,
    mearec: containers::mearec,
    hdf5_movie: containers::hdf5_movie,
    somata_folder: recordings::somata_folder,
    spikeinterface_folder: recordings::spikeinterface_folder,
    raw_binary_movie: recordings::raw_binary_movie,
    probe_json: recordings::probe_json,
    utah_map: recordings::utah_map,
    klusta_prb: recordings::klusta_prb,
    chan_map: recordings::chan_map,
    imro: recordings::imro,
    npy: arrays::npy,
    object_npy: arrays::object_npy,
    zip: arrays::zip,
    npz: arrays::npz,
    safetensors: arrays::safetensors,
    csv: arrays::csv,
    tiff_movie: images::tiff_movie,
    tiff_image: images::tiff_image,
    png: images::png,
    jpeg: images::jpeg,
    imagej_regions: results::imagej_regions,
    phy_folder: results::phy_folder,
    suite2p_folder: results::suite2p_folder,
    zarr_recording: stores::zarr_recording,
    zarr_movie: stores::zarr_movie,
}
