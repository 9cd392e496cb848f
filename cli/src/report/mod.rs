//! `report.html`: a result to look at, one self-contained file in the output folder.
//!
//! - [`page`]: the file: skeleton, scripts, blocks of data;
//! - [`rows`]: packed numbers;
//! - [`sorting`], [`sorting_units`]: what the page of a sort shows;
//! - [`imaging`], [`imaging_cells`]: what the page of a movie shows;
//! - [`two_sortings`], [`two_movies`]: what the pages of `somata compare` show;
//! - [`correlograms`]: counts of lags and intervals;
//! - [`metric_guide`]: ranges and meanings of metrics.
//!
//! What is embedded is bounded, whatever the length of the recording: spikes on maps and traces of cells are samples or
//! extremes, and say so. A report is never the reason why a result is lost: what goes wrong here becomes a warning.

mod correlograms;
pub mod imaging;
mod imaging_cells;
mod metric_guide;
mod page;
mod rows;
pub mod sorting;
mod sorting_units;
pub mod two_movies;
pub mod two_sortings;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use somata_engine::stream::Control;

use crate::exit::{ExitCode, Failure, Outcome};

/// Name of the file in the output folder.
pub const FILE: &str = "report.html";

/// Makes a report; what goes wrong is told in words, since the result is worth more than its picture.
///
/// # Errors
/// When it cannot be written, as on a full disk: what else the folder holds is then not to be trusted either, and the same
/// command makes it again from the work folder.
pub fn attempt(make: impl FnOnce() -> Outcome) -> Outcome<Option<String>> {
    let outcome = catch_unwind(AssertUnwindSafe(make)).unwrap_or_else(|_| {
        Err(Failure::new(
            ExitCode::Unexpected,
            "its program stopped unexpectedly",
        ))
    });
    match outcome {
        Ok(()) => Ok(None),
        Err(failure) if failure.code == ExitCode::Output => Err(failure),
        Err(failure) => Ok(Some(format!(
            "the report could not be made: {}",
            failure.message
        ))),
    }
}

/// Scores against the truth, or a warning: a result is complete without them.
pub fn or_warn<T>(scores: Outcome<T>, control: &Control) -> Option<T> {
    scores
        .map_err(|failure| {
            control.warn(format!(
                "the result could not be scored against the truth: {}",
                failure.message
            ));
        })
        .ok()
}

/// The last part of a path, for titles.
fn name_of(path: &Path) -> String {
    path.file_name().map_or_else(
        || path.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_wrong_in_a_report_is_a_warning() {
        let told = |failure| attempt(|| Err(failure)).map_err(|failure| failure.code);
        let odd = Failure::new(ExitCode::Unexpected, "a number is missing");
        assert_eq!(
            told(odd).unwrap().unwrap(),
            "the report could not be made: a number is missing"
        );
        let full = Failure::new(ExitCode::Output, "the disk is full");
        assert_eq!(told(full).unwrap_err(), ExitCode::Output);
        assert!(attempt(|| Ok(())).is_ok_and(|warning| warning.is_none()));
        let bug = attempt(|| panic!("a bug"));
        assert!(bug.is_ok_and(|warning| warning.unwrap().contains("unexpectedly")));
    }
}
