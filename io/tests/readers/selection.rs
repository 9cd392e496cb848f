//! Parts of recordings, and several recordings as one, against the whole ones.

use std::path::{Path, PathBuf};

use somata_io::IoError;
use somata_io::recording::selection::{Selected, Selection, open_selected};
use somata_io::recording::{OpenOptions, Segment};

use crate::suite::{check_reader, golden, open_plain, read_all};

/// Opens a part, which must work.
fn part(paths: &[PathBuf], options: &OpenOptions, selection: &Selection) -> Selected {
    let selected =
        open_selected(paths, options, selection).unwrap_or_else(|error| panic!("{error}"));
    check_reader(&*selected.reader);
    selected
}

/// The message and hint of a part that must not open.
fn refusal(paths: &[PathBuf], selection: &Selection) -> (String, String) {
    let error = open_selected(paths, &OpenOptions::default(), selection)
        .err()
        .unwrap();
    (error.to_string(), error.hint().unwrap_or_default())
}

fn channels(text: &str) -> Selection {
    Selection {
        channels: Some(text.to_owned()),
        ..Selection::default()
    }
}

fn times(start_s: Option<f64>, end_s: Option<f64>) -> Selection {
    Selection {
        start_s,
        end_s,
        ..Selection::default()
    }
}

/// A recording of four channels with a map, in one flat file.
fn blackrock() -> PathBuf {
    golden("nsx/spec22.ns5")
}

#[test]
fn a_part_has_the_samples_of_the_whole() {
    for path in [
        blackrock(),
        golden("intan/v33.rhd"),
        golden("mtscomp/spikeglx"),
        golden("open_ephys/board"),
        golden("intan/channels"),
    ] {
        let whole = open_plain(&path);
        let description = whole.description();
        let (n, rate) = (description.n_channels, description.sampling_frequency_hz);
        let samples = read_all(&*whole);
        let selection = Selection {
            start_s: Some(30.0 / rate),
            end_s: Some(121.0 / rate),
            channels: Some("0,2".to_owned()),
        };
        let selected = part(
            std::slice::from_ref(&path),
            &OpenOptions::default(),
            &selection,
        );
        let found = selected.reader.description();
        assert_eq!((found.n_samples, found.n_channels), (91, 2));
        assert_eq!(
            (selected.first_sample, &selected.rows[..]),
            (30, &[0, 2][..])
        );
        assert_eq!(selected.n_channels_whole, n);
        for (place, &row) in selected.rows.iter().enumerate() {
            assert_eq!(found.channel_ids[place], description.channel_ids[row]);
            assert_eq!(found.gains_uv[place], description.gains_uv[row]);
            assert_eq!(found.offsets_uv[place], description.offsets_uv[row]);
            if let (Some(part), Some(whole)) = (&found.sample_delay, &description.sample_delay) {
                assert_eq!(part[place], whole[row]);
            }
            if let (Some(part), Some(whole)) = (&found.probe, &description.probe) {
                assert_eq!(
                    (part.contacts[place].x_um, part.contacts[place].y_um),
                    (whole.contacts[row].x_um, whole.contacts[row].y_um)
                );
            }
        }
        for (index, sample) in read_all(&*selected.reader).into_iter().enumerate() {
            let row = selected.rows[index % 2];
            assert_eq!(
                sample,
                samples[(30 + index / 2) * n + row],
                "{}",
                path.display()
            );
        }
    }
}

#[test]
fn a_part_of_a_flat_file_knows_where_its_samples_lie() {
    let selection = Selection {
        channels: Some("1-2".to_owned()),
        ..times(Some(0.001), None)
    };
    let selected = part(&[blackrock()], &OpenOptions::default(), &selection);
    let whole = open_plain(&blackrock()).description().raw.clone().unwrap();
    let raw = selected.reader.description().raw.clone().unwrap();
    assert_eq!(raw.offset_bytes, whole.offset_bytes + 30 * 4 * 2);
    assert_eq!((raw.n_channels, raw.columns), (4, vec![1, 2]));
    assert_eq!(selected.reader.description().segments.len(), 1);
}

