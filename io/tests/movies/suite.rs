//! What every movie reader must do, as one function, and paths and numbers that the tests share.

use std::path::{Path, PathBuf};

use somata_io::movie::{MovieOptions, MovieReader, PixelType, open};
use somata_io::{IoError, IoErrorKind};

/// A file below `tests/golden/tiff`.
pub fn golden(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/tiff")
        .join(name)
}

/// What `make_tiff.py` noted.
pub fn expected() -> serde_json::Value {
    serde_json::from_slice(&std::fs::read(golden("expected.json")).unwrap()).unwrap()
}

/// Opens one path with no options, which must work.
pub fn open_plain(path: &Path) -> Box<dyn MovieReader> {
    open(&[path.to_owned()], &MovieOptions::default())
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The error of opening `paths`, which must fail.
pub fn open_error(paths: &[PathBuf], options: &MovieOptions) -> IoError {
    match open(paths, options) {
        Ok(_) => panic!("{paths:?} were opened"),
        Err(error) => error,
    }
}

/// Checks a message: its parts, one line, a hint, and that it is an input error.
pub fn says(error: &IoError, parts: &[&str]) {
    let text = error.to_string();
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    assert!(error.hint().is_some(), "{text}");
    assert_eq!(error.kind(), IoErrorKind::Input);
    assert!(!text.contains('\n') && !text.ends_with('.'), "{text}");
}

/// Native-endian pixels as `f64`.
pub fn numbers(bytes: &[u8], pixel_type: PixelType) -> Vec<f64> {
    fn each<const N: usize>(bytes: &[u8], convert: fn([u8; N]) -> f64) -> Vec<f64> {
        bytes
            .as_chunks::<N>()
            .0
            .iter()
            .map(|&pixel| convert(pixel))
            .collect()
    }
    match pixel_type {
        PixelType::U8 => each(bytes, |b: [u8; 1]| f64::from(b[0])),
        PixelType::I8 => each(bytes, |b: [u8; 1]| f64::from(b[0] as i8)),
        PixelType::U16 => each(bytes, |b| f64::from(u16::from_ne_bytes(b))),
        PixelType::I16 => each(bytes, |b| f64::from(i16::from_ne_bytes(b))),
        PixelType::U32 => each(bytes, |b| f64::from(u32::from_ne_bytes(b))),
        PixelType::I32 => each(bytes, |b| f64::from(i32::from_ne_bytes(b))),
        PixelType::F32 => each(bytes, |b| f64::from(f32::from_ne_bytes(b))),
        PixelType::F64 => each(bytes, f64::from_ne_bytes),
    }
}

/// All pixels of one plane and channel, `[frame, y, x]`.
pub fn read_all(reader: &dyn MovieReader, plane: usize, channel: usize) -> Vec<f64> {
    let description = reader.description();
    let mut bytes = vec![0u8; description.n_frames as usize * description.frame_bytes()];
    reader.read(plane, channel, 0, &mut bytes).unwrap();
    numbers(&bytes, description.pixel_type)
}

/// What the trait promises: sizes agree, odd chunks and threads equal the whole, the end and absent planes are errors.
pub fn check_reader(reader: &dyn MovieReader) {
    let description = reader.description();
    let frame_bytes = description.frame_bytes();
    assert_eq!(
        frame_bytes,
        description.height * description.width * description.pixel_type.size_bytes()
    );
    assert!(frame_bytes > 0 && description.n_frames > 0);
    assert!(description.n_planes > 0 && description.n_channels > 0);
    assert_eq!(description.identity.len(), 64);
    assert!(description.paths.iter().all(|path| path.exists()));
    assert!(
        description
            .frame_rate_hz
            .is_none_or(|rate| rate > 0.0 && rate.is_finite())
    );
    let n_frames = description.n_frames as usize;
    for plane in 0..description.n_planes {
        for channel in 0..description.n_channels {
            let mut whole = vec![0u8; n_frames * frame_bytes];
            reader.read(plane, channel, 0, &mut whole).unwrap();
            for chunk in [1usize, 3] {
                for start in (0..n_frames).step_by(chunk) {
                    let n_here = chunk.min(n_frames - start);
                    let mut part = vec![0xa5u8; n_here * frame_bytes];
                    reader
                        .read(plane, channel, start as u64, &mut part)
                        .unwrap();
                    let expected = &whole[start * frame_bytes..][..part.len()];
                    assert!(part == expected, "{n_here} frames at {start}");
                }
            }
            std::thread::scope(|scope| {
                for thread in 0..4usize {
                    let whole = &whole;
                    scope.spawn(move || {
                        let first = thread * n_frames / 4;
                        let mut part = vec![0u8; (n_frames - first) * frame_bytes];
                        reader
                            .read(plane, channel, first as u64, &mut part)
                            .unwrap();
                        assert!(part == whole[first * frame_bytes..]);
                    });
                }
            });
        }
    }
    let mut one = vec![0u8; frame_bytes];
    for start in [n_frames as u64, u64::MAX] {
        assert!(matches!(
            reader.read(0, 0, start, &mut one),
            Err(IoError::FramesOutOfRange { .. })
        ));
    }
    for (plane, channel) in [(description.n_planes, 0), (0, description.n_channels)] {
        assert!(matches!(
            reader.read(plane, channel, 0, &mut one),
            Err(IoError::NoSuchPlane { .. })
        ));
    }
    let mut odd = vec![0u8; frame_bytes + 1];
    assert!(matches!(
        reader.read(0, 0, 0, &mut odd),
        Err(IoError::BufferNotWholeFrames { .. })
    ));
    reader.read(0, 0, n_frames as u64, &mut []).unwrap();
}

/// CRC-32 of the values as little-endian doubles, as zlib computes it.
pub fn crc32(values: &[f64]) -> u64 {
    let mut crc = u32::MAX;
    for byte in values.iter().flat_map(|value| value.to_le_bytes()) {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 {
                crc >> 1 ^ 0xedb8_8320
            } else {
                crc >> 1
            };
        }
    }
    u64::from(!crc)
}

/// Compares values with what `make_tiff.py` noted: the values themselves, or their CRC-32.
pub fn check_values(name: &str, values: &[f64], noted: &serde_json::Value) {
    let shape = noted["shape"].as_array().unwrap();
    let n_values: u64 = shape.iter().map(|side| side.as_u64().unwrap()).product();
    assert_eq!(values.len() as u64, n_values, "{name}");
    if let Some(expected) = noted["values"].as_array() {
        let expected: Vec<f64> = expected
            .iter()
            .map(|value| value.as_f64().unwrap())
            .collect();
        assert_eq!(values, expected, "{name}");
    } else {
        assert_eq!(
            crc32(values),
            noted["crc32"].as_u64().unwrap(),
            "{name}: {:?} …",
            &values[..8]
        );
    }
}
