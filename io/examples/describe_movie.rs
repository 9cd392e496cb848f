//! Prints what a movie's description says, and sums of its frames, as JSON.
//!
//! describe_movie [--planes N] [--channels N] [--height N] [--width N] [--dtype TYPE] PATH…

use std::path::PathBuf;

use somata_io::movie::{MovieDescription, MovieOptions, PixelType, open};

fn main() {
    let mut options = MovieOptions::default();
    let mut paths: Vec<PathBuf> = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().expect("a value after the option");
        match argument.as_str() {
            "--planes" => options.n_planes = value().parse().ok(),
            "--channels" => options.n_channels = value().parse().ok(),
            "--height" => options.height = value().parse().ok(),
            "--width" => options.width = value().parse().ok(),
            "--dtype" => options.dtype = Some(value()),
            _ => paths.push(argument.into()),
        }
    }
    let reader = match open(&paths, &options) {
        Ok(reader) => reader,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("\nhint: {hint}");
            }
            std::process::exit(3);
        }
    };
    let description = reader.description();
    let mut sums = Vec::new();
    for plane in 0..description.n_planes {
        for channel in 0..description.n_channels {
            let mut frame = vec![0u8; description.frame_bytes()];
            let mut sum = 0.0;
            for number in 0..description.n_frames {
                reader
                    .read(plane, channel, number, &mut frame)
                    .expect("a frame of the movie");
                sum += frame_sum(&frame, description);
            }
            sums.push(serde_json::json!({"plane": plane, "channel": channel, "sum": sum}));
        }
    }
    let json = serde_json::json!({
        "format": description.format,
        "n_frames": description.n_frames,
        "height": description.height,
        "width": description.width,
        "n_planes": description.n_planes,
        "n_channels": description.n_channels,
        "pixel_type": description.pixel_type.numpy_name(),
        "frame_rate_hz": description.frame_rate_hz,
        "pixel_size_um": description.pixel_size_um,
        "identity": description.identity,
        "warnings": description.warnings,
        "sums": sums,
    });
    println!("{json:#}");
}

/// The sum of a frame's pixels.
fn frame_sum(frame: &[u8], description: &MovieDescription) -> f64 {
    /// Sums of chunks of `N` bytes.
    fn sum<const N: usize>(frame: &[u8], convert: fn([u8; N]) -> f64) -> f64 {
        frame
            .as_chunks::<N>()
            .0
            .iter()
            .map(|&pixel| convert(pixel))
            .sum()
    }
    match description.pixel_type {
        PixelType::U8 => sum(frame, |b: [u8; 1]| f64::from(b[0])),
        PixelType::I8 => sum(frame, |b: [u8; 1]| f64::from(b[0] as i8)),
        PixelType::U16 => sum(frame, |b| f64::from(u16::from_ne_bytes(b))),
        PixelType::I16 => sum(frame, |b| f64::from(i16::from_ne_bytes(b))),
        PixelType::U32 => sum(frame, |b| f64::from(u32::from_ne_bytes(b))),
        PixelType::I32 => sum(frame, |b| f64::from(i32::from_ne_bytes(b))),
        PixelType::F32 => sum(frame, |b| f64::from(f32::from_ne_bytes(b))),
        PixelType::F64 => sum(frame, f64::from_ne_bytes),
    }
}
