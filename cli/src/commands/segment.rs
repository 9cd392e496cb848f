//! `somata segment`

use std::path::{Path, PathBuf};

use clap::Args;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use somata_engine::{
    device::Executor,
    imaging::segmentation::{
        Labels, Network, cellpose_input, network::InputKind, segment, segment_still,
    },
    parameters::imaging::ImagingParameters,
};
use somata_io::{
    atomic::write_file,
    checksum::fingerprint_of_files,
    imaging_output::{Mask, label_image::write_label_tiff, picture::write_outlined_picture},
    still_image::{StillImage, read_image},
};

use crate::{
    adapt::network_weights,
    again::{absolute, absolute_option, absolute_paths, command_line, path_text},
    commands::{
        help::{self, heading},
        print_json,
    },
    exit::{ExitCode, Failure, Outcome},
    run::{OutputArguments, RunArguments, Session, already_complete, parameters, rate, threads},
    sorting_output::{peak_memory, seconds_since_epoch},
};

/// Arguments of `somata segment`.
#[derive(Args, Clone, Deserialize, Serialize)]
#[command(after_help = help::SEGMENT)]
#[serde(deny_unknown_fields)]
pub struct Arguments {
    /// Images (TIFF, PNG, JPEG), or folders of them
    #[arg(required = true)]
    #[serde(serialize_with = "absolute_paths")]
    pub images: Vec<PathBuf>,
    #[command(flatten)]
    #[serde(skip)]
    pub output: OutputArguments,
    /// Diameter of the cells, pixels; without it images are taken at their own scale, which suits cells of 8 to 20 pixels
    #[arg(long, value_name = "PIXELS", allow_negative_numbers = true, help_heading = heading::CELLS)]
    pub diameter: Option<f64>,
    /// Channel that shows the cells, counted from 1, where an image has several
    #[arg(long, value_name = "N", help_heading = heading::CELLS)]
    pub channel: Option<usize>,
    /// Channel that shows the nuclei, for weights in Cellpose's form
    #[arg(long, value_name = "N", help_heading = heading::CELLS)]
    pub second_channel: Option<usize>,
    /// Weights of another network (safetensors; see training/)
    #[arg(long, value_name = "FILE", help_heading = heading::CELLS)]
    #[serde(serialize_with = "absolute_option")]
    pub weights: Option<PathBuf>,
    /// Go on when a file cannot be read; it is counted in the manifest
    #[arg(long, help_heading = heading::CELLS)]
    pub skip_unreadable: bool,
    #[command(flatten)]
    #[serde(skip)]
    pub run: RunArguments,
}

/// Endings of the files that are looked for in a folder.
const ENDINGS: [&str; 5] = ["tif", "tiff", "png", "jpg", "jpeg"];

