//! By how much the odd rows of a bidirectional scan lie beside the even ones.
//!
//! Odd rows are correlated with the mean of the rows above and below them over a range of offsets, summed over frames and rows; a
//! parabola through the peak gives the fraction. Tissue has no reason to shift every second row, so the estimate needs
//! no reference image.

/// Largest offset that is looked for, pixels.
const MAX_OFFSET: i64 = 12;
/// Offsets below this are left alone: the correction would cost more sharpness than it brings.
const MIN_OFFSET: f32 = 0.08;
/// Pixels of the box whose mean is taken out of a row.
const BOX: usize = 25;

/// Offset of odd rows to the right, pixels, from groups of frames `[frame, y, x]`; `None` when there is none, or nothing to
/// see.
pub fn estimate(groups: &[Vec<f32>], [height, width]: [usize; 2]) -> Option<f32> {
    let reach = MAX_OFFSET.min(width as i64 / 8);
    if height < 4 || reach < 2 {
        return None;
    }
    // The sum over frames of rows is a row of the sum of correlations; frames move, rows within one hardly do.
    let lags = (2 * reach + 1) as usize;
    let mut correlation = vec![0.0f64; lags];
    for frame in groups
        .iter()
        .flat_map(|group| group.chunks_exact(height * width))
    {
        let rows: Vec<Vec<f32>> = frame.chunks_exact(width).map(highpass).collect();
        for y in (1..height - 1).step_by(2) {
            let around: Vec<f32> = rows[y - 1]
                .iter()
                .zip(&rows[y + 1])
                .map(|(a, b)| a + b)
                .collect();
            for (lag, sum) in correlation.iter_mut().enumerate() {
                let offset = lag as i64 - reach;
                let (from, to) = (reach as usize, width - reach as usize);
                *sum += (from..to)
                    .map(|x| f64::from(around[x] * rows[y][(x as i64 + offset) as usize]))
                    .sum::<f64>();
            }
        }
    }
    let best = (1..lags - 1).max_by(|&a, &b| correlation[a].total_cmp(&correlation[b]))?;
    let (before, at, after) = (
        correlation[best - 1],
        correlation[best],
        correlation[best + 1],
    );
    let curvature = before - 2.0 * at + after;
    if at <= 0.0 || curvature >= 0.0 {
        return None;
    }
    let offset = best as f64 - reach as f64 + (0.5 * (before - after) / curvature).clamp(-0.5, 0.5);
    Some(offset as f32).filter(|offset| offset.abs() >= MIN_OFFSET)
}

/// A row less the mean of the pixels around each.
fn highpass(row: &[f32]) -> Vec<f32> {
    let half = BOX / 2;
    let mut sums = vec![0.0f64; row.len() + 1];
    for (i, &value) in row.iter().enumerate() {
        sums[i + 1] = sums[i] + f64::from(value);
    }
    (0..row.len())
        .map(|x| {
            let (from, to) = (x.saturating_sub(half), (x + half + 1).min(row.len()));
            row[x] - ((sums[to] - sums[from]) / (to - from) as f64) as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Rows of a smooth pattern, odd ones shifted.
    fn frame(offset: f32, height: usize, width: usize) -> Vec<f32> {
        (0..height * width)
            .map(|i| {
                let (y, x) = (i / width, i % width);
                let x = x as f32 - if y % 2 == 1 { offset } else { 0.0 };
                let y = y as f32;
                (0.9 * x).sin() * (0.05 * y).cos()
                    + (0.37 * x + 0.1 * y).sin()
                    + (1.3 * x - 0.02 * y).cos()
            })
            .collect()
    }

    #[test]
    fn finds_whole_and_fractional_offsets() {
        for offset in [-3.0f32, -0.4, 0.7, 2.3] {
            let found = estimate(&[frame(offset, 40, 96)], [40, 96]).expect("an offset");
            assert!((found - offset).abs() < 0.15, "{found} for {offset}");
        }
        assert_eq!(estimate(&[frame(0.0, 40, 96)], [40, 96]), None);
        assert_eq!(estimate(&[vec![1.0; 40 * 96]], [40, 96]), None);
    }
}