#[test]
fn segments_are_cut_and_keep_their_times() {
    let path = golden("open_ephys/board");
    let rate = 30_000.0;
    // Segments of the whole: 150, 40, 1 and 59 samples.
    let selected = part(
        &[path],
        &OpenOptions::default(),
        &times(Some(100.0 / rate), Some(191.0 / rate)),
    );
    let found: Vec<Segment> = selected.reader.description().segments.clone();
    let expected = [(0, 50, 15_100.0), (50, 40, 90_000.0), (90, 1, 90_047.0)];
    assert_eq!(found.len(), 3);
    for (found, (start, n, number)) in found.iter().zip(expected) {
        assert_eq!((found.start_sample, found.n_samples), (start, n));
        // Sums and quotients of the same numbers.
        assert!((found.start_time_s - number / rate).abs() < 1e-9);
    }
}

#[test]
fn channels_are_rows_names_and_ranges_of_either() {
    let intan = golden("intan/v33.rhd");
    let rows = |path: &Path, text: &str| {
        part(&[path.to_owned()], &OpenOptions::default(), &channels(text)).rows
    };
    for (text, expected) in [
        ("2,0", vec![0, 2]),
        ("0-1", vec![0, 1]),
        (" 1 - 2 ,1", vec![1, 2]),
        ("B-017", vec![2]),
        ("A-000-A-003", vec![0, 1]),
        ("A-003-2", vec![1, 2]),
        ("0-2", vec![0, 1, 2]),
    ] {
        assert_eq!(rows(&intan, text), expected, "{text}");
    }
    for (text, what) in [
        ("3", "`3` is no channel"),
        ("0-3", "`0-3` is no channel"),
        ("2-1", "runs backwards"),
        ("A-001", "`A-001` is no channel"),
        ("", "`` is no channel"),
        ("0,", "`` is no channel"),
        ("99999999999999999999999", "is no channel"),
        ("wired", "needs a probe"),
    ] {
        let (message, hint) = refusal(std::slice::from_ref(&intan), &channels(text));
        assert!(message.contains(what), "{text}: {message}");
        assert!(
            hint.contains("rows from 0 to 2") && hint.contains("`A-000`"),
            "{hint}"
        );
    }
}

#[test]
fn times_outside_of_the_recording_are_refused() {
    let path = golden("mtscomp/spikeglx");
    for (start_s, end_s, what) in [
        (Some(-1.0), None, "`--start-s -1`"),
        (Some(f64::NAN), None, "is not a time"),
        (None, Some(2.34), "`--end-s 2.34` is beyond the end"),
        (Some(1e300), None, "is beyond the end"),
        (Some(1.0), Some(1.0), "leaves nothing"),
        (None, Some(0.0), "leaves nothing"),
        (Some(7.0 / 3.0), None, "leaves nothing"),
    ] {
        let (message, hint) = refusal(std::slice::from_ref(&path), &times(start_s, end_s));
        assert!(message.contains(what), "{message}");
        assert!(hint.contains("2.333 s"), "{hint}");
    }
    // The end itself is not beyond the end.
    let whole = part(
        &[path],
        &OpenOptions::default(),
        &times(None, Some(2.3333333)),
    );
    assert_eq!(whole.reader.description().n_samples, 700);
}

#[test]
fn a_probe_of_some_channels_fits_when_the_others_are_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.dat");
    std::fs::write(
        &path,
        (0..400u16).flat_map(u16::to_le_bytes).collect::<Vec<u8>>(),
    )
    .unwrap();
    let options = OpenOptions {
        sampling_frequency_hz: Some(1000.0),
        n_channels: Some(10),
        dtype: Some("int16".to_owned()),
        gain_uv: Some(1.0),
        probe: Some(golden("probes/chanMap.mat")),
        ..OpenOptions::default()
    };
    let paths = [path];
    let error = open_selected(&paths, &options, &Selection::default())
        .err()
        .unwrap();
    assert!(matches!(error, IoError::ProbeMismatch { .. }));
    assert!(error.hint().unwrap().contains("--channels wired"));
    let wired = part(&paths, &options, &channels("wired"));
    assert_eq!(wired.rows, [0, 1, 2, 3, 5, 6, 7, 8, 9]);
    let description = wired.reader.description();
    assert!(description.paths.contains(&golden("probes/chanMap.mat")));
    let probe = somata_io::probe::read(&golden("probes/chanMap.mat")).unwrap();
    for (contact, expected) in description
        .probe
        .as_ref()
        .unwrap()
        .contacts
        .iter()
        .zip(&probe.contacts)
    {
        assert_eq!(wired.rows[contact.channel], expected.channel);
        assert_eq!((contact.x_um, contact.y_um), (expected.x_um, expected.y_um));
    }
    assert_eq!(read_all(&*wired.reader)[9], 10.0);
    // Row 4 has no contact.
    let error = open_selected(&paths, &options, &channels("3-5"))
        .err()
        .unwrap();
    assert!(
        error.to_string().contains("2 contacts are wired"),
        "{error}"
    );
}

