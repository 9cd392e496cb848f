//! The same samples in every format that is read give the same spikes.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use serde_json::json;

use crate::{
    data::{GAIN_UV, RATE_HZ, bytes_of, change_json, positions, samples, tetrode, write_samples},
    hdf5::{Attribute, Hdf5},
    movies::{FRAMES, SIDE, image, image_at_its_own_rate, imaging_answer, small, small_pixels},
    run::{answer, assert_same, json, manifest, run, somata, sort},
};

const N_CHANNELS: usize = 4;

/// Sorts with an option that all formats can share: only SpikeGLX tells when a channel is sampled.
#[track_caller]
fn sorted(
    recording: &Path,
    out: &Path,
    options: &[&str],
) -> std::collections::BTreeMap<String, Vec<u8>> {
    run(sort(recording, out)
        .args(["--set", "preprocessing.phase_shift=false"])
        .args(options))
    .succeeds();
    let mut files = answer(out);
    // It names the raw file, which is another one in each format.
    files.remove("params.py").expect("params.py");
    files
}

#[test]
fn every_format_gives_the_same_spikes() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let recording = tetrode(folder.path());
    let probe = recording.join("probe.json");
    let probe = probe.to_str().unwrap();
    let all = samples(&recording);
    let expected = sorted(&recording, &at("out"), &[]);
    assert!(
        manifest(&at("out"))["n_spikes"].as_u64() > Some(0),
        "nothing to compare"
    );

    // The path of the samples in a folder opens the folder.
    assert_same(
        &expected,
        &sorted(&recording.join("recording.bin"), &at("out-of-bin"), &[]),
        "recording.bin",
    );

    let bare = at("bare.dat");
    let header = vec![7u8; 100];
    std::fs::write(&bare, [header, bytes_of(&all)].concat()).unwrap();
    let options = [
        "--sampling-frequency",
        "30000",
        "--n-channels",
        "4",
        "--dtype",
        "int16",
        "--gain-uv",
        "0.195",
    ];
    let options = [&options[..], &["--offset-bytes", "100", "--probe", probe]].concat();
    assert_same(
        &expected,
        &sorted(&bare, &at("out-of-bare"), &options),
        "bare binary",
    );

    let swapped = at("swapped.dat");
    std::fs::write(
        &swapped,
        all.iter()
            .flat_map(|sample| sample.to_be_bytes())
            .collect::<Vec<u8>>(),
    )
    .unwrap();
    let options = [
        "--sampling-frequency",
        "30000",
        "--n-channels",
        "4",
        "--dtype",
        ">i2",
        "--gain-uv",
        "0.195",
    ];
    let options = [&options[..], &["--probe", probe]].concat();
    assert_same(
        &expected,
        &sorted(&swapped, &at("out-of-swapped"), &options),
        "big-endian bare binary",
    );

    let spikeglx = write_spikeglx(&at("run_g0"), &all, &positions(&recording));
    assert_same(
        &expected,
        &sorted(&spikeglx, &at("out-of-spikeglx"), &[]),
        "SpikeGLX",
    );

    let blackrock = at("array.ns6");
    write_blackrock(&blackrock, &all);
    assert_same(
        &expected,
        &sorted(&blackrock, &at("out-of-blackrock"), &["--probe", probe]),
        "Blackrock",
    );

    let spikeinterface = at("spikeinterface");
    write_spikeinterface(&spikeinterface, &all, &recording.join("probe.json"));
    assert_same(
        &expected,
        &sorted(&spikeinterface, &at("out-of-spikeinterface"), &[]),
        "SpikeInterface folder",
    );

    let open_ephys = at("open ephys");
    write_open_ephys(&open_ephys, &all);
    assert_same(
        &expected,
        &sorted(
            &open_ephys,
            &at("out-of-open-ephys"),
            &["--probe", probe, "--stream", "board"],
        ),
        "Open Ephys",
    );

    let intan = at("intan");
    write_intan(&intan, &all);
    assert_same(
        &expected,
        &sorted(&intan, &at("out-of-intan"), &["--probe", probe]),
        "Intan",
    );
    let mearec = at("simulated.h5");
    write_mearec(&mearec, &all, &positions(&recording));
    assert_same(
        &expected,
        &sorted(&mearec, &at("out-of-mearec"), &[]),
        "MEArec",
    );

    let nwb = at("session.nwb");
    write_nwb(&nwb, &all, &positions(&recording));
    assert_same(&expected, &sorted(&nwb, &at("out-of-nwb"), &[]), "NWB");

    // Last, since it changes the folder: the same numbers as floats.
    let floats: Vec<u8> = all
        .iter()
        .flat_map(|&sample| f32::from(sample).to_le_bytes())
        .collect();
    write_samples(&recording, N_CHANNELS, &floats, "float32", 4);
    assert_same(
        &expected,
        &sorted(&recording, &at("out-of-floats"), &[]),
        "float32",
    );
}

