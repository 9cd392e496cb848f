//! Gaps in the numbers that acquisition systems give their samples, found without reading all of them.
//!
//! An hour of 64-bit numbers at 30 kHz is 860 MB. Between two samples that are as far apart in number as in position nothing is
//! missing, and a gap is found by halving. A clock that jumps forth and back by the same amount inside such a stretch is not seen.

use std::path::Path;

use crate::error::IoError;

/// Gaps beyond this number are no recording.
const MAX_GAPS: usize = 100_000;

/// The first sample of each stretch without a gap, from 0 on; `number_of` gives the number of a sample, which wraps at 2 to the
/// power of `bits` (32 or 64). `path` is for messages.
///
/// # Errors
/// What `number_of` returns, and when there are more gaps than a recording can have.
pub(crate) fn stretches(
    path: &Path,
    n_samples: u64,
    bits: u32,
    mut number_of: impl FnMut(u64) -> Result<i64, IoError>,
) -> Result<Vec<u64>, IoError> {
    let mut starts = vec![0];
    let Some(last) = n_samples.checked_sub(1) else {
        return Ok(starts);
    };
    let ends = ((0, number_of(0)?), (last, number_of(last)?));
    halve(path, bits, &mut number_of, ends.0, ends.1, &mut starts)?;
    Ok(starts)
}

/// Collects the gaps between two samples, whose numbers are known. Not deeper than 64 calls, since the distance halves.
fn halve(
    path: &Path,
    bits: u32,
    number_of: &mut impl FnMut(u64) -> Result<i64, IoError>,
    low: (u64, i64),
    high: (u64, i64),
    starts: &mut Vec<u64>,
) -> Result<(), IoError> {
    let distance = high.0 - low.0;
    let difference = high.1.wrapping_sub(low.1) as u64;
    let mask = if bits < 64 { (1 << bits) - 1 } else { u64::MAX };
    if difference & mask == distance & mask {
        return Ok(());
    }
    if distance == 1 {
        if starts.len() > MAX_GAPS {
            let what = format!("more than {MAX_GAPS} gaps: these are no numbers of samples");
            return Err(IoError::malformed(path, format!("sample {}", high.0), what));
        }
        starts.push(high.0);
        return Ok(());
    }
    let middle = low.0 + distance / 2;
    let middle = (middle, number_of(middle)?);
    halve(path, bits, number_of, low, middle, starts)?;
    halve(path, bits, number_of, middle, high, starts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_with_few_looks() {
        let numbers: Vec<i64> = (0..100_000)
            .map(|i| i + if i >= 777 { 5 } else { 0 } + if i >= 50_000 { -9 } else { 0 })
            .collect();
        let mut looks = 0;
        let starts = stretches(Path::new("n"), 100_000, 64, |index| {
            looks += 1;
            Ok(numbers[index as usize])
        });
        assert_eq!(starts.unwrap(), [0, 777, 50_000]);
        assert!(looks < 80, "{looks}");
    }

    #[test]
    fn a_clock_of_32_bits_wraps_without_a_gap() {
        let number = |index: u64| Ok(i64::from((index as u32).wrapping_add(u32::MAX - 10) as i32));
        assert_eq!(stretches(Path::new("n"), 100, 32, number).unwrap(), [0]);
        assert_eq!(stretches(Path::new("n"), 0, 32, number).unwrap(), [0]);
        let noise = |index: u64| Ok((index % 2 * 100) as i64);
        assert!(stretches(Path::new("n"), 1 << 20, 64, noise).is_err());
    }
}
