//! What the laws are tried on: numbers at the ends of their range, between ordinary ones.

use proptest::{
    prelude::*,
    test_runner::{RngSeed, TestCaseError},
};

/// The largest sample or pixel that leaves the decoding of a file; larger ones count as not finite there.
pub const LARGEST: f32 = 1e9;

/// `n` inputs a law, the same in every run.
///
/// `SOMATA_LAW_CASES` multiplies their number and takes other ones in every run; what breaks a law then is kept under
/// `proptest-regressions/` and tried in every later run.
pub fn cases(n: u32) -> ProptestConfig {
    let more = std::env::var("SOMATA_LAW_CASES")
        .ok()
        .and_then(|text| text.parse::<u32>().ok());
    ProptestConfig {
        cases: n * more.unwrap_or(1),
        rng_seed: if more.is_some() {
            RngSeed::Random
        } else {
            RngSeed::Fixed(8)
        },
        max_shrink_iters: 4000,
        ..ProptestConfig::default()
    }
}

/// A finite number as a decoded file may hold it: mostly ordinary, some at the ends.
pub fn finite() -> impl Strategy<Value = f32> {
    prop_oneof![
        12 => -300.0f32..300.0,
        2 => Just(0.0f32),
        1 => Just(-0.0f32),
        1 => Just(LARGEST),
        1 => Just(-LARGEST),
        1 => Just(f32::MIN_POSITIVE),
        1 => Just(1e-45f32),
        1 => Just(-3e-41f32),
        1 => -1e6f32..1e6,
    ]
}

/// Any number that 32 bits can be.
pub fn any_bits() -> impl Strategy<Value = f32> {
    prop_oneof![
        4 => finite(),
        1 => Just(f32::NAN),
        1 => Just(f32::INFINITY),
        1 => Just(f32::NEG_INFINITY),
        1 => Just(f32::MAX),
        1 => Just(f32::MIN),
        2 => any::<u32>().prop_map(f32::from_bits),
    ]
}

/// What one channel, or one pixel's trace, may look like.
#[derive(Clone, Debug)]
pub enum Course {
    /// Ordinary numbers with extremes among them.
    Mixed(Vec<f32>),
    /// One value throughout: dead, or without light.
    Constant(f32),
    /// Between the two ends of the converter.
    Railed(Vec<bool>),
}

impl Course {
    /// Its value at `t`.
    pub fn at(&self, t: usize) -> f32 {
        match self {
            Self::Mixed(values) => values[t],
            Self::Constant(value) => *value,
            Self::Railed(high) => {
                if high[t] {
                    32_767.0
                } else {
                    -32_768.0
                }
            }
        }
    }
}

/// A course of `n` values.
pub fn course(n: usize) -> impl Strategy<Value = Course> {
    prop_oneof![
        6 => prop::collection::vec(finite(), n).prop_map(Course::Mixed),
        1 => finite().prop_map(Course::Constant),
        1 => prop::collection::vec(any::<bool>(), n).prop_map(Course::Railed),
    ]
}

/// Samples of several channels, `[time, channel]`.
#[derive(Clone, Debug)]
pub struct Table {
    /// Samples a channel.
    pub rows: usize,
    /// Channels.
    pub columns: usize,
    /// `[time, channel]`.
    pub values: Vec<f32>,
}

impl Table {
    /// One channel.
    pub fn column(&self, c: usize) -> Vec<f32> {
        (0..self.rows)
            .map(|t| self.values[t * self.columns + c])
            .collect()
    }

    /// `[channel, time]`.
    pub fn transposed(&self) -> Vec<f32> {
        (0..self.columns).flat_map(|c| self.column(c)).collect()
    }
}

/// Tables of so many rows and columns, each column a course of its own.
pub fn table(
    rows: impl Strategy<Value = usize>,
    columns: impl Strategy<Value = usize>,
) -> impl Strategy<Value = Table> {
    (rows, columns).prop_flat_map(|(rows, columns)| {
        prop::collection::vec(course(rows), columns).prop_map(move |courses| Table {
            rows,
            columns,
            values: (0..rows)
                .flat_map(|t| courses.iter().map(move |course| course.at(t)))
                .collect(),
        })
    })
}

/// Largest magnitude.
pub fn largest(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |most, value| most.max(value.abs()))
}

/// Fails where a value is not finite.
pub fn all_finite(name: &str, values: &[f32]) -> Result<(), TestCaseError> {
    match values.iter().position(|value| !value.is_finite()) {
        None => Ok(()),
        Some(at) => Err(TestCaseError::fail(format!(
            "{name} {at} of {}: {}",
            values.len(),
            values[at]
        ))),
    }
}

/// Fails where two lists differ by more than `tolerance`.
pub fn close(name: &str, got: &[f32], want: &[f32], tolerance: f32) -> Result<(), TestCaseError> {
    prop_assert_eq!(got.len(), want.len(), "{}", name);
    for (at, (got, want)) in got.iter().zip(want).enumerate() {
        // Not `>`: a value that is not a number fails.
        prop_assert!(
            (got - want).abs() <= tolerance,
            "{} {}: {} is not {} within {}",
            name,
            at,
            got,
            want,
            tolerance
        );
    }
    Ok(())
}
