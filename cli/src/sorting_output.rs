//! The result folder of a sort: phy, tables, manifest.

use std::{fmt::Write as _, path::Path};

use rayon::prelude::*;
use serde_json::{Value, json};
use somata_engine::{
    device::Executor,
    error::EngineError,
    linalg,
    parameters::sorting::SortingParameters,
    recording::Recording,
    sorting::{SortingResult, motion::Motion},
    stream::Control,
};
use somata_io::{
    atomic::write_file,
    sorting_output::phy::{ClusterColumn, PhyTables, write_phy},
};

use crate::{
    adapt::OpenRecording,
    again::{absolute, command_line, path_text},
    commands::sort,
    exit::{ExitCode, Failure, Outcome},
};

/// Everything that says how a result was made.
pub fn manifest(
    arguments: &sort::Arguments,
    recording: &OpenRecording,
    parameters: &SortingParameters,
    key: &str,
    executor: &dyn Executor,
    control: &Control,
    result: &SortingResult,
    seconds: f64,
) -> Value {
    let info = recording.info();
    let description = recording.description();
    let inputs: Vec<Value> = recording
        .files()
        .iter()
        .map(|file| {
            json!({
                "path": path_text(&absolute(&file.path)),
                "bytes": file.bytes,
                "fingerprint": file.fingerprint,
            })
        })
        .collect();
    let parts: Vec<Value> = recording
        .selected()
        .parts
        .iter()
        .map(|part| {
            json!({
                "path": path_text(&absolute(&part.path)),
                "start_sample": part.start_sample,
                "n_samples": part.n_samples,
            })
        })
        .collect();
    json!({
        "somata": env!("CARGO_PKG_VERSION"),
        "kind": "sort",
        "key": key,
        "command": command_line(),
        "arguments": arguments,
        "finished": seconds_since_epoch(),
        "seconds": seconds,
        "peak_memory_bytes": peak_memory(),
        "device": executor.name(),
        "inputs": inputs,
        "input_fingerprint": recording.fingerprint(),
        "recording": {
            "format": description.format,
            "sampling_frequency_hz": info.sampling_frequency_hz,
            "n_samples": info.n_samples,
            "duration_s": info.duration_s(),
            "n_channels": info.n_channels(),
            "n_segments": info.segments.len(),
            "first_sample": recording.selected().first_sample,
            "channels": recording.selected().rows,
            "parts": parts,
        },
        "bad_channels": result.bad_channels.iter().enumerate()
            .filter_map(|(channel, bad)| bad.map(|bad| json!({ "channel": channel, "reason": bad })))
            .collect::<Vec<_>>(),
        "not_finite_values": result.not_finite,
        "motion": {
            "estimated": result.motion_estimate.is_some(),
            "corrected": result.motion.is_some(),
            "largest_um": result.motion_estimate.as_ref().map(Motion::largest_um),
        },
        "n_units": result.units.len(),
        "n_good": result.units.iter().filter(|unit| unit.label.name() == "good").count(),
        "n_spikes": result.spike_samples.len(),
        "dropped_units": result.dropped.iter()
            .map(|(reason, count)| json!({ "reason": reason, "units": count })).collect::<Vec<_>>(),
        "stages": control.stages(),
        "kernels": executor.kernel_times().iter()
            .map(|(stem, (calls, time))| json!({ "kernel": stem, "calls": calls, "seconds": time.as_secs_f64() }))
            .collect::<Vec<_>>(),
        "warnings": control.warnings(),
        "parameters": parameters,
    })
}

/// Writes the sorting and the tables of a result into `folder`; returns the cosine of every pair of templates, `[unit, unit]`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(
    folder: &Path,
    recording: &OpenRecording,
    result: &SortingResult,
) -> Outcome<Vec<f32>> {
    let similarity = write_sorting(&folder.join("phy"), recording, result)?;
    write_file(&folder.join("metrics.csv"), metrics_csv(result).as_bytes())?;
    if let Some(motion) = &result.motion_estimate {
        write_file(
            &folder.join("motion.csv"),
            motion_csv(motion, result.motion.is_some()).as_bytes(),
        )?;
    }
    let segments = &recording.description().segments;
    if segments.len() > 1 {
        let mut text = String::from("start_sample,n_samples,start_time_s\n");
        for segment in segments {
            writeln!(
                text,
                "{},{},{}",
                segment.start_sample, segment.n_samples, segment.start_time_s
            )
            .expect("string");
        }
        write_file(&folder.join("segments.csv"), text.as_bytes())?;
    }
    Ok(similarity)
}

