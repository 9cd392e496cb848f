//! `somata convert`: hands a result on to another program.

mod imaging;
mod nwb;
mod sorting;
mod stills;

use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use somata_io::{
    IoError,
    atomic::{OutputFolder, write_file},
    imaging_output::result_reader::plane_folders,
    sorting_output::phy_reader::phy_folder,
};

use crate::{
    again::{command_line, path_text},
    commands::print_json,
    exit::{ExitCode, Failure, Outcome},
    messages::Messages,
    sorting_output::seconds_since_epoch,
};

/// The page that follows the options in the help.
const AFTER_HELP: &str = "\
What becomes what:
  format       of a sorting           of a movie                  of still images
  nwb          units, electrodes      cells, traces, motion       -
  npz          SpikeInterface         -                           -
  csv          spikes, units          cells, a file a trace       -
  parquet      spikes, units          cells, one long table       -
  mat          MATLAB                 MATLAB                      -
  suite2p-mat  -                      Fall.mat of each plane      -
  cellpose     -                      planeK_seg.npy, planeK.tif  NAME_seg.npy
  coco         -                      COCO JSON                   COCO JSON
  imagej       -                      regions, one zip            regions, a zip an image

A sorting is a result of `somata sort`, or a phy or Kilosort folder. A movie's result is that of \
`somata image`, or a folder of Suite2p (`suite2p`, or `plane0` in it). Still images are a result of \
`somata segment`. What each format holds is in docs/guides/hand-on-results.md.

Examples:
  somata convert sorted --to npz
      writes sorted.npz, which spikeinterface.core.read_npz_sorting opens
  somata convert sorted --to parquet --out tables
      writes tables/spikes.parquet and tables/units.parquet
  somata convert imaged --to suite2p-mat --out for_matlab
      writes for_matlab/plane0/Fall.mat
  somata convert images --to coco --polygons --out cells.json
  somata convert sorted --with imaged --to nwb --session-start 2026-01-31T09:30:00+01:00
      writes sorted.nwb, with the recording and the movie of one session

Nothing is overwritten without --force, and what is written appears whole or not at all.

Exit codes: 0 written; 2 RESULT cannot become that format; 3 RESULT is missing or damaged; 4 the output exists or cannot be written.";

/// What a result becomes.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Format {
    /// Neurodata Without Borders
    Nwb,
    /// SpikeInterface's NpzSortingExtractor
    #[value(alias = "spikeinterface")]
    Npz,
    /// Tables for spreadsheets
    Csv,
    /// Tables for pandas, polars, DuckDB, R
    Parquet,
    /// MATLAB 5 file
    #[value(alias = "matlab")]
    Mat,
    /// Suite2p's Fall.mat
    #[value(name = "suite2p-mat")]
    Suite2pMat,
    /// Masks for Cellpose's window
    Cellpose,
    /// COCO data set
    Coco,
    /// ImageJ regions
    Imagej,
}

impl Format {
    /// As it is typed.
    fn name(self) -> String {
        let value = self.to_possible_value().expect("no format is hidden");
        value.get_name().to_owned()
    }
}

/// What a folder holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Sorting,
    Imaging,
    Stills,
}

impl Kind {
    /// With an article, for messages.
    fn name(self) -> &'static str {
        match self {
            Kind::Sorting => "a sorting",
            Kind::Imaging => "a movie's result",
            Kind::Stills => "a result of still images",
        }
    }

    /// `kind` of the manifest of such a result.
    fn manifest_kind(self) -> &'static str {
        match self {
            Kind::Sorting => "sort",
            Kind::Imaging => "image",
            Kind::Stills => "segment",
        }
    }

    fn formats(self) -> &'static [Format] {
        match self {
            Kind::Sorting => &[
                Format::Nwb,
                Format::Npz,
                Format::Csv,
                Format::Parquet,
                Format::Mat,
            ],
            Kind::Imaging => &[
                Format::Nwb,
                Format::Csv,
                Format::Parquet,
                Format::Mat,
                Format::Suite2pMat,
                Format::Cellpose,
                Format::Coco,
                Format::Imagej,
            ],
            Kind::Stills => &[Format::Cellpose, Format::Coco, Format::Imagej],
        }
    }

    /// What the output's name has more than the result's, and whether it is a folder.
    fn output(self, format: Format) -> (&'static str, bool) {
        match (format, self) {
            (Format::Nwb, _) => (".nwb", false),
            (Format::Npz, _) => (".npz", false),
            (Format::Mat, _) => (".mat", false),
            (Format::Coco, _) => (".coco.json", false),
            (Format::Imagej, Kind::Imaging) => ("_rois.zip", false),
            (Format::Imagej, _) => ("_rois", true),
            (Format::Csv, _) => ("_csv", true),
            (Format::Parquet, _) => ("_parquet", true),
            (Format::Suite2pMat, _) => ("_suite2p_mat", true),
            (Format::Cellpose, _) => ("_cellpose", true),
        }
    }
}

