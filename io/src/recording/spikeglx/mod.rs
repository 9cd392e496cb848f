//! SpikeGLX: a flat `.bin` of 16-bit samples and a `.meta` text that describes it.
//!
//! Imec probes (Neuropixels 1.0 3A/3B, 2.0, quad-base, Ultra, NHP), OneBox and nidq analog channels. Delivered are the neural
//! channels: AP of an `.ap` file, LF of an `.lf` file; the sync word is left out. Source: SpikeGLX's "Metadata Guide" and
//! "imro table" pages by Bill Karsh, and his public ProbeTable for numbers of each probe part.

pub mod gains;
pub mod geometry;
pub mod imro_file;
pub mod meta;
pub mod multiplexing;
pub mod parts;

use std::path::{Path, PathBuf};

use self::meta::Meta;
use super::flat::{FlatParts, FlatReader, probe_from, whole_file_span};
use super::frames::{StoredFormat, file_size_bytes, whole_frames};
use super::{OpenOptions, RecordingReader};
use crate::error::{IoError, name_of};
use crate::probe::Probe;

/// Bytes of a sample.
const SAMPLE_BYTES: u64 = 2;

/// What a `.meta` file says about the delivered channels.
#[derive(Clone, PartialEq, Debug)]
pub struct MetaDescription {
    /// Samples a second and channel.
    pub sampling_frequency_hz: f64,
    /// Channels in the `.bin`.
    pub n_channels_stored: usize,
    /// Column in the `.bin` of each delivered channel.
    pub columns: Vec<usize>,
    /// Name of each delivered channel, as `AP12`, `LF12`, `XA0`.
    pub channel_ids: Vec<String>,
    /// Microvolts a step of each delivered channel.
    pub gains_uv: Vec<f64>,
    /// Where the contacts are, as far as the file says.
    pub probe: Option<Probe>,
    /// When each channel is sampled, as a fraction of a sample period.
    pub sample_delay: Option<Vec<f32>>,
    /// Bytes of the `.bin`; absent while SpikeGLX still writes it.
    pub file_size_bytes: Option<u64>,
    /// Index of the first sample on the stream's clock.
    pub first_sample: u64,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// Opens the recording of which `path` is the `.bin` or the `.meta`.
///
/// # Errors
/// When one of the two is missing, the `.bin` is shorter than the `.meta` says, or a value makes no sense.
pub fn open(path: &Path, options: &OpenOptions) -> Result<Box<dyn RecordingReader>, IoError> {
    let (meta_path, bin_path) = (path.with_extension("meta"), path.with_extension("bin"));
    let meta = Meta::read(&meta_path)?;
    let described = describe(&meta)?;
    let mut warnings = described.warnings;
    let found_bytes = file_size_bytes(&bin_path)?;
    let frame_bytes = described.n_channels_stored as u64 * SAMPLE_BYTES;
    let stored = StoredFormat::I16_LE;
    let n_samples = match described.file_size_bytes {
        Some(expected_bytes) => {
            if found_bytes < expected_bytes {
                return Err(IoError::Truncated {
                    path: bin_path,
                    expected_bytes,
                    found_bytes,
                });
            }
            if found_bytes > expected_bytes {
                warnings.push(format!(
                    "`{}` has {found_bytes} bytes, more than the {expected_bytes} that its meta file says; all are read",
                    name_of(&bin_path)
                ));
            }
            whole_frames(&bin_path, found_bytes, described.n_channels_stored, stored)?
        }
        None => {
            warnings.push(format!(
                "`{}` has no `fileSizeBytes`: the recording was read while, or broken off before, SpikeGLX finished it",
                name_of(&meta_path)
            ));
            found_bytes / frame_bytes
        }
    };
    let (spans, mut segments) = whole_file_span(0, frame_bytes, n_samples);
    segments[0].start_time_s = described.first_sample as f64 / described.sampling_frequency_hz;
    let own_probe: Option<(Probe, PathBuf)> =
        described.probe.map(|probe| (probe, meta_path.clone()));
    let given_probe = probe_from(options, &[])?;
    let parts = FlatParts {
        format: "SpikeGLX",
        data_paths: vec![bin_path],
        other_paths: vec![meta_path],
        sampling_frequency_hz: described.sampling_frequency_hz,
        stored,
        n_channels_stored: described.n_channels_stored,
        gains_uv: described.gains_uv.iter().map(|&gain| gain as f32).collect(),
        offsets_uv: vec![0.0; described.columns.len()],
        columns: described.columns,
        channel_ids: described.channel_ids,
        spans,
        segments,
        sample_delay: described.sample_delay,
        probe: given_probe.or(own_probe),
        warnings,
    };
    Ok(Box::new(FlatReader::new(parts, options)?))
}

/// Works out everything that a `.meta` says, without looking at the `.bin`.
///
/// # Errors
/// When a key is missing or its value makes no sense.
pub fn describe(meta: &Meta) -> Result<MetaDescription, IoError> {
    let n_channels_stored = meta.whole_number("nSavedChans")? as usize;
    if !(1..=meta::MAX_CHANNELS).contains(&n_channels_stored) {
        return Err(meta.bad("nSavedChans", "a number of channels"));
    }
    let file_size_bytes = meta
        .optional_whole_number("fileSizeBytes")?
        .filter(|&size| size > 0);
    let first_sample = meta.optional_whole_number("firstSample")?.unwrap_or(0);
    let stream = meta.text("typeThis")?;
    let mut described = match stream {
        "imec" => describe_imec(meta, n_channels_stored)?,
        "nidq" => describe_analog(meta, n_channels_stored, &gains::NIDQ)?,
        "obx" => describe_analog(meta, n_channels_stored, &gains::ONEBOX)?,
        _ => return Err(meta.bad("typeThis", "`imec`, `nidq` or `obx`")),
    };
    described.file_size_bytes = file_size_bytes;
    described.first_sample = first_sample;
    if !described.sampling_frequency_hz.is_finite() || described.sampling_frequency_hz <= 0.0 {
        return Err(meta.bad(gains::rate_key(stream), "a number of Hz above 0"));
    }
    Ok(described)
}

/// An imec stream.
fn describe_imec(meta: &Meta, n_channels_stored: usize) -> Result<MetaDescription, IoError> {
    let counts = meta.counts("snsApLfSy")?;
    let [n_ap, n_lf, _] = counts[..] else {
        return Err(meta.bad("snsApLfSy", "three numbers"));
    };
    if counts.iter().sum::<usize>() != n_channels_stored {
        return Err(meta.bad(
            "snsApLfSy",
            &format!("three numbers whose sum is nSavedChans, {n_channels_stored}"),
        ));
    }
    let mut warnings = Vec::new();
    let (band, n_delivered, first_column) = match (n_ap, n_lf) {
        (0, 0) => return Err(meta.bad("snsApLfSy", "at least one AP or LF channel")),
        (0, _) => (gains::Band::Lf, n_lf, 0),
        _ => (gains::Band::Ap, n_ap, 0),
    };
    if n_ap > 0 && n_lf > 0 {
        warnings.push(format!("{n_lf} LF channels are left out"));
    }
    let n_ap_acquired = acquired_ap(meta, n_ap)?;
    let saved = meta.saved_channels(n_channels_stored)?;
    let first_acquired = if band == gains::Band::Lf {
        n_ap_acquired
    } else {
        0
    };
    let acquired: Vec<usize> = saved[first_column..first_column + n_delivered]
        .iter()
        .map(|&channel| {
            channel
                .checked_sub(first_acquired)
                .filter(|&channel| channel < n_ap_acquired)
        })
        .collect::<Option<_>>()
        .ok_or_else(|| {
            meta.bad(
                "snsSaveChanSubset",
                "channels of the band that snsApLfSy counts",
            )
        })?;
    let part = parts::Part::of(meta);
    let imro = geometry::ImroTable::of(meta)?;
    let gains_uv = gains::imec_gains_uv(meta, &part, imro.as_ref(), &acquired, band)?;
    let placed = geometry::place(meta, &part, imro.as_ref(), &acquired, n_ap_acquired)?;
    warnings.extend(placed.warnings);
    let sample_delay = match band {
        gains::Band::Ap => multiplexing::sample_delay(meta, &part, &acquired)?,
        gains::Band::Lf => None,
    };
    if band == gains::Band::Ap && sample_delay.is_none() {
        warnings.push("when each channel is sampled is not known for this probe: no sample delay is corrected".to_owned());
    }
    let prefix = if band == gains::Band::Ap { "AP" } else { "LF" };
    Ok(MetaDescription {
        sampling_frequency_hz: meta.number("imSampRate")?,
        n_channels_stored,
        columns: (first_column..first_column + n_delivered).collect(),
        channel_ids: acquired
            .iter()
            .map(|channel| format!("{prefix}{channel}"))
            .collect(),
        gains_uv,
        probe: placed.probe,
        sample_delay,
        file_size_bytes: None,
        first_sample: 0,
        warnings,
    })
}

/// AP channels that the probe acquires, of which a subset may be saved.
fn acquired_ap(meta: &Meta, n_ap_saved: usize) -> Result<usize, IoError> {
    let n_acquired = match meta.get("acqApLfSy") {
        Some(_) => meta.counts("acqApLfSy")?.first().copied().unwrap_or(0),
        None => 384,
    };
    if n_acquired < n_ap_saved || n_acquired > meta::MAX_CHANNELS {
        return Err(meta.bad("acqApLfSy", "at least as many channels as are saved"));
    }
    // An `.lf` file of a probe whose meta counts only LF channels.
    if n_acquired > 0 {
        Ok(n_acquired)
    } else {
        Ok(meta.counts("acqApLfSy")?.get(1).copied().unwrap_or(0))
    }
}

/// A nidq or OneBox stream: analog channels.
fn describe_analog(
    meta: &Meta,
    n_channels_stored: usize,
    kind: &gains::AnalogStream,
) -> Result<MetaDescription, IoError> {
    let counts = meta.counts(kind.counts_key)?;
    if counts.len() < kind.groups.len() || counts.iter().sum::<usize>() != n_channels_stored {
        return Err(meta.bad(
            kind.counts_key,
            &format!("numbers whose sum is nSavedChans, {n_channels_stored}"),
        ));
    }
    let mut warnings = vec!["a stream without a probe: give one with `--probe`".to_owned()];
    let has_neural = kind.groups[0].is_neural && counts[0] > 0;
    let (mut columns, mut channel_ids, mut gains_uv, mut first) =
        (Vec::new(), Vec::new(), Vec::new(), 0);
    for (group, &count) in kind.groups.iter().zip(&counts) {
        if !has_neural || group.is_neural {
            let gain_uv = gains::analog_gain_uv(meta, kind, group)?;
            columns.extend(first..first + count);
            channel_ids.extend((0..count).map(|index| format!("{}{index}", group.prefix)));
            gains_uv.extend(std::iter::repeat_n(gain_uv, count));
        }
        first += count;
    }
    if columns.is_empty() {
        return Err(meta.bad(kind.counts_key, "at least one analog channel"));
    }
    if columns.len() < n_channels_stored {
        warnings.push(format!(
            "{} of {n_channels_stored} channels are delivered",
            columns.len()
        ));
    }
    Ok(MetaDescription {
        sampling_frequency_hz: meta.number(kind.rate_key)?,
        n_channels_stored,
        columns,
        channel_ids,
        gains_uv,
        probe: None,
        sample_delay: None,
        file_size_bytes: None,
        first_sample: 0,
        warnings,
    })
}