/// Writes the log, and last the manifest, whose presence means that the result is complete.
///
/// # Errors
/// When a file cannot be written.
pub fn write_manifest(folder: &Path, manifest: &Value, log: &str) -> Outcome {
    write_file(&folder.join("log.txt"), log.as_bytes())?;
    let text = serde_json::to_string_pretty(manifest).expect("plain data");
    write_file(&folder.join("manifest.json"), text.as_bytes())?;
    Ok(())
}

fn write_sorting(
    folder: &Path,
    recording: &OpenRecording,
    result: &SortingResult,
) -> Outcome<Vec<f32>> {
    let description = recording.description();
    let (n_channels, n_units) = (result.channels.len(), result.units.len());
    // phy's channel map counts the columns of the raw file, which may hold more than the delivered channels.
    let column = |channel: usize| match &description.raw {
        Some(raw) if !raw.columns.is_empty() => raw.columns[channel],
        _ => channel,
    };
    let channel_map: Vec<i32> = result
        .channels
        .iter()
        .map(|&channel| column(channel) as i32)
        .collect();
    let positions: Vec<[f32; 2]> = result
        .geometry
        .contacts
        .iter()
        .map(|contact| [contact.x_um as f32, contact.y_um as f32])
        .collect();
    let shanks: Vec<i32> = result
        .geometry
        .contacts
        .iter()
        .map(|contact| contact.shank as i32)
        .collect();
    let taps = result.taps.n;
    let time_major = |pick: fn(&somata_engine::sorting::Unit) -> &Vec<f32>| {
        let mut out = vec![0.0f32; n_units * taps * n_channels];
        for (unit, out) in result
            .units
            .iter()
            .zip(out.chunks_exact_mut((taps * n_channels).max(1)))
        {
            for (c, row) in pick(unit).chunks_exact(taps).enumerate() {
                for (t, &value) in row.iter().enumerate() {
                    out[t * n_channels + c] = value;
                }
            }
        }
        out
    };
    let (n_local, n_pcs) = result
        .features
        .as_ref()
        .map_or((1, 1), |file| (file.n_neighbours, file.n_components));
    let feature_channels = if n_units == 0 {
        Vec::new()
    } else {
        result.feature_channels.clone()
    };
    let clusters: Vec<i32> = result.spike_units.iter().map(|&unit| unit as i32).collect();
    let amplitudes: Vec<f64> = result
        .spike_amplitudes
        .iter()
        .map(|&amplitude| f64::from(amplitude))
        .collect();
    let column_of =
        |name: &str, value: &dyn Fn(&somata_engine::sorting::Unit) -> String| ClusterColumn {
            name: name.into(),
            values: result.units.iter().map(value).collect(),
        };
    let templates = time_major(|unit| &unit.template);
    let templates_uv = time_major(|unit| &unit.template_uv);
    let templates_sd_uv = time_major(|unit| &unit.template_sd_uv);
    let similar = similarity(&templates, n_units, taps * n_channels);
    let tables = PhyTables {
        sampling_frequency_hz: description.sampling_frequency_hz,
        raw: description.raw.as_ref(),
        channel_map: &channel_map,
        channel_positions: &positions,
        channel_shanks: &shanks,
        n_templates: n_units,
        n_template_samples: taps,
        templates: &templates,
        templates_uv: &templates_uv,
        templates_sd_uv: &templates_sd_uv,
        whitening_mat: &result.whitening,
        whitening_mat_inv: &result.whitening_inverse,
        similar_templates: &similar,
        pc_feature_ind: &feature_channels,
        n_pcs,
        n_local,
        spike_times: &result.spike_samples,
        spike_clusters: &clusters,
        spike_templates: &clusters,
        amplitudes: &amplitudes,
        spike_positions: &result.spike_positions_um,
        cluster_columns: vec![
            column_of("group", &|unit| unit.label.name().into()),
            column_of("Amplitude", &|unit| {
                format!("{:.1}", unit.metrics.amplitude_median_uv.abs())
            }),
            column_of("ContamPct", &|unit| {
                format!("{:.1}", 100.0 * unit.metrics.rp_contamination)
            }),
            column_of("snr", &|unit| format!("{:.2}", unit.metrics.snr)),
        ],
    };
    /// Spikes whose features go to the writer at once: for a single one the two threads would wait for each other longer than they work.
    const TOGETHER: usize = 1024;
    let (sender, receiver) = std::sync::mpsc::sync_channel(4);
    std::thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut batch = Vec::new();
            // A closed channel means that the writer failed; it reports why.
            let send = |batch: &mut Vec<f32>| {
                let _ = sender.send(Ok(std::mem::take(batch)));
            };
            result.for_each_feature(|row| {
                // [neighbour, component] in the file, [component, neighbour] in phy.
                for k in 0..n_pcs {
                    batch.extend((0..n_local).map(|j| row[j * n_pcs + k]));
                }
                if batch.len() >= TOGETHER * n_pcs * n_local {
                    send(&mut batch);
                }
                Ok(())
            })?;
            if !batch.is_empty() {
                send(&mut batch);
            }
            Ok::<(), EngineError>(())
        });
        write_phy(folder, &tables, &mut receiver.into_iter())?;
        reader
            .join()
            .map_err(|_| Failure::new(ExitCode::Unexpected, "the feature reader panicked"))??;
        Ok::<(), Failure>(())
    })?;
    Ok(similar)
}

