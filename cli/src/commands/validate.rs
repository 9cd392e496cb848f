//! `somata validate`

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use somata_validation::{
    score::{
        SpikeTrains,
        collision::{CollisionScore, collision_recall},
        motion::{MotionError, motion_error},
        phy_spikes::{read_phy_labels, read_phy_spikes},
        sorting::{Comparison, compare_to_ground_truth},
    },
    simulate::{displacement::Displacement, truth::read_truth},
};

use crate::{
    commands::{print, print_json},
    exit::{ExitCode, Failure, Outcome},
};

/// Arguments of `somata validate`.
#[derive(Args)]
pub struct Arguments {
    /// A result of `somata sort`, or a phy folder
    result: PathBuf,
    /// A simulated recording, or its truth.npz
    truth: PathBuf,
    /// Score only the units labelled `good`
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
    let scores = score(&arguments.result, &arguments.truth, arguments.good_only)?;
    if arguments.json {
        return print_json(&scores);
    }
    print(&table(&scores));
    Ok(())
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
    let truth_file = if truth.is_dir() {
        truth.join("truth.npz")
    } else {
        truth.to_path_buf()
    };
    let truth = read_truth(&truth_file)?;
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
    let sorting = compare_to_ground_truth(&trains, &tested);
    let collisions = collision_recall(&trains, &tested, &sorting, &truth.locations_of(&trains));
    let motion = read_motion(&result.join("motion.csv"))?
        .and_then(|estimate| motion_error(&truth.displacement, &estimate));
    Ok(Scores {
        sorting,
        collisions,
        motion,
    })
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
