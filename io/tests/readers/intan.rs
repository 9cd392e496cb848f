//! Intan recordings of each layout and version, written by `golden/make_intan.py`, against what neo reads from them.

use std::path::Path;

use somata_io::IoError;
use somata_io::recording::{OpenOptions, SampleType};

use crate::suite::{
    check_reader, copy_folder, golden, golden_json, open_error, open_plain, read_all,
};

/// The signed sample that the golden files hold in amplifier channel `channel` at time `t`.
fn expected_sample(t: usize, channel: usize) -> f64 {
    ((37 * t + 1000 * channel) % 4001) as f64 - 2000.0
}

/// Bytes of the header and of a data block of a golden traditional file with `n_blocks` blocks of `block_bytes`.
fn header_bytes(path: &Path, n_blocks: usize, block_bytes: usize) -> usize {
    std::fs::metadata(path).unwrap().len() as usize - n_blocks * block_bytes
}

/// A block of `v33.rhd`: numbers, three amplifiers, two auxiliary channels at a quarter, one supply value, one analog input.
const V33_BLOCK: usize = 4 * 128 + 3 * 256 + 2 * 64 + 2 + 256;

#[test]
fn each_layout_and_version_equals_what_neo_reads() {
    let expected = golden_json("intan/expected.json");
    assert_eq!(expected.as_object().unwrap().len(), 12);
    for (name, expected) in expected.as_object().unwrap() {
        let reader = open_plain(&golden("intan").join(name));
        check_reader(&*reader);
        let description = reader.description();
        assert_eq!(
            description.sampling_frequency_hz,
            expected["rate"].as_f64().unwrap(),
            "{name}"
        );
        assert_eq!(
            description.n_samples,
            expected["n_samples"].as_u64().unwrap(),
            "{name}"
        );
        assert_eq!(
            description.channel_ids,
            ["A-000", "A-003", "B-017"],
            "{name}"
        );
        let start = expected["start"].as_u64().unwrap() as usize;
        for channel in 0..3 {
            assert_eq!(
                description.channel_ids[channel],
                expected["ids"][channel].as_str().unwrap()
            );
            assert_eq!(
                description.gains_uv[channel],
                expected["gains"][channel].as_f64().unwrap() as f32
            );
            assert_eq!(
                description.offsets_uv[channel],
                expected["offsets"][channel].as_f64().unwrap() as f32
            );
        }
        // Samples without a sign are 32,768 more.
        let shift = if description.sample_type == SampleType::U16 {
            32_768.0
        } else {
            0.0
        };
        for (index, sample) in read_all(&*reader).into_iter().enumerate() {
            assert_eq!(
                sample - shift,
                expected_sample(start + index / 3, index % 3),
                "{name}"
            );
        }
    }
}

#[test]
fn the_folder_or_any_of_its_files_opens_a_recording() {
    for name in [
        "signals",
        "signals/amplifier.dat",
        "signals/time.dat",
        "channels",
        "channels/amp-A-003.dat",
        "channels_stim",
    ] {
        let reader = open_plain(&golden("intan").join(name));
        assert_eq!(
            (
                reader.description().n_samples,
                reader.description().n_channels
            ),
            (200, 3),
            "{name}"
        );
        // The clock of `time.dat` begins at 3,000.
        assert_eq!(reader.description().segments[0].start_time_s, 0.1, "{name}");
    }
    assert!(
        open_plain(&golden("intan/signals"))
            .description()
            .raw
            .is_some()
    );
    // Before a trigger the clock is negative.
    let before = open_plain(&golden("intan/v12.rhd"));
    assert_eq!(
        before.description().segments[0].start_time_s,
        -60.0 / 20_000.0
    );
    assert_eq!(before.description().segments.len(), 1);
}

#[test]
fn files_of_one_session_are_joined_where_the_clock_goes_on() {
    let reader = open_plain(&golden("intan/session"));
    check_reader(&*reader);
    let description = reader.description();
    assert_eq!(description.n_samples, 384);
    assert_eq!(description.segments.len(), 1);
    assert!(
        description
            .warnings
            .iter()
            .any(|warning| warning.contains("2 files are joined"))
    );
    for (index, sample) in read_all(&*reader).into_iter().enumerate() {
        assert_eq!(sample - 32_768.0, expected_sample(index / 3, index % 3));
    }

    // Another start of the clock begins a segment.
    let folder = tempfile::tempdir().unwrap();
    let session = folder.path().join("session");
    copy_folder(&golden("intan/session"), &session);
    std::fs::copy(
        golden("intan/session/s_261101_090000.rhd"),
        session.join("s_261101_110000.rhd"),
    )
    .unwrap();
    let reader = open_plain(&session);
    check_reader(&*reader);
    let starts: Vec<(u64, u64)> = reader
        .description()
        .segments
        .iter()
        .map(|s| (s.start_sample, s.n_samples))
        .collect();
    assert_eq!(starts, [(0, 384), (384, 256)]);

    // Files that do not fit are not joined, and two folders are a question.
    std::fs::copy(golden("intan/v20.rhd"), session.join("s_261101_120000.rhd")).unwrap();
    let error = open_error(&session, &OpenOptions::default());
    assert!(error.to_string().contains("with equal names"), "{error}");
    copy_folder(&golden("intan/signals"), &folder.path().join("signals"));
    assert!(matches!(
        open_error(folder.path(), &OpenOptions::default()),
        IoError::Ambiguous { .. }
    ));
}

