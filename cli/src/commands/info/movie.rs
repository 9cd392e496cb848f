//! What a movie or an image holds.

use std::path::{Path, PathBuf};

use serde_json::json;
use somata_io::{movie::MovieReader, still_image::read_image};

use crate::{
    again::path_text,
    commands::{info::next_command, print, print_json},
    exit::Outcome,
};

/// Prints what is known of the movie, given as `paths` and `options`, and what would process it.
///
/// # Errors
/// When it cannot be printed.
pub fn tell(
    reader: &dyn MovieReader,
    paths: &[PathBuf],
    options: &[String],
    as_json: bool,
) -> Outcome {
    let d = reader.description();
    let seconds = d.frame_rate_hz.map(|rate| d.n_frames as f64 / rate);
    if as_json {
        return print_json(&json!({
            "kind": "movie",
            "format": d.format,
            "paths": d.paths.iter().map(|path| path_text(path)).collect::<Vec<_>>(),
            "height": d.height,
            "width": d.width,
            "n_frames": d.n_frames,
            "n_planes": d.n_planes,
            "n_channels": d.n_channels,
            "pixel_type": d.pixel_type.numpy_name(),
            "frame_rate_hz": d.frame_rate_hz,
            "duration_s": seconds,
            "pixel_size_um": d.pixel_size_um,
            "warnings": d.warnings,
        }));
    }
    let mut text = format!("format     {}\n", d.format);
    let files = d.paths.len();
    if files > 1 {
        text.push_str(&format!("files      {files}\n"));
    }
    text.push_str(&match (d.frame_rate_hz, seconds) {
        (Some(rate), Some(seconds)) => {
            format!(
                "length     {seconds:.3} s, {} frames at {rate} Hz\n",
                d.n_frames
            )
        }
        _ if d.n_frames == 1 => "length     1 frame\n".to_owned(),
        _ => format!(
            "length     {} frames; nothing says their rate\n",
            d.n_frames
        ),
    });
    text.push_str(&format!(
        "frame      {} × {} pixels of {}\n",
        d.height,
        d.width,
        d.pixel_type.numpy_name()
    ));
    if let Some([height, width]) = d.pixel_size_um {
        text.push_str(&format!(
            "field      {:.0} × {:.0} µm ({height:.3} × {width:.3} µm a pixel)\n",
            height * d.height as f64,
            width * d.width as f64
        ));
    }
    text.push_str(&format!(
        "planes     {}\nchannels   {}\n",
        d.n_planes, d.n_channels
    ));
    for warning in &d.warnings {
        text.push_str(&format!("warning    {warning}\n"));
    }
    let mut options = options.to_vec();
    let command = if d.n_frames > 1 { "image" } else { "segment" };
    if d.n_frames == 1 {
        // `somata segment` takes images as they are.
        options.clear();
    } else if d.frame_rate_hz.is_none() {
        options.extend(["--frame-rate".to_owned(), "HZ".to_owned()]);
    }
    text.push_str(&next_command(command, paths, &options));
    print(&text);
    Ok(())
}

/// Prints what is known of the PNG or JPEG at `path`.
///
/// # Errors
/// When it cannot be read or printed.
pub fn tell_image(path: &Path, as_json: bool) -> Outcome {
    let images = read_image(path)?;
    let image = &images[0];
    if as_json {
        return print_json(&json!({
            "kind": "image",
            "paths": [path_text(path)],
            "height": image.height,
            "width": image.width,
            "n_channels": image.n_channels,
            "pixel_type": image.pixel_type_name,
            "warnings": image.warnings,
        }));
    }
    let mut text = format!(
        "image      {} × {} pixels of {}\nchannels   {}{}\n",
        image.height,
        image.width,
        image.pixel_type_name,
        image.n_channels,
        if image.n_channels > 1 && image.is_gray() {
            ", all the same"
        } else {
            ""
        },
    );
    for warning in &image.warnings {
        text.push_str(&format!("warning    {warning}\n"));
    }
    text.push_str(&next_command("segment", &[path.to_owned()], &[]));
    print(&text);
    Ok(())
}
