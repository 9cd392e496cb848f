//! When the samples of a series were taken: a rate, or timestamps, which are checked to be regular between pauses.
//!
//! An hour of timestamps at 30 kHz is 860 MB. They are not read one by one: between two samples that are as far apart in time
//! as in number nothing is missing, and a pause is found by halving. The first thousand are looked at one by one. A clock that
//! jumps forth and back by the same amount inside of a later stretch is not seen.

use crate::error::IoError;
use crate::hdf5::{Dataset, ElementType, Object};

/// Timestamps from which the rate is estimated.
const N_FIRST: u64 = 1000;
/// Pieces in which the others are looked at, at least.
const N_PIECES: u64 = 64;
/// Stretches between pauses are longer than this on average, or else the timestamps are no regular clock.
const MIN_STRETCH: u64 = 16;
/// Pauses beyond this number are no recording.
const MAX_PAUSES: usize = 10_000;

/// When samples were taken.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Clock {
    /// Samples a second.
    pub rate_hz: f64,
    /// First sample of each stretch without pause, and its time in seconds.
    pub stretches: Vec<(u64, f64)>,
}

/// The clock of a series of `n_samples`; `None` when nothing tells it.
///
/// # Errors
/// When timestamps are irregular, run backwards or are of another number, or something is damaged.
pub(crate) fn read(series: &Object, n_samples: u64) -> Result<Option<Clock>, IoError> {
    let path = series.file_path().to_owned();
    if let Some(start) = series.member("starting_time")? {
        let name = format!("{}/starting_time", series.path());
        let rate = start
            .attribute("rate")?
            .and_then(|rate| rate.number())
            .ok_or_else(|| IoError::missing_key(&path, &format!("{name}: rate")))?;
        if !(rate.is_finite() && rate > 0.0) {
            return Err(IoError::bad_value(
                &path,
                &format!("{name}: rate"),
                rate,
                "a number of Hz above 0",
            ));
        }
        let time = start
            .dataset()?
            .value(1)?
            .number()
            .filter(|time| time.is_finite());
        return Ok(Some(Clock {
            rate_hz: rate,
            stretches: vec![(0, time.unwrap_or(0.0))],
        }));
    }
    let Some(timestamps) = series.member("timestamps")? else {
        return Ok(None);
    };
    let timestamps = timestamps.dataset()?;
    let ElementType::Number(number) = timestamps.element_type() else {
        return Err(IoError::bad_value(
            &path,
            timestamps.path(),
            "of another type",
            "a list of numbers",
        ));
    };
    if timestamps.shape() != [n_samples] {
        let value = format!("of shape {:?}", timestamps.shape());
        let expected = format!("one time a sample, {n_samples}");
        return Err(IoError::bad_value(
            &path,
            timestamps.path(),
            value,
            &expected,
        ));
    }
    let mut stored = vec![0; timestamps.element_bytes()];
    let time_of = |sample: u64| {
        timestamps.read(&[sample], &[1], &mut stored)?;
        let time = number.to_f64(&stored);
        if time.is_finite() {
            Ok(time)
        } else {
            Err(no_time(&timestamps, time, sample))
        }
    };
    if n_samples < 2 {
        return Ok(None);
    }
    let first = first_times(&timestamps, n_samples.min(N_FIRST))?;
    if let Some(sample) = first.iter().position(|time| !time.is_finite()) {
        return Err(no_time(&timestamps, first[sample], sample as u64));
    }
    measure(n_samples, &first, time_of)
        .map_err(|fault| match fault {
            Fault::Read(error) => error,
            Fault::Irregular(what) => IoError::Unsupported {
                path: path.clone(),
                what: format!("`{}` {what}", timestamps.path()),
                hint: "resample the series to a regular clock, or write it with `starting_time` and `rate`".to_owned(),
            },
        })
        .map(Some)
}

/// The first timestamps.
fn first_times(timestamps: &Dataset, n: u64) -> Result<Vec<f64>, IoError> {
    let ElementType::Number(number) = timestamps.element_type() else {
        return Ok(Vec::new());
    };
    let size = timestamps.element_bytes();
    let mut stored = vec![0; n as usize * size];
    timestamps.read(&[0], &[n], &mut stored)?;
    Ok(stored
        .chunks_exact(size)
        .map(|one| number.to_f64(one))
        .collect())
}

/// The error for a timestamp that is no time.
fn no_time(timestamps: &Dataset, time: f64, sample: u64) -> IoError {
    IoError::bad_value(
        timestamps.file_path(),
        timestamps.path(),
        format!("{time} at sample {sample}"),
        "a finite number of seconds",
    )
}

/// Why timestamps make no clock.
#[derive(Debug)]
enum Fault {
    Read(IoError),
    Irregular(String),
}

