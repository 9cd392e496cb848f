//! Small host mathematics behind our own names, in `f64`, one thread: results do not depend on the machine's cores.
//!
//! Matrices are row-major slices with their sizes. The decompositions are faer's; a change of library stays here.

use faer::{Accum, Mat, MatMut, MatRef, Par, Side, prelude::Solve};

pub mod assignment;

/// Keeps faer from spreading over threads, which would make sums depend on their number.
fn sequential() {
    faer::set_global_parallelism(Par::Seq);
}

fn matrix(a: &[f64], rows: usize, columns: usize) -> MatRef<'_, f64> {
    MatRef::from_row_major_slice(a, rows, columns)
}

/// Eigenvalues (descending) and eigenvectors (row `k` of the second result) of a symmetric `n` by `n` matrix.
///
/// The sign of a vector is fixed: its entry of largest magnitude is positive.
///
/// # Panics
/// When `a` holds values that are not finite.
pub fn eigh(a: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    sequential();
    let eigen = matrix(a, n, n)
        .self_adjoint_eigen(Side::Lower)
        .expect("finite symmetric matrix");
    let mut values = Vec::with_capacity(n);
    let mut vectors = Vec::with_capacity(n * n);
    for k in (0..n).rev() {
        values.push(eigen.S()[k]);
        let column: Vec<f64> = (0..n).map(|i| eigen.U()[(i, k)]).collect();
        let peak = column.iter().copied().fold(0.0, |best: f64, v| {
            if v.abs() > best.abs() + 1e-12 {
                v
            } else {
                best
            }
        });
        let sign = if peak < 0.0 { -1.0 } else { 1.0 };
        vectors.extend(column.iter().map(|v| v * sign));
    }
    (values, vectors)
}

/// Leading `rank` terms of a singular value decomposition of a `rows` by `columns` matrix: left vectors times
/// singular values `[rows, rank]` and right vectors `[rank, columns]`.
///
/// # Panics
/// When `a` holds values that are not finite.
pub fn low_rank(a: &[f64], rows: usize, columns: usize, rank: usize) -> (Vec<f64>, Vec<f64>) {
    sequential();
    let svd = matrix(a, rows, columns).thin_svd().expect("finite matrix");
    let found = rank.min(rows).min(columns);
    let (mut left, mut right) = (vec![0.0; rows * rank], vec![0.0; rank * columns]);
    for r in 0..found {
        for i in 0..rows {
            left[i * rank + r] = svd.U()[(i, r)] * svd.S()[r];
        }
        for j in 0..columns {
            right[r * columns + j] = svd.V()[(j, r)];
        }
    }
    (left, right)
}

/// Solves `a x = b` for a symmetric positive definite `n` by `n` matrix and `m` right-hand sides (`b` `[n, m]`).
///
/// `None` when the matrix is not positive definite.
pub fn solve_spd(a: &[f64], n: usize, b: &[f64], m: usize) -> Option<Vec<f64>> {
    sequential();
    let cholesky = matrix(a, n, n).llt(Side::Lower).ok()?;
    let x: Mat<f64> = cholesky.solve(matrix(b, n, m));
    Some(
        (0..n)
            .flat_map(|i| (0..m).map(move |j| (i, j)))
            .map(|at| x[at])
            .collect(),
    )
}

/// Inverse of a symmetric positive definite `n` by `n` matrix; `None` when it is not.
pub fn inverse_spd(a: &[f64], n: usize) -> Option<Vec<f64>> {
    sequential();
    let cholesky = matrix(a, n, n).llt(Side::Lower).ok()?;
    let x: Mat<f64> = cholesky.solve(&Mat::<f64>::identity(n, n));
    Some(
        (0..n)
            .flat_map(|i| (0..n).map(move |j| (i, j)))
            .map(|at| x[at])
            .collect(),
    )
}

/// Product of a `rows` by `inner` and an `inner` by `columns` matrix in 32 bits, row-major.
pub fn product_f32(a: &[f32], b: &[f32], rows: usize, inner: usize, columns: usize) -> Vec<f32> {
    let mut out = vec![0.0f32; rows * columns];
    if out.is_empty() || inner == 0 {
        return out;
    }
    faer::linalg::matmul::matmul(
        MatMut::from_row_major_slice_mut(&mut out, rows, columns),
        Accum::Replace,
        MatRef::from_row_major_slice(a, rows, inner),
        MatRef::from_row_major_slice(b, inner, columns),
        1.0,
        Par::Seq,
    );
    out
}

