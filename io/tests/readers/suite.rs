//! What every reader must do, as one function, and paths and numbers that the tests share.

use std::path::{Path, PathBuf};

use somata_io::IoError;
use somata_io::recording::{OpenOptions, RecordingReader, SampleType, open};

/// A file below `tests/golden`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// Parsed JSON of a file below `tests/golden`.
pub fn golden_json(name: &str) -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(golden(name)).unwrap()).unwrap()
}

/// Opens with no options, which must work.
pub fn open_plain(path: &Path) -> Box<dyn RecordingReader> {
    open(path, &OpenOptions::default())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The error of opening `path`, which must fail.
pub fn open_error(path: &Path, options: &OpenOptions) -> IoError {
    match open(path, options) {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error,
    }
}

/// All samples as `f64`, `[samples, channels]`.
pub fn read_all(reader: &dyn RecordingReader) -> Vec<f64> {
    let description = reader.description();
    let mut bytes = vec![0u8; description.n_samples as usize * description.frame_bytes()];
    reader.read(0, &mut bytes).unwrap();
    numbers(&bytes, description.sample_type)
}

/// Native-endian samples as `f64`.
fn numbers(bytes: &[u8], sample_type: SampleType) -> Vec<f64> {
    let chunks = bytes.chunks_exact(sample_type.size_bytes());
    match sample_type {
        SampleType::I16 => chunks
            .map(|b| f64::from(i16::from_ne_bytes(b.try_into().unwrap())))
            .collect(),
        SampleType::U16 => chunks
            .map(|b| f64::from(u16::from_ne_bytes(b.try_into().unwrap())))
            .collect(),
        SampleType::I32 => chunks
            .map(|b| f64::from(i32::from_ne_bytes(b.try_into().unwrap())))
            .collect(),
        SampleType::F32 => chunks
            .map(|b| f64::from(f32::from_ne_bytes(b.try_into().unwrap())))
            .collect(),
    }
}

/// What the trait promises: lengths agree, segments add up, odd chunks and threads equal the whole, and the end is an error.
pub fn check_reader(reader: &dyn RecordingReader) {
    let description = reader.description();
    let n_samples = description.n_samples;
    let frame_bytes = description.frame_bytes();
    assert_eq!(
        frame_bytes,
        description.n_channels * description.sample_type.size_bytes()
    );
    assert_eq!(description.gains_uv.len(), description.n_channels);
    assert_eq!(description.offsets_uv.len(), description.n_channels);
    assert_eq!(description.channel_ids.len(), description.n_channels);
    if let Some(delay) = &description.sample_delay {
        assert_eq!(delay.len(), description.n_channels);
        assert!(delay.iter().all(|delay| (0.0..1.0).contains(delay)));
    }
    if let Some(probe) = &description.probe {
        probe
            .validate(description.n_channels, &description.paths[0])
            .unwrap();
    }
    let mut next = 0;
    for segment in &description.segments {
        assert_eq!(segment.start_sample, next);
        next += segment.n_samples;
    }
    assert_eq!(next, n_samples, "segments do not add up");

    let mut whole = vec![0u8; n_samples as usize * frame_bytes];
    reader.read(0, &mut whole).unwrap();
    for chunk_samples in [1usize, 7, 61] {
        let mut start = 0;
        while start < n_samples {
            let n_here = chunk_samples.min((n_samples - start) as usize);
            let mut part = vec![0xa5u8; n_here * frame_bytes];
            reader.read(start, &mut part).unwrap();
            let expected = &whole[start as usize * frame_bytes..][..part.len()];
            assert!(part == expected, "chunk of {chunk_samples} at {start}");
            start += n_here as u64;
        }
    }
    std::thread::scope(|scope| {
        for thread in 0..4usize {
            let whole = &whole;
            scope.spawn(move || {
                let first = thread * n_samples as usize / 4;
                let mut part = vec![0u8; (n_samples as usize - first) * frame_bytes];
                reader.read(first as u64, &mut part).unwrap();
                assert!(part == whole[first * frame_bytes..]);
            });
        }
    });
    let mut one = vec![0u8; frame_bytes];
    assert!(matches!(
        reader.read(n_samples, &mut one),
        Err(IoError::OutOfRange { .. })
    ));
    assert!(matches!(
        reader.read(u64::MAX, &mut one),
        Err(IoError::OutOfRange { .. })
    ));
    let mut odd = vec![0u8; frame_bytes + 1];
    assert!(matches!(
        reader.read(0, &mut odd),
        Err(IoError::BufferNotWholeFrames { .. })
    ));
    reader.read(n_samples, &mut []).unwrap();
}

/// Copies a folder and all that is in it.
pub fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}