#[test]
fn a_truncated_spikeglx_file_is_refused_and_the_sync_word_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let all = samples(&recording);
    let path = write_spikeglx(&folder.path().join("run_g0"), &all, &positions(&recording));
    let info = json(
        &run(somata().arg("info").arg(&path).arg("--json"))
            .succeeds()
            .stdout,
    );
    assert_eq!(info["format"], "SpikeGLX");
    assert_eq!(
        (&info["n_channels"], &info["probe"]["n_contacts"]),
        (&json!(4), &json!(4))
    );

    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 10]).unwrap();
    let out = folder.path().join("out");
    run(&mut sort(&path, &out)).fails(3, &["ap.bin", "truncated"], &["copy"]);
    crate::run::nothing_left(&out);

    std::fs::remove_file(path.with_extension("meta")).unwrap();
    run(&mut sort(&path, &out)).fails(3, &["ap.meta", "does not exist"], &["check the path"]);
}

#[test]
fn a_stream_must_be_chosen_where_several_are_possible() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let session = folder.path().join("session");
    write_open_ephys(&session, &samples(&recording)[..40_000]);
    let out = folder.path().join("out");
    let names = ["`Acquisition_Board-100.Rhythm Data`", "`Other-200.Slow`"];
    run(&mut sort(&session, &out)).fails(3, &names, &["--stream"]);
    run(sort(&session, &out).args(["--stream", "Probe"])).fails(
        3,
        &["no stream `Probe`", names[0]],
        &["--stream"],
    );
    crate::run::nothing_left(&out);
    run(sort(&recording, &out).args(["--stream", "slow"])).fails(
        3,
        &["`--stream slow`", "one stream only"],
        &["leave out"],
    );
    let info = run(somata()
        .arg("info")
        .arg(&session)
        .args(["--stream", "slow", "--json"]))
    .succeeds();
    let info = json(&info.stdout);
    assert_eq!(info["format"], "Open Ephys binary");
    assert_eq!(info["sampling_frequency_hz"], 15_000.0);
    // The choice is part of what the result depends on.
    let choose = |name| {
        let mut command = sort(&session, &out);
        command
            .args(["--probe"])
            .arg(recording.join("probe.json"))
            .args(["--stream", name]);
        command
    };
    run(&mut choose("board")).succeeds();
    assert!(
        run(&mut choose("board"))
            .succeeds()
            .stdout
            .contains("already complete")
    );
    run(&mut choose("slow")).fails(4, &["another input"], &["--force"]);
}

#[test]
fn pauses_of_a_recording_are_told_and_its_clock_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let recording = tetrode(folder.path());
    let probe = recording.join("probe.json");
    let all = samples(&recording);
    let path = folder.path().join("paused.ns6");
    let half = all.len() / 2;
    let packets = [
        blackrock_packet(0, &all[..half]),
        blackrock_packet(10 * RATE_HZ as u32, &all[half..]),
    ]
    .concat();
    std::fs::write(&path, [blackrock_header(), packets].concat()).unwrap();
    let out = folder.path().join("out");
    let ran = run(sort(&path, &out).arg("--probe").arg(probe)).succeeds();
    assert!(
        ran.stderr
            .lines()
            .any(|line| line.starts_with("warning: ") && line.contains("pause")),
        "{}",
        ran.stderr
    );
    assert_eq!(manifest(&out)["recording"]["n_segments"], 2);
    let segments = std::fs::read_to_string(out.join("segments.csv")).unwrap();
    let starts: Vec<f64> = segments
        .lines()
        .skip(1)
        .map(|line| line.rsplit(',').next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(starts, [0.0, 10.0]);
}

