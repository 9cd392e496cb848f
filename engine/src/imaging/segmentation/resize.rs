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

/// An image `[y, x]` at another size: where it shrinks, means over the area of a new pixel, so that noise and fine detail do not
/// alias; bilinear where it grows.
pub fn area(image: &[f32], from: [usize; 2], to: [usize; 2]) -> Vec<f32> {
    if from == to {
        return image.to_vec();
    }
    if to[0] > from[0] || to[1] > from[1] {
        return bilinear(image, from, to);
    }
    // Of each new pixel the first old one, and the parts of it and its followers that lie in the new one.
    let parts = |from: usize, to: usize| -> Vec<(usize, Vec<f32>)> {
        let ratio = from as f64 / to as f64;
        (0..to)
            .map(|i| {
                let (start, end) = (i as f64 * ratio, ((i + 1) as f64 * ratio).min(from as f64));
                let first = start.floor() as usize;
                let weights = (first..(end.ceil() as usize).min(from))
                    .map(|k| {
                        let covered = end.min((k + 1) as f64) - start.max(k as f64);
                        (covered / ratio) as f32
                    })
                    .collect();
                (first, weights)
            })
            .collect()
    };
    let (rows, columns) = (parts(from[0], to[0]), parts(from[1], to[1]));
    let mut out = Vec::with_capacity(to[0] * to[1]);
    for (top, row_weights) in &rows {
        let mut line = vec![0.0f32; from[1]];
        for (weight, row) in row_weights
            .iter()
            .zip(image[top * from[1]..].chunks(from[1]))
        {
            for (sum, value) in line.iter_mut().zip(row) {
                *sum += weight * value;
            }
        }
        out.extend(columns.iter().map(|(left, weights)| {
            let pixels = &line[*left..];
            weights.iter().zip(pixels).map(|(w, v)| w * v).sum::<f32>()
        }));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::{area, bilinear};

    #[test]
    fn areas_are_means() {
        let image: Vec<f32> = (0..12).map(|v| v as f32).collect();
        assert_eq!(area(&image, [2, 6], [1, 3]), [3.5, 5.5, 7.5]);
        let third = area(&[3.0, 6.0, 9.0], [1, 3], [1, 2]);
        assert!(
            (third[0] - 4.0).abs() < 1e-6 && (third[1] - 8.0).abs() < 1e-6,
            "{third:?}"
        );
        assert_eq!(area(&image, [2, 6], [2, 6]), image);
        assert_eq!(area(&[0.0, 1.0], [1, 2], [1, 4]), [0.0, 0.25, 0.75, 1.0]);
    }

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
