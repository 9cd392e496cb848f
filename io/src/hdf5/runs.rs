//! Boxes of elements in arrays whose last axis is fastest, as runs that lie in one piece in both of two arrays.

use crate::error::IoError;

/// An array and where a box begins in it.
#[derive(Copy, Clone)]
pub(crate) struct Corner<'a> {
    pub shape: &'a [u64],
    pub start: &'a [u64],
}

impl Corner<'_> {
    /// The element at the box's own place `at`, leaving out the axes from `n_axes` on, which begin at the corner.
    fn element(&self, at: &[u64]) -> u64 {
        let mut element = 0;
        for (axis, (&length, &start)) in self.shape.iter().zip(self.start).enumerate() {
            element = element * length + start + at.get(axis).copied().unwrap_or(0);
        }
        element
    }
}

/// Calls `each` with the first element of every run in `a` and in `b`, and the run's length. The box of `count` elements must
/// lie inside of both.
pub(crate) fn for_each_run(
    a: Corner,
    b: Corner,
    count: &[u64],
    mut each: impl FnMut(u64, u64, u64) -> Result<(), IoError>,
) -> Result<(), IoError> {
    if count.contains(&0) {
        return Ok(());
    }
    // Whole axes at the end make one run together with the axis before them.
    let mut n_outer = count.len();
    let mut run = 1;
    while n_outer > 0 {
        n_outer -= 1;
        run *= count[n_outer];
        let is_whole = count[n_outer] == a.shape[n_outer] && count[n_outer] == b.shape[n_outer];
        if !is_whole {
            break;
        }
    }
    let mut at = vec![0; n_outer];
    loop {
        each(a.element(&at), b.element(&at), run)?;
        let mut axis = n_outer;
        loop {
            if axis == 0 {
                return Ok(());
            }
            axis -= 1;
            at[axis] += 1;
            if at[axis] < count[axis] {
                break;
            }
            at[axis] = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(shapes: [&[u64]; 2], starts: [&[u64]; 2], count: &[u64]) -> Vec<(u64, u64, u64)> {
        let [a, b] = [0, 1].map(|i| Corner {
            shape: shapes[i],
            start: starts[i],
        });
        let mut found = Vec::new();
        for_each_run(a, b, count, |a, b, run| {
            found.push((a, b, run));
            Ok(())
        })
        .unwrap();
        found
    }

    #[test]
    fn whole_axes_make_one_run() {
        assert_eq!(
            runs(
                [&[9, 4, 5], &[2, 4, 5]],
                [&[3, 0, 0], &[0, 0, 0]],
                &[2, 4, 5]
            ),
            [(60, 0, 40)]
        );
        assert_eq!(
            runs([&[9, 4], &[2, 3]], [&[3, 1], &[0, 0]], &[2, 3]),
            [(13, 0, 3), (17, 3, 3)]
        );
        assert_eq!(runs([&[], &[]], [&[], &[]], &[]), [(0, 0, 1)]);
        assert_eq!(runs([&[7], &[7]], [&[0], &[0]], &[0]), []);
        assert_eq!(
            runs(
                [&[3, 3, 3], &[2, 2, 1]],
                [&[0, 1, 2], &[0, 0, 0]],
                &[2, 2, 1]
            ),
            [(5, 0, 1), (8, 1, 1), (14, 2, 1), (17, 3, 1)]
        );
    }
}