#[test]
fn a_movie_in_hdf5_gives_the_same_cells() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    run(&mut image(&small(folder.path()), &at("out"))).succeeds();
    let mut file = Hdf5::new();
    let shape = [FRAMES, SIDE, SIDE].map(|side| side as u64);
    let data = file.dataset(&shape, &Hdf5::INT16, &bytes_of(small_pixels()));
    let other = file.dataset(&[2, 2, 2], &Hdf5::INT16, &[0; 16]);
    let path = at("movie.h5");
    std::fs::write(&path, file.finish(&[("green", data), ("red", other)], &[])).unwrap();
    let out = at("out-of-hdf5");
    run(&mut image(&path, &out)).fails(3, &["`green`", "`red`"], &["--dataset"]);
    run(image(&path, &out).args(["--dataset", "green"])).succeeds();
    let answer = |out: &Path| {
        let mut files = imaging_answer(out);
        // They name the movie's file.
        files.retain(|name, _| !name.ends_with("ops.npy") && !name.ends_with("db.npy"));
        files
    };
    assert_same(&answer(&at("out")), &answer(&out), "HDF5");

    // NWB has columns before rows.
    let turned: Vec<i16> = small_pixels()
        .chunks_exact(SIDE * SIDE)
        .flat_map(|frame| (0..SIDE * SIDE).map(|at| frame[at % SIDE * SIDE + at / SIDE]))
        .collect();
    let mut file = Hdf5::new();
    let data = file.dataset(&shape, &Hdf5::INT16, &bytes_of(&turned));
    let start = file.clock(30.0);
    let series = file.group(
        &[("data", data), ("starting_time", start)],
        &[("neurodata_type", Attribute::Text("TwoPhotonSeries"))],
    );
    let acquisition = file.group(&[("TwoPhotonSeries", series)], &[]);
    let version = [("nwb_version", Attribute::Text("2.7.0"))];
    let path = at("movie.nwb");
    std::fs::write(
        &path,
        file.finish(&[("acquisition", acquisition)], &version),
    )
    .unwrap();
    let out = at("out-of-nwb");
    run(&mut image_at_its_own_rate(&path, &out, &[])).succeeds();
    assert_same(&answer(&at("out")), &answer(&out), "NWB");
}

#[test]
fn info_tells_what_nwb_files_hold_and_which_series_are_there() {
    let golden = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../io/tests/golden/nwb")
            .join(name)
    };
    let info = |name: &str, options: &[&str]| {
        let mut command = somata();
        command
            .arg("info")
            .arg(golden(name))
            .arg("--json")
            .args(options);
        json(&run(&mut command).succeeds().stdout)
    };
    let found = info("rate.nwb", &[]);
    assert_eq!(found["format"], "NWB");
    assert_eq!(found["sampling_frequency_hz"], 30000.0);
    assert_eq!(found["probe"]["n_contacts"], 4);
    let found = info("rate.nwb", &["--stream", "LFP"]);
    assert_eq!(found["sampling_frequency_hz"], 1000.0);
    let found = info("pauses.nwb", &[]);
    assert_eq!(found["segments"].as_array().unwrap().len(), 3);
    let found = info("movie.nwb", &[]);
    assert_eq!(found["format"], "NWB movie");
    assert_eq!(found["frame_rate_hz"], 30.0);
    let found = info("two_movies.nwb", &["--dataset", "Green"]);
    assert_eq!(found["frame_rate_hz"], 15.0);

    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("out");
    run(&mut sort(&golden("two_series.nwb"), &out)).fails(
        3,
        &[
            "acquisition/ElectricalSeriesA",
            "acquisition/ElectricalSeriesB",
        ],
        &["--stream"],
    );
    run(&mut sort(&golden("irregular.nwb"), &out)).fails(3, &["irregular"], &["starting_time"]);
    run(&mut sort(&golden("movie.nwb"), &out)).fails(3, &["no `ElectricalSeries`"], &["--dtype"]);
    crate::run::nothing_left(&out);
}

/// A run of a Neuropixels 2.0 probe with four saved channels and the sync word, at the given places.
fn write_spikeglx(folder: &Path, samples: &[i16], positions: &[[f64; 2]]) -> PathBuf {
    std::fs::create_dir(folder).unwrap();
    let path = folder.join("run_g0_t0.imec0.ap.bin");
    let frames = samples.as_chunks::<N_CHANNELS>().0;
    let with_sync: Vec<i16> = frames
        .iter()
        .enumerate()
        .flat_map(|(t, frame)| {
            let sync = if t % RATE_HZ < RATE_HZ / 2 { 64 } else { 0 };
            frame.iter().copied().chain([sync])
        })
        .collect();
    std::fs::write(&path, bytes_of(&with_sync)).unwrap();
    // The range that gives the simulator's gain: range / steps / amplifier's gain.
    let range_v = GAIN_UV * 1e-6 * 8192.0 * 80.0;
    let mut meta = format!(
        "typeThis=imec\nimDatPrb_pn=NP2010\nimDatPrb_type=24\nimSampRate={RATE_HZ}\nimAiRangeMax={range_v}\nimAiRangeMin=-{range_v}\n\
         imMaxInt=8192\nimChan0apGain=80\nacqApLfSy=384,0,1\nsnsApLfSy={N_CHANNELS},0,1\nnSavedChans={}\n\
         snsSaveChanSubset=0:{},384\nfirstSample=0\nfileSizeBytes={}\n~snsGeomMap=(NP2010,1,0,70)",
        N_CHANNELS + 1,
        N_CHANNELS - 1,
        with_sync.len() * 2,
    );
    for [x, y] in positions {
        write!(meta, "(0:{x}:{y}:1)").unwrap();
    }
    meta.push('\n');
    std::fs::write(path.with_extension("meta"), meta).unwrap();
    path
}

