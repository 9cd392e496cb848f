//! Open Ephys sessions in the binary format, written by `golden/make_open_ephys.py`, against what neo reads from them.

use std::path::{Path, PathBuf};

use somata_io::IoError;
use somata_io::recording::{OpenOptions, open};

use crate::suite::{
    check_reader, copy_folder, golden, golden_json, open_error, open_plain, read_all,
};

/// The sample that the golden files hold in stored column `column` at time `t` of a recording.
fn expected_sample(t: usize, column: usize, recording: usize) -> f64 {
    ((37 * t + 1000 * column + 500 * recording) % 4001) as f64 - 2000.0
}

fn stream(name: &str) -> OpenOptions {
    OpenOptions {
        stream: Some(name.to_owned()),
        ..OpenOptions::default()
    }
}

const BOARD: &str = "open_ephys/board/Record Node 101/experiment1";

#[test]
fn each_layout_equals_what_neo_reads() {
    let expected = golden_json("open_ephys/expected.json");
    for (name, streams) in expected.as_object().unwrap() {
        for expected in streams.as_array().unwrap() {
            let options = stream(expected["stream"].as_str().unwrap());
            let reader = open(&golden("open_ephys").join(name), &options).unwrap();
            check_reader(&*reader);
            let description = reader.description();
            assert_eq!(
                description.sampling_frequency_hz,
                expected["rate"].as_f64().unwrap()
            );
            let ids: Vec<&str> = expected["ids"]
                .as_array()
                .unwrap()
                .iter()
                .map(|id| id.as_str().unwrap())
                .collect();
            assert_eq!(description.channel_ids, ids);
            let n_channels = ids.len();
            for channel in 0..n_channels {
                let gain = expected["gains"][channel].as_f64().unwrap() as f32;
                assert_eq!(description.gains_uv[channel], gain, "{name}");
            }
            let samples = read_all(&*reader);
            let mut start = 0;
            for (recording, expected) in expected["recordings"]
                .as_array()
                .unwrap()
                .iter()
                .enumerate()
            {
                let n = expected[0].as_u64().unwrap() as usize;
                let segment = description
                    .segments
                    .iter()
                    .find(|segment| segment.start_sample == start as u64)
                    .unwrap();
                // Quotients of the same two numbers, or their difference in the last digit.
                assert!(
                    (segment.start_time_s - expected[1].as_f64().unwrap()).abs() < 1e-12,
                    "{name}"
                );
                for t in 0..n {
                    for column in 0..n_channels {
                        assert_eq!(
                            samples[(start + t) * n_channels + column],
                            expected_sample(t, column, recording),
                            "{name}"
                        );
                    }
                }
                start += n;
            }
            assert_eq!(description.n_samples as usize, start);
        }
    }
}

#[test]
fn every_level_of_a_session_opens_it() {
    let session = golden("open_ephys/board");
    let levels = ["", "Record Node 101", "Record Node 101/experiment1"];
    for level in levels {
        assert_eq!(
            open_plain(&session.join(level)).description().n_samples,
            250,
            "{level}"
        );
    }
    let recording = "Record Node 101/experiment1/recording2";
    let stream = format!("{recording}/continuous/Acquisition_Board-100.Rhythm Data");
    for level in [
        recording,
        &format!("{recording}/structure.oebin"),
        &stream,
        &format!("{stream}/continuous.dat"),
    ] {
        let reader = open_plain(&session.join(level));
        assert_eq!(
            (
                reader.description().n_samples,
                reader.description().n_channels
            ),
            (100, 4),
            "{level}"
        );
    }
    // The folder of the slow band means the slow band.
    let slow = "open_ephys/bands/Record Node 102/experiment1/recording1/continuous/Neuropix-PXI-100.ProbeA-LFP";
    assert_eq!(
        open_plain(&golden(slow))
            .description()
            .sampling_frequency_hz,
        2500.0
    );
}

#[test]
fn recordings_and_gaps_are_segments_with_their_times() {
    let reader = open_plain(&golden("open_ephys/board"));
    let description = reader.description();
    let found: Vec<(u64, u64, f64)> = description
        .segments
        .iter()
        .map(|segment| {
            (
                segment.start_sample,
                segment.n_samples,
                segment.start_time_s * 30_000.0,
            )
        })
        .collect();
    let expected = [
        (0, 150, 15_000.0),
        (150, 40, 90_000.0),
        (190, 1, 90_047.0),
        (191, 59, 90_648.0),
    ];
    for (found, expected) in found.iter().zip(expected) {
        // A quotient times its divisor.
        assert!(
            found.0 == expected.0 && found.1 == expected.1 && (found.2 - expected.2).abs() < 1e-6,
            "{found:?}"
        );
    }
    assert_eq!(found.len(), 4);
    let told = |part: &str| {
        description
            .warnings
            .iter()
            .any(|warning| warning.contains(part))
    };
    assert!(told("2 gaps"));
    assert!(told(
        "2 channels are left out (analog inputs): ADC1 to ADC2"
    ));
    assert!(told("1 channels are left out (auxiliary inputs): AUX1"));
    assert!(description.raw.is_none());

    let one = open_plain(&golden(BOARD).join("recording1"));
    let raw = one.description().raw.clone().unwrap();
    assert_eq!((raw.n_channels, raw.columns), (7, vec![0, 1, 2, 3]));
}

