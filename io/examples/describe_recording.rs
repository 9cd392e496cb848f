//! Prints what is known about a recording: `cargo run -p somata-io --example describe_recording -- PATH [PROBE or -] [HZ CHANNELS DTYPE]`.

use std::path::PathBuf;
use std::time::Instant;

use somata_io::recording::{OpenOptions, open};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let argument = |index: usize| {
        arguments
            .get(index)
            .filter(|argument| *argument != "-")
            .cloned()
    };
    let path = PathBuf::from(argument(0).expect("the path of a recording"));
    let options = OpenOptions {
        probe: argument(1).map(PathBuf::from),
        sampling_frequency_hz: argument(2).and_then(|hz| hz.parse().ok()),
        n_channels: argument(3).and_then(|n| n.parse().ok()),
        dtype: argument(4),
        ..OpenOptions::default()
    };
    let reader = match open(&path, &options) {
        Ok(reader) => reader,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("\nhint: {hint}");
            }
            std::process::exit(3);
        }
    };
    let mut description = reader.description().clone();
    description.gains_uv.truncate(3);
    description.offsets_uv.truncate(3);
    description.channel_ids.truncate(3);
    if let Some(probe) = &mut description.probe {
        probe.contacts.truncate(3);
    }
    if let Some(raw) = &mut description.raw {
        raw.columns.truncate(3);
    }
    println!("{description:#?}");
    let chunk = description.sampling_frequency_hz as u64;
    let (mut start, begun) = (0, Instant::now());
    let mut buffer = vec![0u8; chunk as usize * description.frame_bytes()];
    while start < description.n_samples {
        let n_here = chunk.min(description.n_samples - start);
        let part = &mut buffer[..n_here as usize * description.frame_bytes()];
        reader.read(start, part).unwrap();
        start += n_here;
    }
    let n_bytes = description.n_samples as f64 * description.frame_bytes() as f64;
    println!(
        "read {:.1} MB at {:.0} MB/s",
        n_bytes / 1e6,
        n_bytes / 1e6 / begun.elapsed().as_secs_f64()
    );
}
