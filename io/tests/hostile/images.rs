//! TIFF as a movie and as images, and pictures.

use std::path::Path;

use somata_io::IoError;
use somata_io::imaging_output::picture::write_picture;
use somata_io::still_image::read_image;

use crate::harness::{Seed, Target};
use crate::recordings::read_movie;
use crate::seeds::{golden, single_files, written_file};

/// A packed byte becomes 32,768 at most (zstd), as 8-bit pixels that become floats.
const OF_ZSTD: usize = 5 * 32_768;

/// All TIFF files of up to 16 kB that `parse` opens.
fn tiffs(parse: fn(&Path, &Path) -> Result<(), IoError>) -> Vec<Seed> {
    let mut seeds = single_files("tiff", &[".tif"], 16 << 10);
    seeds.extend(single_files("tiff/others", &[".tif", ".tiff"], 16 << 10));
    let folder = tempfile::tempdir().unwrap();
    // Some are there because they are refused.
    seeds.retain(|seed| {
        let path = folder.path().join(&seed.entry);
        std::fs::write(&path, &seed.files[0].1).unwrap();
        parse(&path, folder.path()).is_ok()
    });
    assert!(seeds.len() > 50, "{}", seeds.len());
    seeds
}

/// TIFF, ImageJ, OME and ScanImage as a movie.
pub fn tiff_movie() -> Target {
    Target {
        name: "tiff_movie",
        seeds: tiffs(read_movie),
        expansion: OF_ZSTD,
        allowance_bytes: 2 << 20,
        parse: read_movie,
    }
}

fn parse_image(path: &Path, _: &Path) -> Result<(), IoError> {
    for image in read_image(path)? {
        assert_eq!(
            image.pixels.len(),
            image.height * image.width * image.n_channels
        );
        let _ = image.is_gray();
    }
    Ok(())
}

/// TIFF as still images.
pub fn tiff_image() -> Target {
    Target {
        name: "tiff_image",
        seeds: tiffs(parse_image),
        expansion: OF_ZSTD,
        allowance_bytes: 2 << 20,
        parse: parse_image,
    }
}

/// PNG.
pub fn png() -> Target {
    let mut seeds = single_files("hostile", &[".png"], 1 << 20);
    seeds.push(written_file("own.png", |path| {
        let pixels: Vec<f32> = (0..12 * 9).map(|place| (place * 7 % 50) as f32).collect();
        write_picture(path, 12, 9, &pixels).unwrap();
    }));
    Target {
        name: "png",
        seeds,
        // A deflated byte becomes 1032 bytes, each of which may be eight pixels that become floats.
        expansion: 1032 * 8 * 8,
        allowance_bytes: 2 << 20,
        parse: parse_image,
    }
}

/// JPEG.
pub fn jpeg() -> Target {
    let seeds = ["gray.jpg", "progressive.jpg"].map(|name| {
        Seed::file(
            name,
            std::fs::read(golden(&format!("hostile/{name}"))).unwrap(),
        )
    });
    Target {
        name: "jpeg",
        seeds: seeds.to_vec(),
        // A bit is a block of 64 pixels at most, in three colours, each of which becomes a float.
        expansion: 8 * 64 * 3 * 8,
        allowance_bytes: 4 << 20,
        parse: parse_image,
    }
}
