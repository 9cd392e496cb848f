//! The inner loop that detection and matching share: correlation of one trace with several short filters.

/// Outputs that are kept in registers at a time.
const TILE: usize = 32;

/// `out[t] += sum_f sum_k x[f][t + k] * filters[f][k]` for every `t`; `x[f]` is `out.len() + taps - 1` long.
///
/// Inlined into multiversioned callers, so that it is compiled for their instruction set.
#[inline(always)]
pub(super) fn correlate_sum(x: &[&[f32]], filters: &[&[f32]], out: &mut [f32]) {
    let n = out.len();
    let mut start = 0;
    while start < n {
        let width = TILE.min(n - start);
        if width == TILE {
            let mut sum: [f32; TILE] = out[start..start + TILE].try_into().expect("tile");
            for (x, filter) in x.iter().zip(filters) {
                for (window, &w) in x[start..start + TILE + filter.len() - 1]
                    .windows(TILE)
                    .zip(*filter)
                {
                    let window: &[f32; TILE] = window.try_into().expect("tile");
                    for t in 0..TILE {
                        sum[t] += w * window[t];
                    }
                }
            }
            out[start..start + TILE].copy_from_slice(&sum);
        } else {
            for t in start..n {
                let mut sum = out[t];
                for (x, filter) in x.iter().zip(filters) {
                    for (k, &w) in filter.iter().enumerate() {
                        sum += w * x[t + k];
                    }
                }
                out[t] = sum;
            }
        }
        start += width;
    }
}