/// Runs `somata segment`.
pub fn run(arguments: &Arguments) -> Outcome {
    let parameters: ImagingParameters = parameters(&arguments.run)?;
    let choice = arguments.run.choice()?;
    if let Some(diameter) = arguments.diameter.filter(|d| !(1.0..=2000.0).contains(d)) {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("`--diameter {diameter}` is no diameter of a cell in pixels"),
        )
        .hint("give a number from 1 to 2000, or leave it out"));
    }
    for (option, channel) in [
        ("--channel", arguments.channel),
        ("--second-channel", arguments.second_channel),
    ] {
        if channel == Some(0) {
            return Err(
                Failure::new(ExitCode::Usage, format!("`{option}` counts from 1"))
                    .hint("give 1 for the first channel"),
            );
        }
    }
    let files = files(&arguments.images)?;
    let fingerprint = fingerprint_of_files(&files)?;
    arguments.run.check_input(&fingerprint)?;
    let threads = threads(&arguments.run, "images", |threads| {
        (200 << 20) + threads as u64 * (96 << 20)
    })?;
    let (weights, identity) = network_weights(arguments.weights.as_deref())?;
    arguments.run.check_weights(&identity)?;
    let text = format!(
        "{fingerprint}\n{:?} {:?} {:?} {}\n{}\n{}\n{identity}",
        arguments.diameter,
        arguments.channel,
        arguments.second_channel,
        arguments.skip_unreadable,
        serde_json::to_string(&parameters).expect("plain parameters"),
        env!("CARGO_PKG_VERSION"),
    );
    let key = blake3::hash(text.as_bytes()).to_hex()[..16].to_owned();
    if arguments.output.dry_run {
        return print_json(&json!({
            "images": files.iter().map(|path| path_text(path)).collect::<Vec<_>>(),
            "device": choice.to_string(),
            "threads": threads,
            "out": path_text(&arguments.output.out),
            "parameters": parameters,
        }));
    }
    let output = &arguments.output;
    if already_complete(
        &output.out,
        &key,
        "segment",
        output.force,
        arguments.run.json,
    )? {
        return Ok(());
    }
    let session = Session::begin(&arguments.output, &arguments.run, &choice, threads)?;
    session.tell_input(&format!("{} images", files.len()), &parameters);
    let network = Network::new(session.executor.as_ref(), &weights)?;
    let start = std::time::Instant::now();
    let mut done: Vec<Value> = Vec::new();
    let mut skipped: Vec<Value> = Vec::new();
    let named: Vec<(&PathBuf, String)> = files.iter().zip(names(&files)).collect();
    let outcome = session.control.stage("segmentation", || {
        // Some steps of an image keep one thread busy only; with an image a thread the others are too.
        for wave in named.chunks(threads) {
            session.control.check()?;
            let made: Vec<Outcome<Value>> = wave
                .par_iter()
                .map(|(path, name)| {
                    one_file(arguments, &parameters, &network, &session, path, name)
                })
                .collect();
            for ((path, _), made) in wave.iter().zip(made) {
                match made {
                    Ok(found) => done.push(found),
                    Err(failure)
                        if arguments.skip_unreadable && failure.code == ExitCode::Input =>
                    {
                        session
                            .control
                            .warn(format!("skipped: {}", failure.message));
                        skipped.push(json!({ "path": path_text(path), "reason": failure.message }));
                    }
                    Err(failure) => return Ok((Some(failure), false)),
                }
                let n = done.len() + skipped.len();
                session
                    .control
                    .tell(somata_engine::stream::Event::Progress {
                        stage: "segmentation".into(),
                        fraction: n as f64 / files.len() as f64,
                    });
            }
        }
        Ok((None, false))
    });
    if let Some(failure) = session.outcome(outcome)? {
        return Err(failure);
    }
    let seconds = start.elapsed().as_secs_f64();
    let n_cells: u64 = done
        .iter()
        .filter_map(|image| image["n_cells"].as_u64())
        .sum();
    session.messages.line(&format!(
        "{n_cells} cells in {} images in {seconds:.1} s ({:.1} images/s)",
        done.len(),
        rate(done.len() as f64, seconds)
    ));
    let manifest = json!({
        "somata": env!("CARGO_PKG_VERSION"),
        "kind": "segment",
        "key": key,
        "command": command_line(),
        // The files themselves: folders may have others later.
        "arguments": Arguments { images: files.clone(), ..arguments.clone() },
        "input_fingerprint": fingerprint,
        "finished": seconds_since_epoch(),
        "seconds": seconds,
        "peak_memory_bytes": peak_memory(),
        "device": session.executor.name(),
        "weights": identity,
        "diameter_px": arguments.diameter,
        "images": done,
        "skipped": skipped,
        "n_cells": n_cells,
        "kernels": session.executor.kernel_times().iter()
            .map(|(stem, (calls, time))| json!({ "kernel": stem, "calls": calls, "seconds": time.as_secs_f64() }))
            .collect::<Vec<_>>(),
        "not_bit_stable_between_processors": ["convolve"],
        "warnings": session.control.warnings(),
        "parameters": parameters,
    });
    let folder = session.output.path();
    write_file(&folder.join("log.txt"), session.messages.log().as_bytes())?;
    let text = serde_json::to_string_pretty(&manifest).expect("plain data");
    write_file(&folder.join("manifest.json"), text.as_bytes())?;
    session.commit(&arguments.output)?;
    if arguments.run.json {
        print_json(&manifest)?;
    }
    Ok(())
}