/// Arguments of `somata convert`.
#[derive(Args)]
#[command(after_help = AFTER_HELP)]
pub struct Arguments {
    /// A result of somata, a phy or Kilosort folder, or a folder of Suite2p
    result: PathBuf,
    /// What to write; see the table below
    #[arg(long, value_name = "FORMAT")]
    to: Format,
    /// File or folder to write; by default beside RESULT, under its name with the format's ending
    #[arg(long, short, value_name = "PATH")]
    out: Option<PathBuf>,
    /// With `--to coco`: outlines instead of run lengths, for tools that know only polygons; holes are filled
    #[arg(long)]
    polygons: bool,
    /// Replace a file, or a folder that `somata convert` wrote
    #[arg(long)]
    force: bool,
    /// Print one JSON object at the end
    #[arg(long)]
    json: bool,
    /// Show no messages
    #[arg(long, short)]
    quiet: bool,
    // Last, since its heading holds for all that follows.
    #[command(flatten)]
    nwb: nwb::NwbArguments,
}

/// What was written.
#[derive(Default)]
struct Written {
    /// Names of the files in a folder.
    files: Vec<String>,
    /// How many of what: `units`, `spikes`, `cells` …
    counts: Vec<(&'static str, usize)>,
    /// What the user should know.
    warnings: Vec<String>,
}

impl Written {
    fn new(counts: &[(&'static str, usize)]) -> Self {
        Self {
            counts: counts.to_vec(),
            ..Self::default()
        }
    }
}

/// What is asked for, and where it goes: a file, or a folder that is there.
struct Target<'a> {
    format: Format,
    path: &'a Path,
    polygons: bool,
}

/// Runs `somata convert`.
pub fn run(arguments: &Arguments) -> Outcome {
    let start = Instant::now();
    let kind = kind(&arguments.result)?;
    if !kind.formats().contains(&arguments.to) {
        let names: Vec<String> = kind.formats().iter().map(|format| format.name()).collect();
        return Err(Failure::new(
            ExitCode::Usage,
            format!(
                "`{}` is {}, which cannot be written as `{}`",
                arguments.result.display(),
                kind.name(),
                arguments.to.name()
            ),
        )
        .hint(format!("`--to` can be {}", names.join(", "))));
    }
    if arguments.polygons && arguments.to != Format::Coco {
        return Err(Failure::new(
            ExitCode::Usage,
            format!(
                "`--polygons` does not go with `--to {}`",
                arguments.to.name()
            ),
        )
        .hint("leave it out, or give `--to coco`"));
    }
    if let Some(option) = arguments
        .nwb
        .given()
        .filter(|_| arguments.to != Format::Nwb)
    {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("`{option}` does not go with `--to {}`", arguments.to.name()),
        )
        .hint("leave it out, or give `--to nwb`"));
    }
    let (suffix, is_folder) = kind.output(arguments.to);
    let out = match &arguments.out {
        Some(out) => out.clone(),
        None => beside(&arguments.result, suffix)?,
    };
    check_output(&out, is_folder, arguments.force)?;
    let messages = Messages::new(arguments.quiet, None)?;
    let write = |path: &Path| {
        let target = Target {
            format: arguments.to,
            path,
            polygons: arguments.polygons,
        };
        if arguments.to == Format::Nwb {
            return nwb::convert(&arguments.result, kind, &target, &arguments.nwb);
        }
        match kind {
            Kind::Sorting => sorting::convert(&arguments.result, &target),
            Kind::Imaging => imaging::convert(&arguments.result, &target),
            Kind::Stills => stills::convert(&arguments.result, &target),
        }
    };
    let summary = |written: &Written| {
        let mut summary = json!({
            "somata": env!("CARGO_PKG_VERSION"),
            "kind": "convert",
            "source": path_text(&arguments.result),
            "source_kind": kind.manifest_kind(),
            "with": arguments.nwb.with,
            "format": arguments.to.name(),
            "out": path_text(&out),
            "files": written.files,
            "command": command_line(),
            "finished": seconds_since_epoch(),
            "seconds": start.elapsed().as_secs_f64(),
            "warnings": written.warnings,
        });
        for (what, n) in &written.counts {
            summary[format!("n_{what}")] = json!(n);
        }
        summary
    };
    let (written, summary) = if is_folder {
        let folder = OutputFolder::create(&out, arguments.force)?;
        let written = write(folder.path())?;
        let summary = summary(&written);
        let text = serde_json::to_string_pretty(&summary).expect("plain data");
        write_file(&folder.path().join("manifest.json"), text.as_bytes())?;
        folder.commit()?;
        (written, summary)
    } else {
        make_parent(&out)?;
        let written = write(&out)?;
        let summary = summary(&written);
        (written, summary)
    };
    for warning in &written.warnings {
        messages.line(&format!("warning: {warning}"));
    }
    let counts: Vec<String> = written
        .counts
        .iter()
        .map(|(what, n)| match n {
            // All of these words are plurals with an s.
            1 => format!("1 {}", what.trim_end_matches('s')),
            n => format!("{n} {what}"),
        })
        .collect();
    messages.line(&format!("{} in `{}`", counts.join(", "), out.display()));
    if arguments.json {
        print_json(&summary)?;
    }
    Ok(())
}