/// Finds the rate and the pauses.
fn measure(
    n_samples: u64,
    first: &[f64],
    mut time_of: impl FnMut(u64) -> Result<f64, IoError>,
) -> Result<Clock, Fault> {
    let mut steps: Vec<f64> = first.array_windows().map(|[a, b]| b - a).collect();
    steps.sort_by(f64::total_cmp);
    let step = steps.get(steps.len() / 2).copied().unwrap_or(0.0);
    if !(step.is_finite() && step > 0.0) {
        return Err(Fault::Irregular("does not run forward".to_owned()));
    }
    let last = n_samples - 1;
    // The first timestamps are looked at one by one, the others in pieces.
    let mut looks: Vec<(u64, f64)> = (0..).zip(first.iter().copied()).collect();
    for piece in 1..=N_PIECES {
        let sample = (last as u128 * u128::from(piece) / u128::from(N_PIECES)) as u64;
        if looks.last().is_none_or(|look| look.0 < sample) {
            looks.push((sample, time_of(sample).map_err(Fault::Read)?));
        }
    }
    let ends = [looks[0], looks[looks.len() - 1]];
    let mut stretches = vec![ends[0]];
    // Pairs of samples whose distance is to be checked, the earliest on top.
    let mut pairs: Vec<_> = looks
        .array_windows()
        .map(|&[low, high]| (low, high))
        .collect();
    pairs.reverse();
    // Where each stretch ends.
    let mut stops: Vec<(u64, f64)> = Vec::new();
    while let Some((low, high)) = pairs.pop() {
        let distance = high.0 - low.0;
        let steps = (high.1 - low.1) / step;
        if (steps - distance as f64).abs() < 0.5 {
            continue;
        }
        if distance <= 1 {
            if high.1 <= low.1 {
                return Err(Fault::Irregular(format!(
                    "runs backwards or stands still at sample {}",
                    high.0
                )));
            }
            if steps < 1.0 {
                return Err(Fault::Irregular(format!(
                    "is irregular: the step to sample {} takes {} s, others {step} s",
                    high.0,
                    high.1 - low.1
                )));
            }
            let n_pauses = stretches.len() as u64;
            if stretches.len() > MAX_PAUSES || n_pauses > 4 + high.0 / MIN_STRETCH {
                return Err(Fault::Irregular(format!(
                    "is irregular: {n_pauses} steps of the first {} are not {step} s long",
                    high.0
                )));
            }
            stops.push(low);
            stretches.push(high);
            continue;
        }
        let middle = low.0 + distance / 2;
        let middle = (middle, time_of(middle).map_err(Fault::Read)?);
        pairs.push((middle, high));
        pairs.push((low, middle));
    }
    stops.push(ends[1]);
    // Over the longest stretch the rate is known best.
    let longest = stretches
        .iter()
        .zip(&stops)
        .max_by_key(|(start, stop)| stop.0 - start.0);
    let mut rate_hz = 1.0 / step;
    if let Some((start, stop)) = longest
        && stop.0 > start.0
    {
        let measured = (stop.0 - start.0) as f64 / (stop.1 - start.1);
        if (measured * step - 1.0).abs() < 0.01 {
            rate_hz = measured;
        }
    }
    // 29999.99999997 was meant to be 30000: what rounding to microseconds an hour cannot tell apart is a whole number.
    if (rate_hz - rate_hz.round()).abs() < 1e-9 * rate_hz {
        rate_hz = rate_hz.round();
    }
    Ok(Clock { rate_hz, stretches })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(times: &[f64]) -> Result<Clock, Fault> {
        let first = &times[..times.len().min(1000)];
        measure(times.len() as u64, first, |sample| {
            Ok(times[sample as usize])
        })
    }

    #[test]
    fn pauses_are_found_and_a_slow_drift_is_none() {
        let mut times: Vec<f64> = (0..200_000)
            .map(|i| 7.0 + f64::from(i) / 30000.0 * 1.00001)
            .collect();
        for time in &mut times[150_000..] {
            *time += 0.01;
        }
        let found = clock(&times).unwrap();
        assert!(
            (found.rate_hz - 30000.0 / 1.00001).abs() < 1e-3,
            "{found:?}"
        );
        let starts: Vec<u64> = found.stretches.iter().map(|stretch| stretch.0).collect();
        assert_eq!(starts, [0, 150_000]);
        assert_eq!(found.stretches[1].1, times[150_000]);
    }

    #[test]
    fn a_clock_that_is_none_is_told() {
        let says = |times: &[f64], part: &str| match clock(times) {
            Err(Fault::Irregular(what)) => assert!(what.contains(part), "{what}"),
            other => panic!("{other:?}"),
        };
        let wild: Vec<f64> = (0..5000)
            .map(|i| f64::from(i) + f64::from(i * 7919 % 13))
            .collect();
        assert!(clock(&wild).is_err());
        let mut back: Vec<f64> = (0..5000).map(f64::from).collect();
        back[4000..].iter_mut().for_each(|time| *time -= 100.0);
        says(&back, "backwards");
        says(&[1.0, 1.0, 1.0], "forward");
        let squares: Vec<f64> = (0..5000).map(|i| f64::from(i * i)).collect();
        says(&squares, "irregular");
    }
}