/// All files: those given, and those of the folders given, sorted by name.
fn files(paths: &[PathBuf]) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in paths {
        if !path.is_dir() {
            if !path.exists() {
                return Err(somata_io::IoError::Missing { path: path.clone() }.into());
            }
            files.push(path.clone());
            continue;
        }
        let unreadable = |error: std::io::Error| {
            Failure::new(
                ExitCode::Input,
                format!("cannot read the folder `{}`: {error}", path.display()),
            )
            .hint("check its permissions")
        };
        let mut found: Vec<PathBuf> = std::fs::read_dir(path)
            .map_err(unreadable)?
            .map(|entry| entry.map(|entry| entry.path()).map_err(unreadable))
            .collect::<Outcome<_>>()?;
        found.retain(|file| {
            let ending = file
                .extension()
                .unwrap_or_default()
                .to_string_lossy()
                .to_lowercase();
            // Names that begin with a dot are the system's (macOS writes `._a.png` beside `a.png`).
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            file.is_file() && !name.starts_with('.') && ENDINGS.contains(&ending.as_str())
        });
        if found.is_empty() {
            return Err(Failure::new(
                ExitCode::Input,
                format!("there is no image in `{}`", path.display()),
            )
            .hint("give TIFF, PNG or JPEG files, or a folder of them"));
        }
        found.sort();
        files.extend(found);
    }
    Ok(files)
}