/// Cosine of every pair of templates.
fn similarity(templates: &[f32], n: usize, length: usize) -> Vec<f32> {
    let row = |u: usize| &templates[u * length..(u + 1) * length];
    let norm: Vec<f64> = (0..n)
        .into_par_iter()
        .map(|u| linalg::dot(row(u), row(u)).sqrt().max(f64::MIN_POSITIVE))
        .collect();
    let rows: Vec<Vec<f32>> = (0..n)
        .into_par_iter()
        .map(|a| {
            let cosine = |b: usize| (linalg::dot(row(a), row(b)) / (norm[a] * norm[b])) as f32;
            (0..=a).map(cosine).collect()
        })
        .collect();
    let mut out = vec![0.0; n * n];
    for (a, row) in rows.iter().enumerate() {
        for (b, &value) in row.iter().enumerate() {
            out[a * n + b] = value;
            out[b * n + a] = value;
        }
    }
    out
}

fn metrics_csv(result: &SortingResult) -> String {
    let mut text = String::from(
        "unit_id,label,main_channel,x_um,y_um,shank,template_norm,n_spikes,firing_rate_hz,presence_ratio,snr,\
         isi_violations_count,isi_violations_ratio,rp_contamination,amplitude_median_uv,amplitude_cutoff\n",
    );
    let number = |value: f64| {
        if value.is_finite() {
            format!("{value:.6}")
        } else {
            String::new()
        }
    };
    for (id, unit) in result.units.iter().enumerate() {
        let m = &unit.metrics;
        writeln!(
            text,
            "{id},{},{},{:.2},{:.2},{},{:.3},{},{},{},{},{},{},{},{},{}",
            unit.label.name(),
            result.channels[unit.main_channel],
            unit.position_um[0],
            unit.position_um[1],
            result.geometry.contacts[unit.main_channel].shank,
            unit.norm,
            m.n_spikes,
            number(m.firing_rate_hz),
            number(m.presence_ratio),
            number(m.snr),
            m.isi_violations_count,
            number(m.isi_violations_ratio),
            number(m.rp_contamination),
            number(m.amplitude_median_uv),
            number(m.amplitude_cutoff),
        )
        .expect("string");
    }
    text
}

/// Displacement, one row a time bin, one column a depth; zeros when it was not corrected for want of evidence.
fn motion_csv(motion: &Motion, corrected: bool) -> String {
    let mut text = String::from("time_s");
    for depth in &motion.depth_um {
        write!(text, ",displacement_um_at_{depth:.1}_um").expect("string");
    }
    text.push('\n');
    let n = motion.depth_um.len();
    for (t, time) in motion.time_s.iter().enumerate() {
        write!(text, "{time:.4}").expect("string");
        for d in 0..n {
            let value = if corrected {
                motion.displacement_um[t * n + d]
            } else {
                0.0
            };
            write!(text, ",{value:.4}").expect("string");
        }
        text.push('\n');
    }
    text
}

pub fn seconds_since_epoch() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

/// Largest resident memory of this process so far, where the system tells.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? * 1024)
}
