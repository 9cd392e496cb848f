//! Files that mtscomp compressed (`golden/make_mtscomp.py`) give the samples that went in.

use std::path::Path;

use somata_io::recording::{OpenOptions, SampleType, open};

use crate::suite::{check_reader, copy_folder, golden, open_error, open_plain, read_all};

/// The sample of a channel at a time, as 16 bits without sign.
fn expected_bits(t: usize, channel: usize) -> u16 {
    ((37 * t + 9000 * channel + t * t / 7) % 65_536) as u16
}

fn gain() -> OpenOptions {
    OpenOptions {
        gain_uv: Some(2.5),
        ..OpenOptions::default()
    }
}

#[test]
fn each_way_of_compressing_is_undone() {
    for name in [
        "usual",
        "no_time_diff",
        "spatial_diff",
        "spatial_only",
        "sample_major",
        "int32",
        "uint16",
    ] {
        let path = golden("mtscomp").join(format!("{name}.cbin"));
        let reader = open(&path, &gain()).unwrap();
        check_reader(&*reader);
        let description = reader.description();
        assert_eq!(
            (description.n_samples, description.n_channels),
            (700, 5),
            "{name}"
        );
        assert_eq!(description.sampling_frequency_hz, 300.0);
        assert_eq!(description.gains_uv, [2.5; 5]);
        for (index, sample) in read_all(&*reader).into_iter().enumerate() {
            let bits = expected_bits(index / 5, index % 5);
            let expected = match description.sample_type {
                SampleType::U16 => f64::from(bits),
                _ => f64::from(bits as i16),
            };
            assert_eq!(sample, expected, "{name} {index}");
        }
    }
    let bare = open_plain(&golden("mtscomp/usual.ch"));
    assert!(
        bare.description()
            .warnings
            .iter()
            .any(|warning| warning.contains("1 µV"))
    );
}

#[test]
fn with_a_meta_file_it_is_the_recording_that_was_compressed() {
    let folder = golden("mtscomp/spikeglx");
    let name = "run_g0_t0.imec0.ap";
    for path in [
        folder.clone(),
        folder.join(format!("{name}.cbin")),
        folder.join(format!("{name}.ch")),
    ] {
        let reader = open_plain(&path);
        check_reader(&*reader);
        for (index, sample) in read_all(&*reader).into_iter().enumerate() {
            assert_eq!(
                sample,
                f64::from(expected_bits(index / 4, index % 4) as i16)
            );
        }
    }
    // The same description as of the file before it was compressed.
    let bare = tempfile::tempdir().unwrap();
    let samples: Vec<u8> = (0..700 * 5)
        .flat_map(|index| expected_bits(index / 5, index % 5).to_le_bytes())
        .collect();
    std::fs::write(bare.path().join(format!("{name}.bin")), samples).unwrap();
    std::fs::copy(
        folder.join(format!("{name}.meta")),
        bare.path().join(format!("{name}.meta")),
    )
    .unwrap();
    let (plain, compressed) = (open_plain(bare.path()), open_plain(&folder));
    let (plain, compressed) = (plain.description(), compressed.description());
    assert_eq!(plain.gains_uv, compressed.gains_uv);
    assert_eq!(plain.channel_ids, compressed.channel_ids);
    assert_eq!(plain.probe, compressed.probe);
    assert_eq!(plain.sample_delay, compressed.sample_delay);
    assert_eq!(plain.segments, compressed.segments);
    assert_eq!(plain.warnings, compressed.warnings);
    assert_eq!(compressed.segments[0].start_time_s, 2.0);
}

#[test]
fn damaged_files_are_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let at = |end: &str| folder.path().join(format!("usual.{end}"));
    copy_folder(&golden("mtscomp"), folder.path());
    let table = std::fs::read_to_string(at("ch")).unwrap();
    let says = |from: &str, to: &str, part: &str| {
        assert!(table.contains(from), "{from}");
        std::fs::write(at("ch"), table.replacen(from, to, 1)).unwrap();
        let error = open_error(&at("cbin"), &gain());
        assert!(error.to_string().contains(part), "`{part}`: {error}");
        std::fs::write(at("ch"), &table).unwrap();
    };
    says("zlib", "lzma", "`algorithm` is `lzma`");
    says("\"F\"", "\"A\"", "`F` or `C`");
    says("int16", "float32", "`dtype` is `float32`");
    says(
        "\"n_channels\": 5",
        "\"n_channels\": 0",
        "`n_channels` is `0`",
    );
    says("\"n_channels\"", "\"n\"", "has no `n_channels`");
    says("300,", "900,", "ascending");
    says("    198,\n", "", "a list of 3");
    says(
        "700\n  ],",
        "70000000\n  ],",
        "`chunk 2` is `69999400 samples in 95 bytes`",
    );
    says("    700\n", "    18446744073709551615\n", "chunk 2");
    says("495", "600", "truncated");
    says(
        "\"sample_rate\": 300.0",
        "\"sample_rate\": -1",
        "sampling frequency",
    );
    let whole = std::fs::read(at("cbin")).unwrap();
    std::fs::write(at("cbin"), &whole[..400]).unwrap();
    assert!(
        open_error(&at("cbin"), &gain())
            .to_string()
            .contains("truncated")
    );
    std::fs::remove_file(at("ch")).unwrap();
    assert!(
        open_error(&at("cbin"), &gain())
            .to_string()
            .contains("usual.ch` does not exist")
    );
}

#[test]
fn a_damaged_chunk_is_an_error_where_it_is_read_and_the_others_are_whole() {
    let folder = tempfile::tempdir().unwrap();
    copy_folder(&golden("mtscomp"), folder.path());
    let path = folder.path().join("usual.cbin");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[198 + 40] ^= 0xff;
    std::fs::write(&path, &bytes).unwrap();
    let reader = open(&path, &gain()).unwrap();
    let mut frames = vec![0u8; 300 * 10];
    reader.read(0, &mut frames).unwrap();
    let error = reader.read(10, &mut frames).unwrap_err();
    assert!(error.to_string().contains("chunk 1, byte 198"), "{error}");
    reader.read(600, &mut frames[..1000]).unwrap();

    // A chunk that is longer or shorter than the table says.
    for (bound, than) in [("299", "more"), ("301", "fewer")] {
        copy_folder(&golden("mtscomp"), folder.path());
        let table = folder.path().join("usual.ch");
        replace(&table, "    300,\n", &format!("    {bound},\n"));
        let reader = open(&path, &gain()).unwrap();
        let error = reader.read(0, &mut frames[..10]).unwrap_err();
        assert!(error.to_string().contains(than), "{error}");
    }
    // A meta file of another recording.
    let run = folder.path().join("spikeglx");
    replace(
        &run.join("run_g0_t0.imec0.ap.ch"),
        "\"n_channels\": 5",
        "\"n_channels\": 7",
    );
    let error = open_error(&run, &OpenOptions::default());
    assert!(
        error
            .to_string()
            .contains("`n_channels` is `7`, expected 5"),
        "{error}"
    );
}

/// Replaces a part of a text file.
fn replace(path: &Path, from: &str, to: &str) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains(from));
    std::fs::write(path, text.replace(from, to)).unwrap();
}