/// Inverse of a general `n` by `n` matrix; `None` when it is singular.
pub fn inverse(a: &[f64], n: usize) -> Option<Vec<f64>> {
    sequential();
    let identity = Mat::<f64>::identity(n, n);
    let x: Mat<f64> = matrix(a, n, n).partial_piv_lu().solve(&identity);
    let flat: Vec<f64> = (0..n)
        .flat_map(|i| (0..n).map(move |j| (i, j)))
        .map(|at| x[at])
        .collect();
    flat.iter().all(|v| v.is_finite()).then_some(flat)
}

/// Sum of products: short sums in `f32` (fast), long ones in `f64` (exact enough).
#[multiversion::multiversion(targets("x86_64+avx512f", "x86_64+avx2"))]
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    /// As many sums as adders are kept busy with.
    const WIDE: usize = 32;
    /// What is left goes by as many.
    const NARROW: usize = 4;
    let mut total = 0.0;
    for (a, b) in a.chunks(512).zip(b.chunks(512)) {
        let mut sums = [0.0f32; WIDE];
        let (mut a_wide, mut b_wide) = (a.chunks_exact(WIDE), b.chunks_exact(WIDE));
        for (a, b) in a_wide.by_ref().zip(b_wide.by_ref()) {
            for i in 0..WIDE {
                sums[i] += a[i] * b[i];
            }
        }
        let mut width = WIDE / 2;
        while width >= NARROW {
            for i in 0..width {
                sums[i] += sums[i + width];
            }
            width /= 2;
        }
        let mut a_narrow = a_wide.remainder().chunks_exact(NARROW);
        let mut b_narrow = b_wide.remainder().chunks_exact(NARROW);
        for (a, b) in a_narrow.by_ref().zip(b_narrow.by_ref()) {
            for i in 0..NARROW {
                sums[i] += a[i] * b[i];
            }
        }
        let mut rest = 0.0;
        for (a, b) in a_narrow.remainder().iter().zip(b_narrow.remainder()) {
            rest += a * b;
        }
        let sum = (sums[0] + sums[2]) + (sums[1] + sums[3]) + rest;
        total += f64::from(sum);
    }
    total
}

/// Median of the values, which are reordered; the mean of the middle two when even, 0 when empty.
pub fn median(values: &mut [f32]) -> f32 {
    if values.is_empty() {
        return 0.0;
    }
    let n = values.len();
    let (low, upper, _) = values.select_nth_unstable_by(n / 2, f32::total_cmp);
    let upper = *upper;
    if n % 2 == 1 {
        return upper;
    }
    let lower = low.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    0.5 * (lower + upper)
}

/// What a smoothing takes for values beyond the ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Edge {
    /// The values mirrored, the last one repeated (scipy's `reflect`).
    Reflect,
    /// The last value again and again (scipy's `nearest`).
    Nearest,
}

/// Gaussian smoothing over four standard deviations, as scipy's `gaussian_filter1d`.
pub fn gaussian(values: &[f64], sigma: f64, edge: Edge) -> Vec<f64> {
    let radius = (4.0 * sigma + 0.5) as i64;
    let kernel: Vec<f64> = (-radius..=radius)
        .map(|k| (-0.5 * (k as f64 / sigma).powi(2)).exp())
        .collect();
    let total: f64 = kernel.iter().sum();
    let n = values.len() as i64;
    let at = |i: i64| match edge {
        Edge::Nearest => i.clamp(0, n - 1),
        Edge::Reflect => {
            let i = i.rem_euclid(2 * n);
            i.min(2 * n - 1 - i)
        }
    };
    (0..n)
        .map(|i| {
            let sum: f64 = (-radius..=radius)
                .zip(&kernel)
                .map(|(k, w)| w * values[at(i + k) as usize])
                .sum();
            sum / total
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eigenvectors_reproduce_the_matrix() {
        let a = [4.0, 1.0, 0.5, 1.0, 3.0, -1.0, 0.5, -1.0, 2.0];
        let (values, vectors) = eigh(&a, 3);
        assert!(values.is_sorted_by(|a, b| a >= b));
        for i in 0..3 {
            for j in 0..3 {
                let sum: f64 = (0..3)
                    .map(|k| values[k] * vectors[k * 3 + i] * vectors[k * 3 + j])
                    .sum();
                assert!((sum - a[i * 3 + j]).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn full_rank_decomposition_is_exact() {
        let a: Vec<f64> = (0..12).map(|i| f64::from(i * i % 7) - 2.0).collect();
        let (left, right) = low_rank(&a, 3, 4, 3);
        for i in 0..3 {
            for j in 0..4 {
                let sum: f64 = (0..3).map(|r| left[i * 3 + r] * right[r * 4 + j]).sum();
                assert!((sum - a[i * 4 + j]).abs() < 1e-10);
            }
        }
    }

    #[test]
    fn median_of_even_and_odd() {
        assert_eq!(median(&mut [3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&mut [4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&mut []), 0.0);
    }
}