/// A Blackrock file of specification 2.3, electrodes 1 to 4, in one packet.
fn write_blackrock(path: &Path, samples: &[i16]) {
    std::fs::write(
        path,
        [blackrock_header(), blackrock_packet(0, samples)].concat(),
    )
    .unwrap();
}

/// The headers; 20,000 steps are 3,900 µV, which is the simulator's gain.
fn blackrock_header() -> Vec<u8> {
    let padded = |text: &str, length: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes.resize(length, 0);
        bytes
    };
    let mut header = b"NEURALCD\x02\x03".to_vec();
    header.extend((314 + 66 * N_CHANNELS as u32).to_le_bytes());
    header.extend(padded("30 kS/s", 16));
    header.extend(padded("somata's test", 256));
    header.extend(1u32.to_le_bytes()); // period
    header.extend((RATE_HZ as u32).to_le_bytes()); // clock
    for part in [2026u16, 11, 2, 24, 3, 0, 0, 0] {
        header.extend(part.to_le_bytes());
    }
    header.extend((N_CHANNELS as u32).to_le_bytes());
    assert_eq!(header.len(), 314);
    for electrode in 1..=N_CHANNELS as u16 {
        header.extend(b"CC");
        header.extend(electrode.to_le_bytes());
        header.extend(padded(&format!("chan{electrode}"), 16));
        header.extend([0, electrode as u8]);
        for limit in [-20_000i16, 20_000, -3900, 3900] {
            header.extend(limit.to_le_bytes());
        }
        header.extend(padded("uV", 16));
        for (corner_mhz, order, kind) in [(300u32, 4u32, 1u16), (7_500_000, 3, 1)] {
            header.extend(corner_mhz.to_le_bytes());
            header.extend(order.to_le_bytes());
            header.extend(kind.to_le_bytes());
        }
    }
    header
}

fn blackrock_packet(time: u32, samples: &[i16]) -> Vec<u8> {
    let mut packet = vec![1u8];
    packet.extend(time.to_le_bytes());
    packet.extend((samples.len() as u32 / N_CHANNELS as u32).to_le_bytes());
    packet.extend(bytes_of(samples));
    packet
}

/// A recording of the binary format with two streams of the same samples, of which the second is half as fast.
fn write_open_ephys(session: &Path, samples: &[i16]) {
    let recording = session.join("Record Node 101/experiment1/recording1");
    let streams = [
        ("Acquisition_Board-100.Rhythm Data", RATE_HZ),
        ("Other-200.Slow", RATE_HZ / 2),
    ];
    let mut entries = Vec::new();
    for (name, rate) in streams {
        let folder = recording.join("continuous").join(name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("continuous.dat"), bytes_of(samples)).unwrap();
        let channels: Vec<_> = (1..=N_CHANNELS)
            .map(|channel| json!({"channel_name": format!("CH{channel}"), "bit_volts": GAIN_UV, "units": "uV"}))
            .collect();
        entries.push(json!({"folder_name": format!("{name}/"), "sample_rate": rate as f64, "channels": channels}));
    }
    let structure = json!({"GUI version": "0.6.4", "continuous": entries});
    std::fs::write(recording.join("structure.oebin"), structure.to_string()).unwrap();
}

/// `info.rhd` of format 3.0 and `amplifier.dat`.
fn write_intan(folder: &Path, samples: &[i16]) {
    std::fs::create_dir(folder).unwrap();
    let text = |text: &str| {
        let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        [&(units.len() as u32).to_le_bytes()[..], &units].concat()
    };
    let mut header = [0xc691_2702u32.to_le_bytes(), [3, 0, 0, 0]].concat();
    header.extend((RATE_HZ as f32).to_le_bytes());
    header.extend([0; 36]); // filters and impedance test
    header.extend([text("a note"), text(""), text("")].concat());
    header.extend([0; 4]); // temperature sensors, board mode
    header.extend(text("")); // reference
    header.extend(1u16.to_le_bytes());
    header.extend([text("Port A"), text("A")].concat());
    for count in [1, N_CHANNELS as u16, N_CHANNELS as u16] {
        header.extend(count.to_le_bytes());
    }
    for channel in 0..N_CHANNELS {
        header.extend([text(&format!("A-{channel:03}")), text("")].concat());
        header.extend([0, 0, 0, 0, 0, 0, 1, 0]); // orders, kind, whether it is saved
        header.extend([0; 20]);
    }
    std::fs::write(folder.join("info.rhd"), header).unwrap();
    std::fs::write(folder.join("amplifier.dat"), bytes_of(samples)).unwrap();
    let clock: Vec<u8> = (0..(samples.len() / N_CHANNELS) as i32)
        .flat_map(i32::to_le_bytes)
        .collect();
    std::fs::write(folder.join("time.dat"), clock).unwrap();
}

