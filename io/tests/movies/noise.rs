//! Random changes to every kind of file: an error is fine; a panic, a hang or a huge allocation is not.
//!
//! `PROPTEST_CASES=200000 cargo test -p somata-io --release --test movies noise` runs more of them.

use std::cell::RefCell;
use std::path::PathBuf;

use proptest::prelude::*;
use somata_io::movie::{MovieOptions, open};
use somata_io::still_image::read_image;

use crate::allocations::largest_allocation;
use crate::builder::{counting_pages, tiff, tiff_with_description};
use crate::suite::golden;

/// Files whose headers are changed.
const NAMES: [&str; 20] = [
    "uint16.tif",
    "int32_big_endian.tif",
    "bigtiff.tif",
    "bigtiff_big_endian.tif",
    "float16.tif",
    "lzw.tif",
    "lzw_strips.tif",
    "deflate_strips.tif",
    "packbits_strips.tif",
    "zstd_strips.tif",
    "zstd_float_predictor_big_endian.tif",
    "tiles_lzw_float.tif",
    "tiles_deflate.tif",
    "twelve_bits.tif",
    "imagej.tif",
    "imagej_contiguous.tif",
    "ome_CTZYX.tif",
    "shaped_contiguous.tif",
    "rgb_planar_tiles.tif",
    "scanimage_header.tif",
];

thread_local! {
    static FOLDER: RefCell<tempfile::TempDir> = RefCell::new(tempfile::tempdir().unwrap());
    static FILES: Vec<Vec<u8>> = NAMES.iter().map(|name| std::fs::read(golden(name)).unwrap()).collect();
}

/// Opens the bytes as a movie and as images, and reads what opens.
fn open_bytes(bytes: &[u8]) {
    let path: PathBuf = FOLDER.with_borrow(|folder| folder.path().join("a.tif"));
    std::fs::write(&path, bytes).unwrap();
    let largest = largest_allocation(|| {
        if let Ok(reader) = open(std::slice::from_ref(&path), &MovieOptions::default()) {
            let description = reader.description();
            let mut frame = vec![0u8; description.frame_bytes()];
            for number in 0..description.n_frames.min(40) {
                let _ = reader.read(
                    description.n_planes - 1,
                    description.n_channels - 1,
                    number,
                    &mut frame,
                );
            }
        }
        let _ = read_image(&path);
    });
    // The most that any codec can make of so many bytes (zstd: 32768 times), as 8-bit pixels that become floats.
    let limit = 4 * 32768 * bytes.len() + (1 << 20);
    assert!(
        largest <= limit,
        "{largest} bytes at once for a file of {}",
        bytes.len()
    );
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn golden_files_with_noise(
        which in 0usize..NAMES.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut bytes = FILES.with(|files| files[which].clone());
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        open_bytes(&bytes);
    }

    #[test]
    fn directories_of_chosen_nonsense(
        tags in prop::collection::vec((
            prop::sample::select(vec![254u16, 256, 257, 258, 259, 262, 266, 270, 273, 277, 278, 279, 284, 305, 317, 322, 323, 338, 339]),
            prop::collection::vec(prop_oneof![0u32..20, any::<u32>(), Just(u32::MAX), Just(50000), Just(32773)], 1..4),
        ), 1..5),
        gap in 0usize..3,
    ) {
        let mut pages = counting_pages(3);
        for (tag, values) in tags {
            pages[1] = pages[1].clone().with(tag, &values);
        }
        open_bytes(&tiff(&pages, gap));
    }

    #[test]
    fn descriptions_of_noise(
        start in prop::sample::select(vec!["ImageJ=1.53t\n", "SI.hChannels.channelSave = ", "scanimage.SI4.stackNumSlices = ", "state.acq.numberOfZSlices=", "<OME><Pixels ", "<?xml?><OME ", "{\"truncated\": true, \"shape\": "]),
        text in "[a-zA-Z<>/!\\[\\]=\"'{}:;,. 0-9\n-]{0,160}",
        key in prop::sample::select(vec!["", "images=99999999999\nframes=", "slices=1e300\nchannels=", "SI.hStackManager.enable = 1\nSI.hStackManager.numSlices = ", "SizeC=\"1\" SizeZ=\"1\" SizeT=\"1\" DimensionOrder=\"XYCZT\">", "[5,4,3]}"]),
    ) {
        let bytes = tiff_with_description(&counting_pages(3), &format!("{start}{key}{text}"));
        open_bytes(&bytes);
    }
}
