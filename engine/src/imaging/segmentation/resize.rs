//! Images brought to another size.

/// Bilinear interpolation of every plane of `[plane, y, x]`, pixel centres at half coordinates, the edge repeated: OpenCV's `INTER_LINEAR`.
pub fn bilinear(planes: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    let places = |from: usize, to: usize| -> Vec<(usize, usize, f32)> {
        let ratio = from as f64 / to as f64;
        (0..to)
            .map(|i| {
                let at = ((i as f64 + 0.5) * ratio - 0.5).clamp(0.0, (from - 1) as f64);
                let first = (at.floor() as usize).min(from - 1);
                (first, (first + 1).min(from - 1), (at - first as f64) as f32)
            })
            .collect()
    };
    let (rows, columns) = (places(from[0], to[0]), places(from[1], to[1]));
    let mut out = Vec::with_capacity(planes.len() / (from[0] * from[1]).max(1) * to[0] * to[1]);
    for plane in planes.chunks_exact(from[0] * from[1]) {
        for &(y0, y1, fy) in &rows {
            let (upper, lower) = (&plane[y0 * from[1]..], &plane[y1 * from[1]..]);
            for &(x0, x1, fx) in &columns {
                let a = upper[x0] + (upper[x1] - upper[x0]) * fx;
                let b = lower[x0] + (lower[x1] - lower[x0]) * fx;
                out.push(a + (b - a) * fy);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::bilinear;

    #[test]
    fn half_and_double() {
        let image = [0.0, 1.0, 2.0, 3.0];
        assert_eq!(bilinear(&image, [1, 4], [1, 2]), [0.5, 2.5]);
        assert_eq!(
            bilinear(&[0.0, 1.0], [1, 2], [1, 4]),
            [0.0, 0.25, 0.75, 1.0]
        );
        assert_eq!(bilinear(&image, [2, 2], [2, 2]), image);
    }
}