/// What `recording.save(folder=…)` leaves, as far as it is needed.
fn write_spikeinterface(folder: &Path, samples: &[i16], probe: &Path) {
    std::fs::create_dir(folder).unwrap();
    std::fs::write(folder.join("traces_cached_seg0.raw"), bytes_of(samples)).unwrap();
    std::fs::copy(probe, folder.join("probe.json")).unwrap();
    std::fs::write(folder.join("binary.json"), "{}").unwrap();
    change_json(&folder.join("binary.json"), |json| {
        *json = json!({
            "class": "spikeinterface.core.binaryrecordingextractor.BinaryRecordingExtractor",
            "version": "0.105.3",
            "kwargs": {
                "file_paths": ["traces_cached_seg0.raw"],
                "sampling_frequency": RATE_HZ as f64,
                "num_channels": N_CHANNELS,
                "dtype": "<i2",
                "time_axis": 0,
                "file_offset": 0,
                "gain_to_uV": vec![GAIN_UV; N_CHANNELS],
                "offset_to_uV": vec![0.0; N_CHANNELS],
            },
            "relative_paths": true,
        });
    });
}

/// What MEArec leaves, as far as it is needed.
fn write_mearec(path: &Path, samples: &[i16], positions: &[[f64; 2]]) {
    let mut file = Hdf5::new();
    let places: Vec<f64> = positions.iter().flat_map(|&[x, y]| [0.0, x, y]).collect();
    let n_samples = (samples.len() / N_CHANNELS) as u64;
    let recordings = file.dataset(
        &[n_samples, N_CHANNELS as u64],
        &Hdf5::INT16,
        &bytes_of(samples),
    );
    let channel_positions = file.floats(&[N_CHANNELS as u64, 3], &places);
    let gain = file.floats(&[], &[GAIN_UV]);
    let fs = file.floats(&[], &[RATE_HZ as f64]);
    let info = file.group(&[("fs", fs)], &[]);
    let info = file.group(&[("recordings", info)], &[]);
    let members = [
        ("recordings", recordings),
        ("channel_positions", channel_positions),
        ("gain_to_uV", gain),
        ("info", info),
    ];
    std::fs::write(path, file.finish(&members, &[])).unwrap();
}

/// An NWB file with one series and its electrodes, as far as it is needed.
fn write_nwb(path: &Path, samples: &[i16], positions: &[[f64; 2]]) {
    let mut file = Hdf5::new();
    let n_samples = (samples.len() / N_CHANNELS) as u64;
    let shape = [n_samples, N_CHANNELS as u64];
    let gain = [("conversion", Attribute::Float(GAIN_UV * 1e-6))];
    let data = file.dataset_with(&shape, &Hdf5::INT16, &bytes_of(samples), &gain);
    let start = file.clock(RATE_HZ as f64);
    let rows: Vec<i16> = (0..N_CHANNELS as i16).collect();
    let rows = file.dataset(&[N_CHANNELS as u64], &Hdf5::INT16, &bytes_of(&rows));
    let series = file.group(
        &[
            ("data", data),
            ("starting_time", start),
            ("electrodes", rows),
        ],
        &[("neurodata_type", Attribute::Text("ElectricalSeries"))],
    );
    let acquisition = file.group(&[("raw", series)], &[]);
    let [x, y] = [0, 1].map(|axis| {
        let places: Vec<f64> = positions.iter().map(|place| place[axis]).collect();
        file.floats(&[N_CHANNELS as u64], &places)
    });
    let table = file.group(&[("rel_x", x), ("rel_y", y)], &[]);
    let ecephys = file.group(&[("electrodes", table)], &[]);
    let general = file.group(&[("extracellular_ephys", ecephys)], &[]);
    let members = [("acquisition", acquisition), ("general", general)];
    let version = [("nwb_version", Attribute::Text("2.7.0"))];
    std::fs::write(path, file.finish(&members, &version)).unwrap();
}
