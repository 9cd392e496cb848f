//! `somata match`

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};
use somata_engine::{
    imaging::{
        matching::{Field, Matched, Pair, View, match_fields},
        morphology::ImageSize,
    },
    stream::Event,
};
use somata_io::{
    atomic::{OutputFolder, write_file},
    checksum::fingerprint_of_files,
    imaging_output::{Mask, picture::write_overlaid_picture},
};

use crate::{
    again::{command_line, path_text},
    commands::{print, print_json},
    exit::{ExitCode, Failure, Outcome},
    imaging_output::plane_file,
    imaging_result::ImagingFolder,
    messages::Messages,
    run::{RunArguments, already_complete, threads},
    sorting_output::{peak_memory, seconds_since_epoch},
};

/// Pixel sizes that differ by more than this share are not taken for rounding.
const SAME_PIXEL_SIZE: f64 = 0.02;
/// A field whose lengths differ by more than this share was not imaged at the same zoom.
const SAME_ZOOM: f64 = 0.03;

/// Arguments of `somata match`.
#[derive(Args)]
pub struct Arguments {
    /// Result of `somata image` of the first session
    first: PathBuf,
    /// Result of the second session, of the same field
    second: PathBuf,
    /// Folder for the result; it appears whole or not at all. Without it the pairs are printed
    #[arg(long, short)]
    out: Option<PathBuf>,
    /// Replace another result of `somata match`
    #[arg(long)]
    force: bool,
    /// Threads; by default what SLURM_CPUS_PER_TASK says, or all cores
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    /// Show no messages
    #[arg(long, short)]
    quiet: bool,
}

/// Runs `somata match`.
pub fn run(arguments: &Arguments) -> Outcome {
    let mut run = RunArguments::on("cpu", arguments.quiet);
    run.threads = arguments.threads;
    let threads = threads(&run, "two fields", |_| 0)?;
    let first = ImagingFolder::read(&arguments.first)?;
    let second = ImagingFolder::read(&arguments.second)?;
    fit_together(&first, &second)?;
    let key = key(&first, &second)?;
    if let Some(out) = &arguments.out
        && already_complete(out, &key, "match", arguments.force, arguments.json)?
    {
        return Ok(());
    }
    // The pool can only be made once; a second run in one process keeps the first one's threads.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
    let messages = Messages::new(arguments.quiet, None)?;
    let start = std::time::Instant::now();
    let planes: Vec<Matched> = (0..first.info.n_planes)
        .map(|plane| match_fields(&field(&first, plane), &field(&second, plane)))
        .collect();
    let seconds = start.elapsed().as_secs_f64();
    let result = Result {
        first: &first,
        second: &second,
        planes: &planes,
    };
    let warnings = result.warnings();
    for warning in &warnings {
        messages.show(&Event::Warning {
            message: warning.clone(),
        });
    }
    messages.line(&result.summary(seconds));
    let manifest = result.manifest(&key, seconds, &warnings);
    match &arguments.out {
        Some(out) => {
            let output = OutputFolder::create(out, arguments.force)?;
            result.write(output.path(), &manifest, &messages.log())?;
            output.commit()?;
            messages.line(&format!("result in `{}`", out.display()));
        }
        None if !arguments.json => print(&result.matches_csv()),
        None => (),
    }
    if arguments.json {
        print_json(&manifest)?;
    }
    Ok(())
}

/// Whether two results can be of one field.
fn fit_together(first: &ImagingFolder, second: &ImagingFolder) -> Outcome {
    let refused = |what: String, hint: &str| {
        Err(Failure::new(
            ExitCode::Input,
            format!(
                "`{}` and `{}` {what}",
                first.path.display(),
                second.path.display()
            ),
        )
        .hint(hint))
    };
    let (a, b) = (&first.info, &second.info);
    if a.n_planes != b.n_planes {
        return refused(
            format!("have {} and {} planes", a.n_planes, b.n_planes),
            "give two results of the same planes; each plane is matched with the one of its number",
        );
    }
    if let (Some(a), Some(b)) = (a.pixel_size_um, b.pixel_size_um)
        && a.iter()
            .zip(b)
            .any(|(a, b)| (a - b).abs() > SAME_PIXEL_SIZE * a.max(b))
    {
        let text = |[y, x]: [f64; 2]| format!("{y:.3} × {x:.3} µm");
        return refused(
            format!("have pixels of {} and of {}", text(a), text(b)),
            "image the field at the same zoom, or bring one movie to the pixels of the other first",
        );
    }
    Ok(())
}

/// Hash of what a result depends on.
fn key(first: &ImagingFolder, second: &ImagingFolder) -> Outcome<String> {
    let files: Vec<PathBuf> = [first, second]
        .iter()
        .flat_map(|result| ["mean.tif", "rois.zip"].map(|name| result.path.join(name)))
        .collect();
    let text = format!(
        "{} {}\n{}\n{}",
        first.info.key,
        second.info.key,
        fingerprint_of_files(&files)?,
        env!("CARGO_PKG_VERSION"),
    );
    Ok(blake3::hash(text.as_bytes()).to_hex()[..16].to_owned())
}