#[test]
fn the_fast_band_is_usual_and_a_part_of_a_name_chooses() {
    let bands = golden("open_ephys/bands");
    let usual = open_plain(&bands);
    assert_eq!(usual.description().channel_ids, ["AP0", "AP1", "AP2"]);
    assert!(
        usual
            .description()
            .warnings
            .iter()
            .any(|warning| warning.contains("ProbeA-LFP") && warning.contains("--stream"))
    );
    let slow = open(&bands, &stream("lfp")).unwrap();
    assert_eq!(slow.description().channel_ids, ["LFP0", "LFP1", "LFP2"]);
    let error = open_error(&bands, &stream("ProbeB"));
    assert!(matches!(error, IoError::NoSuchStream { .. }));
    assert!(error.to_string().contains("ProbeA-AP"), "{error}");
    let error = open_error(&bands, &stream("ProbeA"));
    assert!(matches!(error, IoError::SeveralStreams { .. }), "{error}");
    let error = open_error(&golden("nsx/spec22.ns5"), &stream("a"));
    assert!(error.to_string().contains("one stream only"), "{error}");
}

#[test]
fn two_experiments_are_ambiguous_and_recordings_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    let node = folder.path().join("node");
    copy_folder(&golden(BOARD), &node.join("experiment1"));
    copy_folder(
        &golden(BOARD).join("recording1"),
        &node.join("experiment2/recording1"),
    );
    let error = open_error(&node, &OpenOptions::default());
    assert!(
        matches!(error, IoError::Ambiguous { .. }) && error.to_string().contains("experiment2"),
        "{error}"
    );
    assert_eq!(
        open_plain(&node.join("experiment2"))
            .description()
            .n_samples,
        150
    );

    let second = node.join("experiment1/recording2/structure.oebin");
    change(&second, "0.195", "0.25");
    let error = open_error(&node.join("experiment1"), &OpenOptions::default());
    assert!(
        error.to_string().contains("as in the first recording"),
        "{error}"
    );
    change(&second, "Acquisition_Board-100.Rhythm Data/", "Other");
    assert!(matches!(
        open_error(&node.join("experiment1"), &OpenOptions::default()),
        IoError::NoSuchStream { .. }
    ));
}

#[test]
fn damaged_sessions_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording1");
    copy_folder(&golden(BOARD).join("recording1"), &recording);
    let structure = recording.join("structure.oebin");
    let text = std::fs::read_to_string(&structure).unwrap();
    let data = recording.join("continuous/Acquisition_Board-100.Rhythm Data/continuous.dat");
    let says = |part: &str| {
        let error = open_error(&recording, &OpenOptions::default());
        assert!(error.to_string().contains(part), "`{part}`: {error}");
    };
    let whole = std::fs::read(&data).unwrap();
    std::fs::write(&data, &whole[..whole.len() - 14]).unwrap();
    says("truncated");
    std::fs::write(&data, &whole[..whole.len() - 1]).unwrap();
    says("multiple of 14");
    std::fs::remove_file(&data).unwrap();
    says("does not exist");
    std::fs::write(&data, &whole).unwrap();
    // A structure may not lead out of its folder.
    for place in ["../../../elsewhere/", "/etc/", "a/../../b", ""] {
        std::fs::write(
            &structure,
            text.replace("Acquisition_Board-100.Rhythm Data/", place),
        )
        .unwrap();
        says("folder_name");
    }
    for (from, to, part) in [
        ("\"uV\"", "\"bar\"", "`units` is `bar`"),
        ("30000.0", "0", "sampling frequency"),
        ("0.195", "0.0", "gain of channel CH1"),
        ("0.195", "\"x\"", "bit_volts"),
        (
            "\"channels\": [",
            "\"channels\": [], \"others\": [",
            "at least one channel",
        ),
        (
            "\"continuous\": [",
            "\"continuous\": [], \"others\": [",
            "at least one stream",
        ),
        ("\"continuous\": [", "\"else\": [", "has no `continuous`"),
        ("{", "[", "not valid JSON"),
    ] {
        std::fs::write(
            &structure,
            text.replacen(from, to, if from == "0.195" { 9 } else { 1 }),
        )
        .unwrap();
        says(part);
    }
}

#[test]
fn numbers_that_are_fewer_or_of_no_order_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("recording1");
    copy_folder(&golden(BOARD).join("recording1"), &recording);
    let numbers: PathBuf =
        recording.join("continuous/Acquisition_Board-100.Rhythm Data/sample_numbers.npy");
    somata_io::npy::write_npy(&numbers, &[100], &(7..107).collect::<Vec<i64>>()).unwrap();
    let warned = |part: &str| {
        let reader = open_plain(&recording);
        check_reader(&*reader);
        assert!(
            reader
                .description()
                .warnings
                .iter()
                .any(|warning| warning.contains(part)),
            "{part}"
        );
    };
    warned("numbers 100 of 150 samples");
    // Without numbers the synchronised times say when the stream starts.
    std::fs::remove_file(&numbers).unwrap();
    assert_eq!(
        open_plain(&recording).description().segments[0].start_time_s,
        0.75
    );
    std::fs::remove_file(numbers.with_file_name("timestamps.npy")).unwrap();
    warned("no sample numbers");
    // Extremes must not overflow.
    let wild: Vec<i64> = (0..150i64)
        .map(|i| if i % 2 == 0 { i64::MIN } else { 0 })
        .collect();
    somata_io::npy::write_npy(&numbers, &[150], &wild).unwrap();
    warned("149 gaps");
}

/// Replaces a part of a text file.
fn change(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replace(from, to)).unwrap();
}