#[test]
fn lost_samples_begin_a_segment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rhd");
    let mut bytes = std::fs::read(golden("intan/v33.rhd")).unwrap();
    let header = header_bytes(&golden("intan/v33.rhd"), 3, V33_BLOCK);
    // From the 10th sample of the second block on, the clock is 50 ahead.
    for sample in 128 + 10..384usize {
        let at = header + sample / 128 * V33_BLOCK + sample % 128 * 4;
        bytes[at..at + 4].copy_from_slice(&(sample as i32 + 50).to_le_bytes());
    }
    std::fs::write(&path, &bytes).unwrap();
    let reader = open_plain(&path);
    check_reader(&*reader);
    let found: Vec<(u64, u64)> = reader
        .description()
        .segments
        .iter()
        .map(|s| (s.start_sample, s.n_samples))
        .collect();
    assert_eq!(found, [(0, 138), (138, 246)]);
    assert!((reader.description().segments[1].start_time_s - 188.0 / 30_000.0).abs() < 1e-12);
    assert!(
        reader
            .description()
            .warnings
            .iter()
            .any(|warning| warning.contains("missing at 1 places"))
    );
}

#[test]
fn damaged_files_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.rhd");
    let whole = std::fs::read(golden("intan/v33.rhd")).unwrap();
    let header = header_bytes(&golden("intan/v33.rhd"), 3, V33_BLOCK);
    let says = |bytes: &[u8], part: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = open_error(&path, &OpenOptions::default());
        assert!(error.to_string().contains(part), "`{part}`: {error}");
    };
    says(&whole[..whole.len() - 1], "truncated");
    for n_bytes in 0..header {
        says(&whole[..n_bytes], "truncated");
    }
    let changed = |at: usize, bytes: &[u8]| {
        let mut all = whole.clone();
        all[at..at + bytes.len()].copy_from_slice(bytes);
        all
    };
    says(&changed(0, b"RIFF"), "neither Intan's RHD nor RHS");
    says(&changed(4, &9i16.to_le_bytes()), "`version` is `9.3`");
    says(&changed(8, &f32::NAN.to_le_bytes()), "sampling frequency");
    // The first note: lengths that are odd or beyond the file.
    says(&changed(48, &3u32.to_le_bytes()), "odd number of bytes");
    says(&changed(48, &0xffff_fff0u32.to_le_bytes()), "truncated");
    // A recording of inputs alone has nothing to sort.
    let board_only = std::fs::read(golden("intan/signals/info.rhd")).unwrap();
    let name = |text: &str| {
        text.encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>()
    };
    let mut bytes = board_only.clone();
    for channel in ["A-000", "A-003", "B-017"] {
        let native = name(channel);
        let custom = name(&format!("my {channel} µ"));
        let at = bytes
            .windows(custom.len())
            .position(|window| window == custom)
            .unwrap();
        assert!(
            bytes[..at]
                .windows(native.len())
                .any(|window| window == native)
        );
        // Two orders, then the kind, then whether it is saved.
        bytes[at + custom.len() + 6..][..2].fill(0);
    }
    says(&bytes, "no amplifier channel");
}

#[test]
fn separate_files_must_agree_and_absent_ones_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let channels = folder.path().join("channels");
    copy_folder(&golden("intan/channels"), &channels);
    let error = |part: &str| {
        let error = open_error(&channels, &OpenOptions::default());
        assert!(error.to_string().contains(part), "`{part}`: {error}");
    };
    std::fs::remove_file(channels.join("amp-A-003.dat")).unwrap();
    let reader = open_plain(&channels);
    check_reader(&*reader);
    assert_eq!(reader.description().channel_ids, ["A-000", "B-017"]);
    assert!(
        reader
            .description()
            .warnings
            .iter()
            .any(|warning| warning.contains("`amp-A-003.dat`"))
    );
    assert_eq!(read_all(&*reader)[3], expected_sample(1, 2));

    let time = std::fs::read(channels.join("time.dat")).unwrap();
    std::fs::write(channels.join("time.dat"), &time[..time.len() - 4]).unwrap();
    error("time.dat` is truncated");
    std::fs::write(channels.join("time.dat"), [&time[..], &[0; 8]].concat()).unwrap();
    error("amp-A-000.dat` is truncated: it should have 404 bytes and has 400");
    std::fs::remove_file(channels.join("time.dat")).unwrap();
    assert!(
        open_plain(&channels)
            .description()
            .warnings
            .iter()
            .any(|warning| warning.contains("no `time.dat`"))
    );
    std::fs::write(channels.join("amp-B-017.dat"), [0; 398]).unwrap();
    error("amp-B-017.dat` is truncated: it should have 400 bytes and has 398");
    for name in ["amp-A-000.dat", "amp-B-017.dat"] {
        std::fs::remove_file(channels.join(name)).unwrap();
    }
    error("amplifier.dat` does not exist");
}