fn field(result: &ImagingFolder, plane: usize) -> Field<'_> {
    Field {
        size: ImageSize {
            height: result.info.height,
            width: result.info.width,
        },
        mean: &result.means[plane],
        bodies: &result.bodies[plane],
    }
}

/// Two results with their pairs.
struct Result<'a> {
    first: &'a ImagingFolder,
    second: &'a ImagingFolder,
    planes: &'a [Matched],
}

impl Result<'_> {
    fn n_pairs(&self) -> usize {
        self.planes.iter().map(|plane| plane.pairs.len()).sum()
    }

    /// Shift of the middle of the first field, down and right, px.
    fn shift(&self, plane: &Matched) -> [f64; 2] {
        let info = &self.first.info;
        let middle = [info.height, info.width].map(|n| (n as f64 - 1.0) / 2.0);
        let there = plane.alignment.map.apply(middle);
        [there[0] - middle[0], there[1] - middle[1]]
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for (k, plane) in self.planes.iter().enumerate() {
            let alignment = &plane.alignment;
            if !alignment.found {
                warnings.push(format!(
                    "plane {k}: the two fields show nothing in common (the best alignment stands out by {:.1}, one of the mirrored field by \
                     {:.1}), so no cells are paired",
                    alignment.peak, alignment.mirrored_peak
                ));
                continue;
            }
            let scale = alignment.map.linearised().scale();
            if (scale - 1.0).abs() > SAME_ZOOM {
                warnings.push(format!(
                    "plane {k}: lengths in the second field are {scale:.3} times those in the first; the zoom may not be the same"
                ));
            }
        }
        warnings
    }

    fn summary(&self, seconds: f64) -> String {
        let mut text = format!(
            "{} pairs of {} and {} cells",
            self.n_pairs(),
            self.first.n_cells(),
            self.second.n_cells()
        );
        let aligned = self.planes.iter().filter(|plane| plane.alignment.found);
        let moves: Vec<String> = aligned
            .map(|plane| {
                let [down, right] = self.shift(plane);
                let rotation = plane.alignment.map.linearised().rotation().to_degrees();
                format!("shift {down:.1}, {right:.1} px, rotation {rotation:.2}°")
            })
            .collect();
        if !moves.is_empty() {
            write!(text, " ({})", moves.join("; ")).expect("string");
        }
        write!(text, " in {seconds:.1} s").expect("string");
        text
    }

    /// Numbers of the cells of a pair, over all planes.
    fn numbers(&self, plane: usize, pair: &Pair) -> [usize; 2] {
        [
            self.first.first_cell(plane) + pair.first,
            self.second.first_cell(plane) + pair.second,
        ]
    }

    fn matches_csv(&self) -> String {
        let mut text = String::from(
            "plane,cell_a,cell_b,iou,distance_px,probability,shape_iou,image_correlation\n",
        );
        for (k, plane) in self.planes.iter().enumerate() {
            for pair in &plane.pairs {
                let [a, b] = self.numbers(k, pair);
                writeln!(
                    text,
                    "{k},{a},{b},{:.4},{:.3},{:.4},{:.4},{:.4}",
                    pair.iou, pair.distance_px, pair.probability, pair.shape_iou, pair.likeness
                )
                .expect("string");
            }
        }
        text
    }

    /// Cells without a pair, and what came closest.
    fn unmatched_csv(&self) -> String {
        let mut text =
            String::from("result,plane,cell,reason,nearest_cell,iou,distance_px,probability\n");
        for (name, side) in [("a", 0), ("b", 1)] {
            let own = |pair: &Pair| [pair.first, pair.second][side];
            for (k, plane) in self.planes.iter().enumerate() {
                let paired: std::collections::BTreeSet<usize> =
                    plane.pairs.iter().map(own).collect();
                for (cell, view) in plane.views[side].iter().enumerate() {
                    if paired.contains(&cell) {
                        continue;
                    }
                    let reason = match view {
                        _ if !plane.alignment.found => "not_aligned",
                        View::Outside => "outside",
                        View::Common => "no_partner",
                    };
                    let best = plane
                        .weighed
                        .iter()
                        .filter(|pair| own(pair) == cell)
                        .max_by(|a, b| a.probability.total_cmp(&b.probability));
                    let number = [self.first, self.second][side].first_cell(k) + cell;
                    let nearest = best.map_or(",,,".into(), |pair| {
                        format!(
                            "{},{:.4},{:.3},{:.4}",
                            self.numbers(k, pair)[1 - side],
                            pair.iou,
                            pair.distance_px,
                            pair.probability
                        )
                    });
                    writeln!(text, "{name},{k},{number},{reason},{nearest}").expect("string");
                }
            }
        }
        text
    }

    fn alignment_json(&self) -> Vec<Value> {
        self.planes
            .iter()
            .enumerate()
            .map(|(k, plane)| {
                let alignment = &plane.alignment;
                let mut value = json!({
                    "plane": k,
                    "found": alignment.found,
                    "peak": alignment.peak,
                    "mirrored_peak": alignment.mirrored_peak,
                });
                if alignment.found {
                    let affine = alignment.map.linearised();
                    let [down, right] = self.shift(plane);
                    value["shift_px"] = json!([down, right]);
                    value["rotation_deg"] = json!(affine.rotation().to_degrees());
                    value["scale"] = json!(affine.scale());
                    value["affine"] = json!(affine.0);
                    value["map"] = json!(alignment.map);
                    value["correlation"] = json!(alignment.agreement.correlation);
                    value["overlap"] = json!(alignment.agreement.overlap);
                    value["pairs"] = json!(plane.model);
                }
                value
            })
            .collect()
    }

    fn manifest(&self, key: &str, seconds: f64, warnings: &[String]) -> Value {
        let results = [self.first, self.second].map(|result| {
            json!({
                "path": path_text(&result.path),
                "key": result.info.key,
                "height": result.info.height,
                "width": result.info.width,
                "n_cells": result.n_cells(),
            })
        });
        let planes: Vec<Value> = self
            .planes
            .iter()
            .zip(self.alignment_json())
            .map(|(plane, alignment)| {
                let in_view = plane
                    .views
                    .each_ref()
                    .map(|views| views.iter().filter(|view| **view == View::Common).count());
                json!({
                    "n_pairs": plane.pairs.len(),
                    "n_in_view": in_view,
                    "aligned": alignment["found"],
                    "shift_px": alignment["shift_px"],
                    "rotation_deg": alignment["rotation_deg"],
                    "correlation": alignment["correlation"],
                })
            })
            .collect();
        json!({
            "somata": env!("CARGO_PKG_VERSION"),
            "kind": "match",
            "key": key,
            "command": command_line(),
            "finished": seconds_since_epoch(),
            "seconds": seconds,
            "peak_memory_bytes": peak_memory(),
            "results": results,
            "planes": planes,
            "n_pairs": self.n_pairs(),
            "warnings": warnings,
        })
    }

    fn write(&self, folder: &Path, manifest: &Value, log: &str) -> Outcome {
        let file = |name: &str, text: &str| write_file(&folder.join(name), text.as_bytes());
        file("matches.csv", &self.matches_csv())?;
        file("unmatched.csv", &self.unmatched_csv())?;
        let json = |value: &Value| serde_json::to_string_pretty(value).expect("plain data");
        file("alignment.json", &json(&Value::from(self.alignment_json())))?;
        for k in 0..self.planes.len() {
            self.write_picture(folder, k)?;
        }
        file("log.txt", log)?;
        file("manifest.json", &json(manifest))?;
        Ok(())
    }

    /// Both mean images on the first one's pixels, with the outlines of pairs.
    fn write_picture(&self, folder: &Path, k: usize) -> Outcome {
        let plane = &self.planes[k];
        let (height, width) = (self.first.info.height, self.first.info.width);
        let (first, second) = (field(self.first, k), field(self.second, k));
        let aligned = plane.alignment.found;
        let moved = if aligned {
            plane.alignment.moved(&second, first.size)
        } else {
            vec![0.0; height * width]
        };
        let moved_bodies = if aligned {
            plane.alignment.moved_bodies(&second, first.size)
        } else {
            Vec::new()
        };
        let numbers = plane.pairs.iter().map(|pair| (pair.first, pair.second));
        let (own, other): (Vec<Places>, Vec<Places>) = numbers
            .map(|(a, b)| {
                let places = |body: &[u32]| Places::new(body, width);
                (places(&first.bodies[a]), places(&moved_bodies[b]))
            })
            .unzip();
        let [own, other] =
            [&own, &other].map(|all| all.iter().map(Places::mask).collect::<Vec<_>>());
        let path = plane_file(folder, "aligned", k, self.planes.len(), "png");
        write_overlaid_picture(&path, height, width, [first.mean, &moved], [&own, &other])?;
        Ok(())
    }
}

/// Pixels as rows and columns.
struct Places {
    y: Vec<i64>,
    x: Vec<i64>,
    weights: Vec<f32>,
}

impl Places {
    fn new(body: &[u32], width: usize) -> Self {
        let part = |of: fn(usize, usize) -> usize| {
            body.iter()
                .map(|&pixel| of(pixel as usize, width) as i64)
                .collect()
        };
        Self {
            y: part(|p, w| p / w),
            x: part(|p, w| p % w),
            weights: vec![1.0; body.len()],
        }
    }

    fn mask(&self) -> Mask<'_> {
        Mask {
            ypix: &self.y,
            xpix: &self.x,
            lam: &self.weights,
        }
    }
}
