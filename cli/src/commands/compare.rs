//! `somata compare`

use std::path::PathBuf;

use clap::Args;
use somata_validation::score::{phy_spikes::read_phy_spikes, two_sortings::compare_two};

use super::validate::phy_folder;
use crate::{
    commands::{print, print_json},
    exit::Outcome,
};

/// Arguments of `somata compare`.
#[derive(Args)]
pub struct Arguments {
    /// First result, or phy folder
    first: PathBuf,
    /// Second result, or phy folder
    second: PathBuf,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Compares two sortings.
pub fn run(arguments: &Arguments) -> Outcome {
    let first = read_phy_spikes(&phy_folder(&arguments.first))?;
    let second = read_phy_spikes(&phy_folder(&arguments.second))?;
    let comparison = compare_two(&first, &second);
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
