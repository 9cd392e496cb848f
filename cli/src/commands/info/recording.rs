//! What a recording holds.

use std::path::PathBuf;

use serde_json::json;
use somata_engine::parameters::sorting::SortingParameters;
use somata_io::recording::selection::Selected;

use super::drawing::{Style, draw};
use crate::{
    adapt::recording_info,
    again::path_text,
    commands::{info::next_command, print, print_json, sort::InputArguments},
    estimates,
    exit::Outcome,
    messages::size_text,
};

/// Prints what is known of a recording, given as `paths` and `input`, and how it would be sorted.
///
/// # Errors
/// When it cannot be printed.
pub fn tell(
    selected: &Selected,
    paths: &[PathBuf],
    input: &InputArguments,
    as_json: bool,
) -> Outcome {
    let d = selected.reader.description();
    let probe = d.probe.as_ref();
    let extent = |pick: fn(&somata_io::probe::Contact) -> f64| {
        let values: Vec<f64> = probe
            .iter()
            .flat_map(|probe| &probe.contacts)
            .map(pick)
            .collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        (low, high)
    };
    if as_json {
        return print_json(&json!({
            "kind": "recording",
            "format": d.format,
            "paths": d.paths.iter().map(|path| path_text(path)).collect::<Vec<_>>(),
            "sampling_frequency_hz": d.sampling_frequency_hz,
            "n_samples": d.n_samples,
            "duration_s": d.duration_s(),
            "n_channels": d.n_channels,
            "sample_type": d.sample_type.numpy_name(),
            "first_sample": selected.first_sample,
            "channels": selected.rows,
            "channel_ids": d.channel_ids,
            "gains_uv": d.gains_uv,
            "segments": d.segments.iter().map(|s| json!({
                "start_sample": s.start_sample, "n_samples": s.n_samples, "start_time_s": s.start_time_s,
            })).collect::<Vec<_>>(),
            "probe": probe.map(|probe| json!({
                "name": probe.name, "n_contacts": probe.contacts.len(), "n_shanks": probe.n_shanks(),
                "contacts": probe.contacts.iter().map(|c| json!({
                    "id": c.id, "channel": c.channel, "x_um": c.x_um, "y_um": c.y_um, "shank": c.shank,
                    "marked_unused": probe.unused_channels.contains(&c.channel),
                })).collect::<Vec<_>>(),
            })),
            "warnings": d.warnings,
        }));
    }
    let mut text = format!(
        "format     {}\nlength     {:.3} s, {} samples at {} Hz\nchannels   {} of {}\n",
        d.format,
        d.duration_s(),
        d.n_samples,
        d.sampling_frequency_hz,
        d.n_channels,
        d.sample_type.numpy_name(),
    );
    if selected.rows.len() < selected.n_channels_whole || selected.first_sample > 0 {
        text.push_str(&format!(
            "part       from sample {} on, {} of {} channels\n",
            selected.first_sample,
            selected.rows.len(),
            selected.n_channels_whole,
        ));
    }
    let (low, high) = d
        .gains_uv
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), &g| {
            (l.min(g), h.max(g))
        });
    text.push_str(&if low == high {
        format!("gain       {low} µV a step\n")
    } else {
        format!("gain       {low} to {high} µV a step\n")
    });
    if d.segments.len() > 1 {
        text.push_str(&format!(
            "segments   {} (pauses or ends of files between them)\n",
            d.segments.len()
        ));
    }
    match probe {
        None => {
            text.push_str("probe      none: `somata sort` needs one, give it with `--probe FILE`\n")
        }
        Some(probe) => {
            let ((x0, x1), (y0, y1)) = (
                extent(|contact| contact.x_um),
                extent(|contact| contact.y_um),
            );
            text.push_str(&format!(
                "probe      {}: {} contacts on {}, {:.0} × {:.0} µm\n",
                if probe.name.is_empty() {
                    "unnamed"
                } else {
                    &probe.name
                },
                probe.contacts.len(),
                match probe.n_shanks() {
                    1 => "1 shank".to_owned(),
                    n => format!("{n} shanks"),
                },
                x1 - x0,
                y1 - y0
            ));
            if let Some(drawing) = draw(probe, &selected.rows, Style::of_stdout()) {
                text.push_str(&drawing);
            }
        }
    }
    for warning in &d.warnings {
        text.push_str(&format!("warning    {warning}\n"));
    }
    if let Some(probe) = probe {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let info = recording_info(d, probe, String::new());
        text.push_str(&format!(
            "needs      to be sorted about {} of memory with {threads} threads, and {} of disk while it runs\n",
            size_text(estimates::sort_memory(&info, &SortingParameters::default(), threads)),
            size_text(estimates::sort_disk(&info, true)),
        ));
    }
    let mut options = input.given();
    if probe.is_none() {
        options.extend(["--probe".to_owned(), "FILE".to_owned()]);
    }
    text.push_str(&next_command("sort", paths, &options));
    print(&text);
    Ok(())
}
