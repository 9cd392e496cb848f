//! Writes a simulated recording as a folder that `somata sort` and SpikeInterface read.
//!
//! `recording.bin` (int16, time-major), `recording.json` (rate, channels, gain), `probe.json` (probeinterface 0.2 layout), `truth.npz`
//! ([`super::truth`]) and `spec.json` (what was asked for): the layout of `shared/bench/make_recording.py`. The
//! folder is built beside its place under a temporary name and renamed, so it is whole or not there.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::json;

use super::geometry::Geometry;
use super::recording::SimulatedRecording;
use super::spec::RecordingSpec;
use crate::error::{Result, ValidationError};

/// Simulates `spec` and writes it to the new folder `out_dir`; `progress` is called with the share that is done, 0 to 1.
///
/// # Errors
/// If the specification cannot be simulated, `out_dir` exists, or a file cannot be written.
pub fn write_recording(
    spec: &RecordingSpec,
    out_dir: &Path,
    progress: &mut dyn FnMut(f64),
) -> Result<()> {
    spec.check()?;
    if out_dir.exists() {
        return Err(ValidationError::OutputExists(out_dir.to_path_buf()));
    }
    write_simulated(&SimulatedRecording::new(spec)?, out_dir, progress)
}

/// Writes a recording that was made before, for example a hybrid. As [`write_recording`].
///
/// # Errors
/// If `out_dir` exists or a file cannot be written; nothing is left behind then.
pub fn write_simulated(
    recording: &SimulatedRecording,
    out_dir: &Path,
    progress: &mut dyn FnMut(f64),
) -> Result<()> {
    if out_dir.exists() {
        return Err(ValidationError::OutputExists(out_dir.to_path_buf()));
    }
    let partial = Partial::beside(out_dir)?;
    write_files(recording, &partial.0, progress)?;
    std::fs::rename(&partial.0, out_dir)
        .map_err(|source| ValidationError::io("rename", &partial.0, source))?;
    progress(1.0);
    Ok(())
}

/// A folder under a temporary name; removed when dropped, unless it was renamed before.
pub(super) struct Partial(PathBuf);

impl Partial {
    pub(super) fn beside(out_dir: &Path) -> Result<Self> {
        let name = out_dir
            .file_name()
            .ok_or_else(|| ValidationError::bad_file(out_dir, "it has no name"))?;
        let path = out_dir.with_file_name(format!(
            ".{}.partial-{}",
            name.to_string_lossy(),
            std::process::id()
        ));
        std::fs::create_dir_all(&path)
            .map_err(|source| ValidationError::io("create", &path, source))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        // Gone after the rename; if it cannot be removed after an error, that error is the one to report.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn write_files(
    recording: &SimulatedRecording,
    folder: &Path,
    progress: &mut dyn FnMut(f64),
) -> Result<()> {
    let write_json = |name: &str, value: &serde_json::Value| {
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(value)
            .map_err(|source| ValidationError::bad_file(&path, source.to_string()))?;
        std::fs::write(&path, text + "\n")
            .map_err(|source| ValidationError::io("write", &path, source))
    };
    write_json(
        "recording.json",
        &json!({
            "sampling_frequency": recording.spec().sampling_frequency_hz,
            "n_channels": recording.n_channels(),
            "n_samples": recording.n_samples(),
            "dtype": "int16",
            "gain_uv": recording.gain_uv(),
            "offset_uv": 0.0,
        }),
    )?;
    write_json("probe.json", &probe_json(recording.probe()))?;
    write_json("spec.json", &json!(recording.spec()))?;
    recording.truth().write_npz(&folder.join("truth.npz"))?;

    let path = folder.join("recording.bin");
    let failed = |source| ValidationError::io("write", &path, source);
    let mut file = BufWriter::new(File::create(&path).map_err(failed)?);
    // Two blocks for each thread at a time, so that memory does not grow with the recording.
    let chunk_samples = (super::noise::BLOCK_SAMPLES * 2 * rayon::current_num_threads()) as u64;
    let mut samples = Vec::new();
    let mut bytes = Vec::new();
    let mut start = 0;
    while start < recording.n_samples() {
        progress(start as f64 / recording.n_samples() as f64);
        let n_samples = chunk_samples.min(recording.n_samples() - start);
        samples.resize(n_samples as usize * recording.n_channels(), 0i16);
        recording.read(start, &mut samples);
        bytes.clear();
        bytes.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
        file.write_all(&bytes).map_err(failed)?;
        start += n_samples;
    }
    let file = file
        .into_inner()
        .map_err(|error| failed(error.into_error()))?;
    file.sync_all().map_err(failed)
}

/// The probe in probeinterface's JSON layout.
pub fn probe_json(probe: &Geometry) -> serde_json::Value {
    let n_channels = probe.n_channels();
    let (shape, shape_params) = if probe.is_square {
        ("square", json!({"width": 2.0 * probe.contact_radius_um}))
    } else {
        ("circle", json!({"radius": probe.contact_radius_um}))
    };
    json!({
        "specification": "probeinterface",
        "version": "0.2.21",
        "probes": [{
            "ndim": 2,
            "si_units": "um",
            "annotations": {"name": "simulated"},
            "contact_annotations": {},
            "contact_positions": probe.positions_um,
            "contact_plane_axes": vec![[[1.0, 0.0], [0.0, 1.0]]; n_channels],
            "contact_shapes": vec![shape; n_channels],
            "contact_shape_params": vec![shape_params; n_channels],
            "contact_ids": (0..n_channels).map(|channel| channel.to_string()).collect::<Vec<_>>(),
            "shank_ids": probe.shanks.iter().map(usize::to_string).collect::<Vec<_>>(),
            "device_channel_indices": (0..n_channels).collect::<Vec<_>>(),
        }],
    })
}

#[cfg(test)]
mod tests {
    use super::super::truth::read_truth;
    use super::*;

    #[test]
    fn a_written_folder_is_whole_and_an_existing_one_is_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let out = parent.path().join("recording");
        let spec = RecordingSpec {
            n_channels: 4,
            n_units: 2,
            duration_s: 0.7,
            ..RecordingSpec::default()
        };
        let mut last = 0.0;
        write_recording(&spec, &out, &mut |share| {
            assert!(share >= last);
            last = share;
        })
        .unwrap();
        assert_eq!(last, 1.0);
        assert_eq!(
            std::fs::metadata(out.join("recording.bin")).unwrap().len(),
            21_000 * 4 * 2
        );
        let recording = SimulatedRecording::new(&spec).unwrap();
        assert_eq!(
            read_truth(&out.join("truth.npz")).unwrap(),
            recording.truth()
        );
        let mut samples = vec![0i16; 21_000 * 4];
        recording.read(0, &mut samples);
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|sample| sample.to_le_bytes())
            .collect();
        assert!(std::fs::read(out.join("recording.bin")).unwrap() == bytes);
        assert!(matches!(
            write_recording(&spec, &out, &mut |_| ()),
            Err(ValidationError::OutputExists(_))
        ));
        assert_eq!(
            std::fs::read_dir(parent.path()).unwrap().count(),
            1,
            "no temporary folder is left"
        );
    }
}
