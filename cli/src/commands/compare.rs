//! `somata compare`

use std::path::PathBuf;

use clap::Args;
use somata_validation::score::{phy_spikes::read_phy_spikes, two_sortings::compare_two};

use super::validate::{check_pairs, compare_planes, is_imaging, phy_folder};
use crate::{
    commands::{print, print_json},
    exit::Outcome,
    report,
};

/// Arguments of `somata compare`.
#[derive(Args)]
pub struct Arguments {
    /// First result, or phy folder
    first: PathBuf,
    /// Second result of the same kind, or phy folder
    second: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Write a page to look at both side by side
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// Compares two results.
pub fn run(arguments: &Arguments) -> Outcome {
    let results = [arguments.first.as_path(), arguments.second.as_path()];
    if is_imaging(&arguments.first) && is_imaging(&arguments.second) {
        let planes = compare_planes(&arguments.first, &arguments.second)?;
        if let Some(path) = &arguments.report {
            report::two_movies::write(path, results)?;
        }
        if arguments.json {
            return print_json(&planes);
        }
        for (plane, scores) in planes.iter().enumerate() {
            for score in scores {
                print(&format!(
                    "plane {plane}: {} cells of both at IoU {}, {} only in the first, {} only in the second
",
                    score.true_positives, score.iou_threshold, score.false_negatives, score.false_positives
                ));
            }
        }
        return Ok(());
    }
    let first = read_phy_spikes(&phy_folder(&arguments.first))?;
    let second = read_phy_spikes(&phy_folder(&arguments.second))?;
    check_pairs(&first, &second)?;
    let comparison = compare_two(&first, &second);
    if let Some(path) = &arguments.report {
        report::two_sortings::write(path, results, [&first, &second], &comparison)?;
    }
    if arguments.json {
        return print_json(&comparison);
    }
    let mut text = format!(
        "{:>8} {:>8} {:>9} {:>8} {:>8}\n",
        "first", "second", "agreement", "spikes", "spikes"
    );
    for pair in &comparison.pairs {
        text.push_str(&format!(
            "{:>8} {:>8} {:>9.3} {:>8} {:>8}\n",
            pair.first_id, pair.second_id, pair.agreement, pair.n_first, pair.n_second
        ));
    }
    text.push_str(&format!(
        "{} pairs with a mean agreement of {:.3}; {} units only in the first, {} only in the second; \
         {:.2} % of all spikes agree\n",
        comparison.pairs.len(),
        comparison.mean_agreement,
        comparison.only_first.len(),
        comparison.only_second.len(),
        100.0 * comparison.spike_agreement
    ));
    print(&text);
    Ok(())
}
