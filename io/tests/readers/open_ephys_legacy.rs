//! Open Ephys sessions in the legacy format, written by `golden/make_open_ephys_legacy.py`, against what neo reads from them.

use somata_io::IoError;
use somata_io::recording::{OpenOptions, open};

use crate::suite::{
    check_reader, copy_folder, golden, golden_json, open_error, open_plain, read_all,
};

/// Bytes of the header and of a record.
const HEADER: usize = 1024;
const RECORD: usize = 12 + 2048 + 10;

fn stream(name: &str) -> OpenOptions {
    OpenOptions {
        stream: Some(name.to_owned()),
        ..OpenOptions::default()
    }
}

#[test]
fn each_session_equals_what_neo_reads() {
    let expected = golden_json("open_ephys_legacy/expected.json");
    assert_eq!(expected.as_object().unwrap().len(), 3);
    for (name, expected) in expected.as_object().unwrap() {
        let folder = golden("open_ephys_legacy").join(expected["folder"].as_str().unwrap());
        let reader = open(&folder, &stream(name)).unwrap();
        check_reader(&*reader);
        let description = reader.description();
        assert_eq!(
            description.sampling_frequency_hz,
            expected["rate"].as_f64().unwrap(),
            "{name}"
        );
        let ids: Vec<&str> = expected["ids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|id| id.as_str().unwrap())
            .collect();
        assert_eq!(description.channel_ids, ids, "{name}");
        for (gain, expected) in description
            .gains_uv
            .iter()
            .zip(expected["gains"].as_array().unwrap())
        {
            assert_eq!(*gain, expected.as_f64().unwrap() as f32, "{name}");
        }
        let segments = expected["segments"].as_array().unwrap();
        assert_eq!(description.segments.len(), segments.len(), "{name}");
        for (found, expected) in description.segments.iter().zip(segments) {
            assert_eq!(found.n_samples, expected[0].as_u64().unwrap(), "{name}");
            assert_eq!(found.start_time_s, expected[1].as_f64().unwrap(), "{name}");
        }
        for (index, sample) in read_all(&*reader).into_iter().enumerate() {
            let (t, channel) = (index / ids.len(), index % ids.len());
            assert_eq!(
                sample,
                ((37 * t + 1000 * channel) % 4001) as f64 - 2000.0,
                "{name}"
            );
        }
    }
}

#[test]
fn inputs_are_left_out_and_a_file_means_its_stream() {
    let board = open_plain(&golden("open_ephys_legacy/board"));
    assert!(
        board
            .description()
            .warnings
            .iter()
            .any(|warning| warning.contains("2 channels are left out"))
    );
    let one = golden("open_ephys_legacy/experiments/101_RhythmData-A_CH2_2.continuous");
    assert_eq!(open_plain(&one).description().n_samples, 2048);
    let error = open_error(
        &golden("open_ephys_legacy/experiments"),
        &OpenOptions::default(),
    );
    assert!(matches!(error, IoError::SeveralStreams { .. }));
    assert!(
        error.to_string().contains("`101_RhythmData-A_2`"),
        "{error}"
    );
    let error = open_error(&golden("open_ephys_legacy"), &OpenOptions::default());
    assert!(matches!(error, IoError::Ambiguous { .. }), "{error}");

    // Inputs alone are what there is to read; they are in volts.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("100_ADC1.continuous");
    std::fs::copy(golden("open_ephys_legacy/board/100_ADC1.continuous"), &path).unwrap();
    let reader = open_plain(folder.path());
    assert_eq!(reader.description().gains_uv, [152.58789]);
}

#[test]
fn damaged_files_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("open_ephys_legacy/board"), folder.path());
    let path = folder.path().join("100_CH3.continuous");
    let whole = std::fs::read(&path).unwrap();
    let says = |bytes: &[u8], part: &str| {
        std::fs::write(&path, bytes).unwrap();
        let error = open_error(folder.path(), &OpenOptions::default());
        assert!(error.to_string().contains(part), "`{part}`: {error}");
        assert!(error.to_string().contains("CH3"), "{error}");
    };
    says(&whole[..whole.len() - 1], "truncated");
    says(&whole[..whole.len() - RECORD], "truncated");
    says(&whole[..100], "truncated");
    let text = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let mut bytes = whole.clone();
        let at = bytes
            .windows(from.len())
            .position(|window| window == from.as_bytes())
            .unwrap();
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
        bytes
    };
    says(
        &text("version = 0.4", "version = 7.4"),
        "`header.version` is `7.4`",
    );
    says(
        &text("blockLength = 1024", "blockLength = 1000"),
        "`header.blockLength` is `1000`",
    );
    says(
        &text("sampleRate = 30000", "sampleRate = 20000"),
        "as in `100_CH1.continuous`",
    );
    says(
        &text("sampleRate = 30000", "sampleRate = hello"),
        "`header.sampleRate` is `hello`",
    );
    says(
        &text("header.bitVolts", "header.bitBolts"),
        "has no `header.bitVolts`",
    );
    let mut shifted = whole.clone();
    shifted[HEADER] ^= 1;
    says(&shifted, "record 0: it begins at 30001");
    let mut marked = whole.clone();
    marked[HEADER + RECORD - 1] = 0;
    says(&marked, "byte 1024: no record of 1024 samples");
}
