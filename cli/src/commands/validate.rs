//! `somata validate`

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use somata_validation::{
    score::{
        SpikeTrains,
        collision::{CollisionScore, collision_recall},
        masks::{AveragePrecision, Footprint, average_precision, average_precision_of_footprints},
        motion::{MotionError, motion_error},
        movie::{MovieScore, score_movie},
        phy_spikes::{read_phy_labels, read_phy_spikes},
        plane_folder::read_plane_folder,
        sorting::{Comparison, compare_to_ground_truth},
        two_sessions::{SessionScore, score_sessions},
    },
    simulate::{
        displacement::Displacement,
        movie::{MovieSpec, SimulatedMovie, read_movie_truth},
        truth::read_truth,
    },
};

use crate::{
    commands::{print, print_json},
    exit::{ExitCode, Failure, Outcome},
    imaging_result::{ImagingFolder, ResultInfo, read_bodies},
};

/// Arguments of `somata validate`.
#[derive(Args)]
pub struct Arguments {
    /// A result of `somata sort`, `somata image` or `somata match`, a phy folder, or a label image
    result: PathBuf,
    /// A simulated recording or movie (of a match, that of the second session), its truth.npz, or a label image
    truth: PathBuf,
    /// Score only the units labelled `good`, or the regions called cells
    #[arg(long)]
    good_only: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// All scores of one result.
#[derive(Serialize)]
pub struct Scores {
    /// Units and spikes.
    pub sorting: Comparison,
    /// Spikes that overlap.
    pub collisions: CollisionScore,
    /// Error of the estimated displacement.
    pub motion: Option<MotionError>,
}

/// Scores a result.
pub fn run(arguments: &Arguments) -> Outcome {
    if arguments.result.is_file() {
        return labels(arguments);
    }
    if !arguments.result.is_dir() {
        return Err(Failure::new(
            ExitCode::Input,
            format!("there is no result `{}`", arguments.result.display()),
        )
        .hint("check the path"));
    }
    if is_matching(&arguments.result) {
        let score = score_matching(&arguments.result, &arguments.truth)?;
        if arguments.json {
            return print_json(&score);
        }
        print(&format!(
            "pairs             {}\nfound in both     {}\ncorrect           {}\nwrong             {}\nprecision         {:.3}\nrecall            {:.3}\n",
            score.n_pairs,
            score.n_true,
            score.n_correct,
            score.n_wrong,
            score.precision,
            score.recall
        ));
        return Ok(());
    }
    if is_imaging(&arguments.result) {
        let scores = score_planes(&arguments.result, &arguments.truth, arguments.good_only)?;
        if arguments.json {
            return print_json(&scores);
        }
        print(&movie_table(&scores));
        return Ok(());
    }
    let scores = score(&arguments.result, &arguments.truth, arguments.good_only)?;
    if arguments.json {
        return print_json(&scores);
    }
    print(&table(&scores));
    Ok(())
}

/// Whether a folder is a result of `somata image`.
pub fn is_imaging(result: &Path) -> bool {
    result.join("suite2p").is_dir()
}

/// Whether a folder is a result of `somata match`.
fn is_matching(result: &Path) -> bool {
    result.join("matches.csv").is_file()
}

/// Scores the pairs of a result of `somata match` against the truth of the second session, in which the first one is described.
///
/// # Errors
/// When either cannot be read, or they do not fit.
pub fn score_matching(result: &Path, truth: &Path) -> Outcome<SessionScore> {
    let bad = |what: &str| {
        Failure::new(
            ExitCode::Input,
            format!("`{}`: {what}", result.join("manifest.json").display()),
        )
        .hint(
            "give a result of `somata match`, whose two imaging results are still where they were",
        )
    };
    let path = truth_file(truth);
    let second_truth = read_movie_truth(&path)?;
    let spec: Option<MovieSpec> = second_truth
        .spec_json
        .as_ref()
        .and_then(|text| serde_json::from_str(text).ok());
    let Some(session) = spec.and_then(|spec| spec.second_session) else {
        return Err(Failure::new(
            ExitCode::Input,
            format!("`{}` is not the truth of a second session", path.display()),
        )
        .hint("give what `somata simulate movie --second-session-of` made"));
    };
    let first_truth = SimulatedMovie::new(&session.of)?.truth();
    let text = std::fs::read_to_string(result.join("manifest.json"))
        .map_err(|_| bad("it cannot be read"))?;
    let manifest: serde_json::Value =
        serde_json::from_str(&text).map_err(|_| bad("it is not JSON"))?;
    let folders = [0, 1].map(|k: usize| {
        let path = manifest["results"][k]["path"].as_str();
        path.ok_or_else(|| bad("it names no results"))
            .and_then(|path| ImagingFolder::read(Path::new(path)))
    });
    let [first, second] = folders;
    let (first, second) = (first?, second?);
    for (folder, truth) in [(&first, &first_truth), (&second, &second_truth)] {
        let info = &folder.info;
        let found = [info.n_planes, info.height, info.width];
        let expected = [truth.n_planes(), truth.height, truth.width];
        if found != expected {
            let text = |[planes, rows, columns]: [usize; 3]| {
                format!("{planes} planes of {rows} × {columns} pixels")
            };
            return Err(Failure::new(
                ExitCode::Input,
                format!(
                    "`{}` has {}, the movie that was simulated {}",
                    folder.path.display(),
                    text(found),
                    text(expected)
                ),
            )
            .hint("give the truth of the second session whose result was matched"));
        }
    }
    let rows = read_matches(&result.join("matches.csv"))?;
    let scores = (0..first_truth.n_planes())
        .map(|plane| {
            let pairs: Vec<(usize, usize)> = rows
                .iter()
                .filter(|row| row[0] == plane)
                .map(|row| {
                    let own = |cell: usize, folder: &ImagingFolder| {
                        cell.checked_sub(folder.first_cell(plane))
                            .filter(|own| *own < folder.bodies[plane].len())
                    };
                    own(row[1], &first).zip(own(row[2], &second))
                })
                .collect::<Option<_>>()
                .ok_or_else(|| bad("its pairs are not of these results"))?;
            let found = |folder: &ImagingFolder| -> Vec<Footprint> {
                folder.bodies[plane]
                    .iter()
                    .map(|body| Footprint::new(body.clone()))
                    .collect()
            };
            let first_number = first_truth.plane.iter().filter(|&&p| p < plane).count();
            Ok(score_sessions(
                &pairs,
                [&found(&first), &found(&second)],
                [&first_truth.of_plane(plane), &second_truth.of_plane(plane)],
                first_number,
            )?)
        })
        .collect::<Outcome<Vec<_>>>()?;
    Ok(SessionScore::sum(scores))
}

/// Plane and both cells of each row of `matches.csv`.
fn read_matches(path: &Path) -> Outcome<Vec<[usize; 3]>> {
    let bad = || {
        Failure::new(
            ExitCode::Input,
            format!("`{}` is not a table of pairs", path.display()),
        )
        .hint("give a result of `somata match`")
    };
    let text = std::fs::read_to_string(path).map_err(|_| bad())?;
    text.lines()
        .skip(1)
        .map(|line| {
            let mut numbers = line.split(',').map(|part| part.parse::<usize>().ok());
            let mut next = || numbers.next().flatten().ok_or_else(bad);
            Ok([next()?, next()?, next()?])
        })
        .collect()
}

/// The truth of a path: the file itself, or `truth.npz` in a folder.
fn truth_file(truth: &Path) -> PathBuf {
    if truth.is_dir() {
        truth.join("truth.npz")
    } else {
        truth.to_path_buf()
    }
}

/// Whether the truth of a recording can be read.
///
/// # Errors
/// When it cannot.
pub fn check_truth(truth: &Path) -> Outcome {
    read_truth(&truth_file(truth))?;
    Ok(())
}

/// Whether the truth of a movie can be read.
///
/// # Errors
/// When it cannot.
pub fn check_movie_truth(truth: &Path) -> Outcome {
    read_movie_truth(&truth_file(truth))?;
    Ok(())
}

/// Scores every plane of an imaging result.
///
/// # Errors
/// When the result or the truth cannot be read, or they do not fit.
pub fn score_planes(result: &Path, truth: &Path, only_cells: bool) -> Outcome<Vec<MovieScore>> {
    let truth = read_movie_truth(&truth_file(truth))?;
    let bodies = read_bodies(result, truth.height, truth.width)?;
    (0..truth.n_planes())
        .map(|plane| {
            let folder = result.join("suite2p").join(format!("plane{plane}"));
            let masks = bodies
                .get(plane)
                .map(|bodies| footprints(bodies, truth.width));
            let prediction = read_plane_folder(&folder)?
                .into_prediction(Some(masks.unwrap_or_default()), only_cells)?;
            Ok(score_movie(&prediction, &truth.of_plane(plane))?)
        })
        .collect()
}

/// Pixels as footprints.
pub fn footprints(bodies: &[Vec<[i64; 2]>], width: usize) -> Vec<Footprint> {
    bodies
        .iter()
        .map(|body| {
            Footprint::new(
                body.iter()
                    .map(|[y, x]| (*y as usize * width + *x as usize) as u32)
                    .collect(),
            )
        })
        .collect()
}

/// Scores of a movie for people.
pub fn movie_table(planes: &[MovieScore]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for (k, s) in planes.iter().enumerate() {
        if planes.len() > 1 {
            writeln!(text, "plane {k}").expect("string");
        }
        let number = |value: Option<f64>| value.map_or("-".into(), |value| format!("{value:.3}"));
        let lag = s.spike_lag.map_or("-".into(), |lag| lag.to_string());
        write!(
            text,
            "true cells        {} ({} active)\nfound cells       {} ({} false)\nF1 active         {:.3}\nF1 all            {:.3}\n\
             mean IoU          {:.3}\ntrace r           {}\nspike r           {} (aligned {}, lag {lag})\nshift error       {} px\n",
            s.n_truth,
            s.n_active,
            s.n_pred,
            s.n_false,
            s.f1_active,
            s.f1_all,
            s.mean_iou,
            number(s.trace_r_median),
            number(s.spike_r_median),
            number(s.spike_r_aligned),
            number(s.shift_rmse_px),
        )
        .expect("string");
    }
    text
}

/// Average precision of two label images.
fn labels(arguments: &Arguments) -> Outcome {
    let (found, truth) = (
        read_labels(&arguments.result)?,
        read_labels(&arguments.truth)?,
    );
    if found.len() != truth.len() || found.iter().zip(&truth).any(|(a, b)| a.0 != b.0) {
        return Err(Failure::new(
            ExitCode::Input,
            format!(
                "`{}` and `{}` do not have pages of the same sizes",
                arguments.result.display(),
                arguments.truth.display()
            ),
        )
        .hint("give label images of the same images"));
    }
    let thresholds = [0.5, 0.75, 0.9];
    let scores: Vec<Vec<AveragePrecision>> = found
        .iter()
        .zip(&truth)
        .map(|(found, truth)| average_precision(&truth.1, &found.1, &thresholds))
        .collect();
    if arguments.json {
        return print_json(&scores);
    }
    for (page, score) in scores.iter().enumerate() {
        if scores.len() > 1 {
            print(&format!("page {page}\n"));
        }
        for score in score {
            print(&format!(
                "average precision at IoU {}   {:.3}
",
                score.iou_threshold, score.average_precision
            ));
        }
    }
    Ok(())
}

/// Size and labels of every page of a label image.
type Page = ([usize; 2], Vec<u32>);

fn read_labels(path: &Path) -> Outcome<Vec<Page>> {
    somata_io::still_image::read_image(path)?
        .into_iter()
        .map(|image| {
            let whole = image.pixels.iter().all(|v| *v >= 0.0 && v.fract() == 0.0);
            if image.n_channels != 1 || !whole {
                return Err(Failure::new(
                    ExitCode::Input,
                    format!("`{}` is not a label image: {} channels of {}", path.display(), image.n_channels, image.pixel_type_name),
                )
                .hint("give an image in which each cell has a whole number of its own and 0 is background"));
            }
            let labels = image.pixels.iter().map(|v| *v as u32).collect();
            Ok(([image.height, image.width], labels))
        })
        .collect()
}

/// Average precision of one imaging result against another, plane by plane.
///
/// # Errors
/// When a result cannot be read.
pub fn compare_planes(first: &Path, second: &Path) -> Outcome<Vec<Vec<AveragePrecision>>> {
    let size = |result: &Path| -> Outcome<[usize; 2]> {
        let info = ResultInfo::read(result)?;
        Ok([info.height, info.width])
    };
    let (size_first, size_second) = (size(first)?, size(second)?);
    if size_first != size_second {
        return Err(Failure::new(
            ExitCode::Input,
            format!(
                "`{}` and `{}` have frames of different sizes",
                first.display(),
                second.display()
            ),
        )
        .hint("give two results of one field"));
    }
    let [height, width] = size_first;
    let (a, b) = (
        read_bodies(first, height, width)?,
        read_bodies(second, height, width)?,
    );
    let none = Vec::new();
    Ok((0..a.len().max(b.len()).max(1))
        .map(|plane| {
            let of = |planes: &[Vec<Vec<[i64; 2]>>]| {
                footprints(planes.get(plane).unwrap_or(&none), width)
            };
            average_precision_of_footprints(&of(&a), &of(&b), &[0.5, 0.75, 0.9])
        })
        .collect())
}

/// The folder with the phy files of a result.
pub fn phy_folder(result: &Path) -> PathBuf {
    let inside = result.join("phy");
    if inside.is_dir() {
        inside
    } else {
        result.to_path_buf()
    }
}

/// Reads a result and its truth and compares them.
///
/// # Errors
/// When either cannot be read.
pub fn score(result: &Path, truth: &Path, good_only: bool) -> Outcome<Scores> {
    let truth = read_truth(&truth_file(truth))?;
    let phy = phy_folder(result);
    let mut tested: SpikeTrains = read_phy_spikes(&phy)?;
    if good_only {
        let labels = read_phy_labels(&phy)?;
        tested = tested.filtered(|id| {
            labels
                .iter()
                .any(|(unit, label)| *unit == id && label == "good")
        });
    }
    let trains = truth.spike_trains();
    check_pairs(&trains, &tested)?;
    let sorting = compare_to_ground_truth(&trains, &tested);
    let collisions = collision_recall(&trains, &tested, &sorting, &truth.locations_of(&trains));
    let motion = read_motion(&result.join("motion.csv"))?
        .zip(truth.displacement.as_ref())
        .and_then(|(estimate, truth)| motion_error(truth, &estimate));
    Ok(Scores {
        sorting,
        collisions,
        motion,
    })
}

/// Pairs of units that are compared at most.
const MOST_PAIRS: usize = 25_000_000;

/// Whether there are not more pairs of units than can be compared: a damaged table may give every spike a unit of its own.
///
/// # Errors
/// When there are.
pub fn check_pairs(first: &SpikeTrains, second: &SpikeTrains) -> Outcome {
    if first.n_units().saturating_mul(second.n_units()) <= MOST_PAIRS {
        return Ok(());
    }
    Err(Failure::new(
        ExitCode::Input,
        format!(
            "{} units and {} are too many to compare with each other",
            first.n_units(),
            second.n_units()
        ),
    )
    .hint("look whether `spike_clusters.npy` holds ids of units"))
}

/// The displacement that a result has, if it has one.
fn read_motion(path: &Path) -> Outcome<Option<Displacement>> {
    let Ok(text) = std::fs::read_to_string(path) else {
        return Ok(None);
    };
    let bad = || {
        Failure::new(
            ExitCode::Input,
            format!("`{}` is not a table of displacements", path.display()),
        )
    };
    let number = |text: &str| text.trim().parse::<f64>().map_err(|_| bad());
    let mut lines = text.lines();
    let header = lines.next().ok_or_else(bad)?;
    let depth_bins_um = header
        .split(',')
        .skip(1)
        .map(|name| {
            number(
                name.trim_start_matches("displacement_um_at_")
                    .trim_end_matches("_um"),
            )
        })
        .collect::<Outcome<Vec<f64>>>()?;
    let (mut time_bins_s, mut values_um) = (Vec::new(), Vec::new());
    for line in lines {
        let row = line.split(',').map(number).collect::<Outcome<Vec<f64>>>()?;
        if row.len() != depth_bins_um.len() + 1 {
            return Err(bad());
        }
        time_bins_s.push(row[0]);
        values_um.push(row[1..].to_vec());
    }
    Ok((!time_bins_s.is_empty()).then_some(Displacement {
        time_bins_s,
        depth_bins_um,
        values_um,
    }))
}

/// Scores for people.
pub fn table(scores: &Scores) -> String {
    let s = &scores.sorting;
    let mut text = format!(
        "true units        {}\nfound units       {}\nmean accuracy     {:.3}\nmean recall       {:.3}\nmean precision    {:.3}\n\
         well detected     {}\nfalse positive    {}\nredundant         {}\novermerged        {}\n",
        s.n_true,
        s.n_tested,
        s.mean_accuracy,
        s.mean_recall,
        s.mean_precision,
        s.n_well_detected,
        s.n_false_positive,
        s.n_redundant,
        s.n_overmerged
    );
    if let Some(recall) = scores.collisions.recall {
        text.push_str(&format!(
            "collision recall  {recall:.3} of {} spikes within 0.5 ms and 100 µm of another\n",
            scores.collisions.n_colliding
        ));
    }
    if let Some(motion) = &scores.motion {
        text.push_str(&format!(
            "motion error      {:.2} µm median, {:.2} µm rms\n",
            motion.median_abs_um, motion.rms_um
        ));
    }
    text
}