/// What a path holds.
fn kind(result: &Path) -> Outcome<Kind> {
    if !result.exists() {
        return Err(IoError::Missing {
            path: result.to_owned(),
        }
        .into());
    }
    let manifest = std::fs::read_to_string(result.join("manifest.json")).ok();
    let manifest: Option<Value> = manifest.and_then(|text| serde_json::from_str(&text).ok());
    if manifest.is_some_and(|manifest| manifest["kind"] == Kind::Stills.manifest_kind()) {
        return Ok(Kind::Stills);
    }
    if !plane_folders(result).is_empty() {
        return Ok(Kind::Imaging);
    }
    if phy_folder(result).is_some() {
        return Ok(Kind::Sorting);
    }
    Err(Failure::new(
        ExitCode::Input,
        format!("`{}` holds no result that can be converted", result.display()),
    )
    .hint("give what `somata sort`, `somata image` or `somata segment` wrote, a phy folder, or a folder of Suite2p with `stat.npy`"))
}

/// The result's name with a suffix, beside it.
fn beside(result: &Path, suffix: &str) -> Outcome<PathBuf> {
    // `.` and `a/..` have no name of their own.
    let whole = std::fs::canonicalize(result).map_err(|source| IoError::Read {
        path: result.to_owned(),
        source,
    })?;
    let Some(name) = whole.file_name() else {
        return Err(Failure::new(
            ExitCode::Usage,
            format!("`{}` has no name to write beside", result.display()),
        )
        .hint("say where to write with `--out`"));
    };
    let mut name = name.to_owned();
    name.push(suffix);
    // As the user wrote it, where that has a name.
    Ok(match result.file_name() {
        Some(_) => result.with_file_name(name),
        None => whole.with_file_name(name),
    })
}

/// Refuses what is there and may not be replaced.
fn check_output(out: &Path, is_folder: bool, force: bool) -> Outcome {
    if out.symlink_metadata().is_err() {
        return Ok(());
    }
    let refused = |what: &str, hint: &str| {
        Err(Failure::new(ExitCode::Output, format!("`{}` {what}", out.display())).hint(hint))
    };
    if is_folder {
        let is_empty = out
            .read_dir()
            .is_ok_and(|mut entries| entries.next().is_none());
        if is_empty {
            return Ok(());
        }
        if !force {
            return Err(IoError::Exists {
                path: out.to_owned(),
            }
            .into());
        }
        let manifest = std::fs::read_to_string(out.join("manifest.json")).ok();
        let manifest: Option<Value> = manifest.and_then(|text| serde_json::from_str(&text).ok());
        if manifest.is_some_and(|manifest| manifest["kind"] == "convert") {
            return Ok(());
        }
        return refused(
            "exists and was not written by `somata convert`",
            "choose another `--out`; `--force` replaces only what `somata convert` wrote",
        );
    }
    if out.is_dir() {
        return refused(
            "is a folder, and this format is one file",
            "give `--out` the name of a file",
        );
    }
    if !force {
        return Err(IoError::Exists {
            path: out.to_owned(),
        }
        .into());
    }
    Ok(())
}

/// Makes the folder that a file goes into.
fn make_parent(out: &Path) -> Outcome {
    match out.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => {
            std::fs::create_dir_all(parent).map_err(|source| {
                IoError::Write {
                    path: parent.to_owned(),
                    source,
                }
                .into()
            })
        }
        _ => Ok(()),
    }
}