/// A name for the results of each file: its own, with its folder's where two are alike.
fn names(files: &[PathBuf]) -> Vec<String> {
    let stem = |path: &Path| {
        path.file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let mut taken = std::collections::BTreeSet::new();
    files
        .iter()
        .map(|path| {
            let own = stem(path);
            let ending = path.extension().unwrap_or_default().to_string_lossy();
            let parent = path.parent().map(stem).unwrap_or_default();
            let candidates = [
                own.clone(),
                format!("{own}_{ending}"),
                format!("{parent}_{own}"),
            ];
            let numbered = (2..).map(|k| format!("{own}_{k}"));
            let name = candidates
                .into_iter()
                .chain(numbered)
                .find(|name| !taken.contains(name))
                .expect("numbers do not end");
            taken.insert(name.clone());
            name
        })
        .collect()
}

/// Segments one file and writes its masks and picture.
fn one_file(
    arguments: &Arguments,
    parameters: &ImagingParameters,
    network: &Network,
    session: &Session,
    path: &Path,
    name: &str,
) -> Outcome<Value> {
    let images = read_image(path)?;
    let executor = session.executor.as_ref();
    for warning in images.iter().flat_map(|image| &image.warnings) {
        session
            .control
            .warn(format!("`{}`: {warning}", path.display()));
    }
    let size = [images[0].height, images[0].width];
    let uniform = images
        .iter()
        .all(|image| [image.height, image.width] == size);
    let values = images.iter().flat_map(|image| &image.pixels);
    let not_finite = values.filter(|value| !value.is_finite()).count();
    if not_finite > 0 {
        session.control.warn(format!(
            "`{}`: {not_finite} values are not finite (NaN or infinite); they count as 0",
            path.display()
        ));
    }
    let mut pages: Vec<(Labels, Vec<f32>)> = Vec::new();
    for image in &images {
        pages.push(one_image(
            arguments, parameters, network, executor, session, path, image,
        )?);
    }
    let folder = session.output.path();
    let masks = |suffix: &str| folder.join(format!("{name}_masks{suffix}.tif"));
    if uniform {
        let labels: Vec<&[u32]> = pages
            .iter()
            .map(|(labels, _)| labels.labels.as_slice())
            .collect();
        write_label_tiff(&masks(""), size[0], size[1], &labels)?;
    }
    let mut counts = Vec::new();
    for (k, (labels, shown)) in pages.iter().enumerate() {
        let suffix = if pages.len() == 1 {
            String::new()
        } else {
            format!("_{k}")
        };
        if !uniform {
            write_label_tiff(
                &masks(&suffix),
                labels.height,
                labels.width,
                &[&labels.labels],
            )?;
        }
        write_outlines(
            &folder.join(format!("{name}_outlines{suffix}.png")),
            labels,
            shown,
        )?;
        counts.push(labels.count());
    }
    Ok(json!({
        "path": path_text(&absolute(path)),
        "name": name,
        "pages": images.len(),
        "height": size[0],
        "width": size[1],
        "pixel_type": images[0].pixel_type_name,
        "cells_of_pages": counts,
        "n_cells": counts.iter().sum::<usize>(),
        "not_finite_values": not_finite,
    }))
}

/// Labels of one image, and the channel that was looked at.
fn one_image(
    arguments: &Arguments,
    parameters: &ImagingParameters,
    network: &Network,
    executor: &dyn Executor,
    session: &Session,
    path: &Path,
    image: &StillImage,
) -> Outcome<(Labels, Vec<f32>)> {
    let size = [image.height, image.width];
    let n = image.height * image.width;
    let plane = |channel: Option<usize>, option: &str| -> Outcome<Vec<f32>> {
        let channel = match channel {
            Some(channel) if (1..=image.n_channels).contains(&channel) => channel - 1,
            Some(channel) => {
                return Err(Failure::new(
                    ExitCode::Input,
                    format!(
                        "`{}` has {} channels, `{option} {channel}` was asked for",
                        path.display(),
                        image.n_channels
                    ),
                )
                .hint("channels are counted from 1"));
            }
            None if image.is_gray() => 0,
            None => {
                return Err(Failure::new(
                    ExitCode::Input,
                    format!(
                        "`{}` has {} channels where one gray image is needed",
                        path.display(),
                        image.n_channels
                    ),
                )
                .hint("say which channel shows the cells with `--channel N`"));
            }
        };
        let values = &image.pixels[channel * n..(channel + 1) * n];
        Ok(values
            .iter()
            .map(|v| if v.is_finite() { *v } else { 0.0 })
            .collect())
    };
    let shown = plane(arguments.channel, "--channel")?;
    let scale = arguments
        .diameter
        .map_or(1.0, |diameter| diameter / network.diameter_px);
    let control = &session.control;
    let labels = match network.input {
        InputKind::Summary => segment_still(
            network,
            &shown,
            size,
            scale,
            &parameters.segmentation,
            executor,
            control,
        )?,
        InputKind::Cellpose => {
            let mut planes = shown.clone();
            if network.channels() > 1 {
                match arguments.second_channel {
                    Some(channel) => planes.extend(plane(Some(channel), "--second-channel")?),
                    None => planes.resize(2 * n, 0.0),
                }
            }
            let input = cellpose_input(&planes, n);
            let parameters = &parameters.segmentation;
            segment(network, &input, size, scale, parameters, executor, control)?.1
        }
    };
    Ok((labels, shown))
}

fn write_outlines(path: &Path, labels: &Labels, shown: &[f32]) -> Outcome {
    let mut pixels: Vec<(Vec<i64>, Vec<i64>)> = vec![Default::default(); labels.count()];
    for (i, &label) in labels
        .labels
        .iter()
        .enumerate()
        .filter(|(_, label)| **label > 0)
    {
        let (ypix, xpix) = &mut pixels[label as usize - 1];
        ypix.push((i / labels.width) as i64);
        xpix.push((i % labels.width) as i64);
    }
    let weights: Vec<Vec<f32>> = pixels
        .iter()
        .map(|(ypix, _)| vec![1.0; ypix.len()])
        .collect();
    let masks: Vec<Mask<'_>> = pixels
        .iter()
        .zip(&weights)
        .map(|((ypix, xpix), lam)| Mask { ypix, xpix, lam })
        .collect();
    write_outlined_picture(path, labels.height, labels.width, shown, &masks)?;
    Ok(())
}