#[test]
fn several_recordings_are_one_with_a_segment_each() {
    let paths = [
        golden("intan/session/s_261101_100000.rhd"),
        golden("intan/v33.rhd"),
        golden("intan/session/s_261101_090000.rhd"),
    ];
    let joined = part(&paths, &OpenOptions::default(), &Selection::default());
    let description = joined.reader.description();
    let mut samples = Vec::new();
    let mut start = 0;
    for (index, path) in paths.iter().enumerate() {
        let one = open_plain(path);
        samples.extend(read_all(&*one));
        let n_samples = one.description().n_samples;
        assert_eq!(
            (
                joined.parts[index].start_sample,
                joined.parts[index].n_samples
            ),
            (start, n_samples)
        );
        assert_eq!(joined.parts[index].path, *path);
        let segment = description.segments[index];
        assert_eq!(
            (segment.start_sample, segment.n_samples),
            (start, n_samples)
        );
        assert_eq!(
            segment.start_time_s,
            one.description().segments[0].start_time_s
        );
        assert!(description.paths.contains(path));
        start += n_samples;
    }
    assert_eq!(description.segments.len(), 3);
    assert_eq!(description.n_samples, start);
    assert!(description.raw.is_none());
    assert!(read_all(&*joined.reader) == samples);

    // A part of the whole: the end of the first, all of the second, the beginning of the third.
    let rate = description.sampling_frequency_hz;
    let selected = part(
        &paths,
        &OpenOptions::default(),
        &times(Some(100.0 / rate), Some(600.0 / rate)),
    );
    let parts: Vec<(u64, u64)> = selected
        .parts
        .iter()
        .map(|part| (part.start_sample, part.n_samples))
        .collect();
    assert_eq!(parts, [(0, 28), (28, 384), (412, 88)]);
    assert!(read_all(&*selected.reader) == samples[300..1800]);
    // One that is given twice is read twice.
    let twice = part(
        &[blackrock(), blackrock()],
        &OpenOptions::default(),
        &Selection::default(),
    );
    assert_eq!(
        (
            twice.reader.description().n_samples,
            twice.reader.description().paths.len()
        ),
        (400, 1)
    );
}

#[test]
fn recordings_that_differ_are_not_joined() {
    let nsx = |name: &str| golden("nsx").join(name);
    for (other, what) in [
        (
            nsx("spec23_1khz.ns2"),
            "the sampling frequency is 1000 Hz, expected 30000 Hz, as in `spec22.ns5`",
        ),
        (
            golden("open_ephys/board"),
            "the number of channels is 4, expected 3",
        ),
        (
            golden("intan/v33.rhd"),
            "the sample type is uint16, expected int16",
        ),
        (
            golden("intan/channels"),
            "the name of channel 0 is `A-000`, expected `chan3`",
        ),
    ] {
        let (message, hint) = refusal(&[blackrock(), other.clone()], &Selection::default());
        assert!(message.contains(what), "{message}");
        assert!(
            message.contains(other.file_name().unwrap().to_str().unwrap()),
            "{message}"
        );
        assert!(hint.contains("same channels"), "{hint}");
    }
    let (message, _) = refusal(&[nsx("spec21.ns5"), blackrock()], &Selection::default());
    assert!(
        message.contains("cannot follow the first recording"),
        "{message}"
    );
}
