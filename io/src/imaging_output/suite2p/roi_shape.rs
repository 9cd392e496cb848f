//! Numbers that describe the shape of a cell, as Suite2p's cell lists hold them.
//!
//! Definitions, with `d` the expected diameter along y and x, and distances divided by it:
//! *centre*: the pixel nearest to the median of y and x. *Soma*: pixels nearer to the centre than the radius at which the weight in
//! the next ring of one pixel falls below a third of the heaviest ring's, once a ring was above that; it cuts dendrites off.
//! *mrs*: mean distance of the soma's pixels from their median. *mrs0*: the same of the most compact set of as many pixels, a disk.
//! *compact*: mrs ÷ mrs0, at least 1. *radius*: twice the standard deviation along the long axis of the soma's weighted pixels, in
//! pixels. *aspect_ratio*: 2 r₀ ÷ (r₀ + r₁ + 0.01) of the two radii. *npix_norm*: pixels of the soma over the median of all cells.
//! Checked against what Suite2p 1.1.0, run as it is, wrote for the same pixels (`tests/golden/suite2p_shapes.json`).

/// Shape of one cell.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct RoiShape {
    /// y and x of the centre, in pixels.
    pub centre: [i64; 2],
    /// Whether each pixel belongs to the soma.
    pub soma_crop: Vec<bool>,
    /// Pixels of the soma.
    pub npix_soma: usize,
    /// Mean distance from the median, in diameters.
    pub mrs: f64,
    /// The same of a disk, in diameters.
    pub mrs0: f64,
    /// How far from a disk; 1 is one.
    pub compact: f64,
    /// Radius along the long axis, in pixels.
    pub radius: f64,
    /// 1 for a circle, towards 2 for a line.
    pub aspect_ratio: f64,
}

/// Mean distances of the most compact sets of pixels, for one diameter.
#[derive(Clone, Debug)]
pub(super) struct Disks {
    diameter_px: [f64; 2],
    /// Sum of the `k` smallest distances at place `k`, in diameters.
    sums: Vec<f64>,
}

impl Disks {
    /// For sets of up to `largest` pixels.
    pub fn new(diameter_px: [f64; 2], largest: usize) -> Disks {
        // A grid whose inscribed ellipse surely holds that many pixels.
        let half = |diameter: f64| (3.0 * diameter).max((largest as f64).sqrt()) as i64;
        let (half_y, half_x) = (half(diameter_px[0]), half(diameter_px[1]));
        let mut distances: Vec<f64> = (-half_y..=half_y)
            .flat_map(|y| (-half_x..=half_x).map(move |x| [y, x]))
            .map(|[y, x]| (y as f64 / diameter_px[0]).hypot(x as f64 / diameter_px[1]))
            .collect();
        distances.sort_by(f64::total_cmp);
        distances.truncate(largest.max(1));
        let mut sums = vec![0.0];
        for distance in distances {
            sums.push(sums[sums.len() - 1] + distance);
        }
        Disks { diameter_px, sums }
    }

    /// Mean distance of the most compact set of `n_pixels`, which is 1 or more.
    fn mean(&self, n_pixels: usize) -> f64 {
        self.sums[n_pixels] / n_pixels as f64
    }
}

/// The pixel nearest to the median; the first of equally near ones.
pub(super) fn centre_of(ypix: &[i64], xpix: &[i64]) -> [i64; 2] {
    let (y, x) = (median(ypix), median(xpix));
    let distance = |place: &usize| (ypix[*place] as f64 - y).hypot(xpix[*place] as f64 - x);
    let nearest = (0..ypix.len())
        .min_by(|first, second| distance(first).total_cmp(&distance(second)))
        .expect("a cell has a pixel");
    [ypix[nearest], xpix[nearest]]
}

/// The shape of the cell with these pixels and weights around that centre. There must be a pixel.
pub(super) fn roi_shape(
    ypix: &[i64],
    xpix: &[i64],
    lam: &[f32],
    centre: [i64; 2],
    disks: &Disks,
) -> RoiShape {
    // A negative weight says that a pixel is not the cell's; without any weight, all pixels count the same.
    let mut weights: Vec<f64> = lam
        .iter()
        .map(|&weight| f64::from(weight).max(0.0))
        .collect();
    if weights.iter().all(|&weight| weight == 0.0) {
        weights.fill(1.0);
    }
    let soma_crop = soma(ypix, xpix, &weights, centre);
    let inside = |values: &[i64]| -> Vec<i64> {
        let pairs = values.iter().zip(&soma_crop);
        pairs
            .filter(|(_, inside)| **inside)
            .map(|(&value, _)| value)
            .collect()
    };
    let (y, x) = (inside(ypix), inside(xpix));
    let weights: Vec<f64> = weights
        .iter()
        .zip(&soma_crop)
        .filter(|(_, inside)| **inside)
        .map(|(&weight, _)| weight)
        .collect();
    let [diameter_y, diameter_x] = disks.diameter_px;
    let (median_y, median_x) = (median(&y), median(&x));
    let distances = y.iter().zip(&x).map(|(&y, &x)| {
        ((y as f64 - median_y) / diameter_y).hypot((x as f64 - median_x) / diameter_x)
    });
    let npix_soma = y.len();
    let mrs = distances.sum::<f64>() / npix_soma as f64;
    let mrs0 = disks.mean(npix_soma);
    let [long, short] = ellipse_radii(&y, &x, &weights, disks.diameter_px);
    RoiShape {
        centre,
        soma_crop,
        npix_soma,
        mrs,
        mrs0,
        // One pixel is a disk of no extent: 0 ÷ 0 would be the ratio.
        compact: if mrs0 > 0.0 {
            (mrs / mrs0).max(1.0)
        } else {
            1.0
        },
        radius: long * (diameter_y + diameter_x) / 2.0,
        aspect_ratio: 2.0 * long / (0.01 + long + short),
    }
}

/// Which pixels belong to the soma.
fn soma(ypix: &[i64], xpix: &[i64], weights: &[f64], centre: [i64; 2]) -> Vec<bool> {
    let distances: Vec<f64> = ypix
        .iter()
        .zip(xpix)
        .map(|(&y, &x)| ((y - centre[0]) as f64).hypot((x - centre[1]) as f64))
        .collect();
    let n_rings = distances.iter().fold(0.0f64, |a, &b| a.max(b)) as usize + 1;
    let mut rings = vec![0.0; n_rings];
    for (distance, weight) in distances.iter().zip(weights) {
        rings[*distance as usize] += weight;
    }
    let third = rings.iter().fold(0.0f64, |a, &b| a.max(b)) / 3.0;
    let first_heavy = rings.iter().position(|&weight| weight > third);
    let radius = first_heavy
        .and_then(|start| {
            let beyond = rings[start..].iter().position(|&weight| weight <= third);
            beyond.map(|further| start + further)
        })
        .unwrap_or(n_rings);
    distances
        .iter()
        .map(|&distance| distance < radius as f64)
        .collect()
}

/// Twice the standard deviations along the long and the short axis, in diameters.
fn ellipse_radii(y: &[i64], x: &[i64], weights: &[f64], diameter_px: [f64; 2]) -> [f64; 2] {
    let total: f64 = weights.iter().sum();
    if total <= 0.0 {
        return [0.0; 2];
    }
    let places: Vec<[f64; 2]> = y
        .iter()
        .zip(x)
        .map(|(&y, &x)| [y as f64 / diameter_px[0], x as f64 / diameter_px[1]])
        .collect();
    let mut mean = [0.0; 2];
    for (place, weight) in places.iter().zip(weights) {
        mean[0] += place[0] * weight / total;
        mean[1] += place[1] * weight / total;
    }
    let [mut yy, mut xx, mut yx] = [0.0; 3];
    for (place, weight) in places.iter().zip(weights) {
        let (y, x) = (place[0] - mean[0], place[1] - mean[1]);
        yy += y * y * weight / total;
        xx += x * x * weight / total;
        yx += y * x * weight / total;
    }
    // Eigenvalues of the covariance.
    let middle = (yy + xx) / 2.0;
    let spread = ((yy - xx) / 2.0).hypot(yx);
    [middle + spread, middle - spread].map(|variance| 2.0 * variance.max(0.0).sqrt())
}

/// The middle value, or the mean of the two middle ones.
fn median(values: &[i64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle] as f64
    } else {
        (sorted[middle - 1] + sorted[middle]) as f64 / 2.0
    }
}

/// Sizes over their median, as float32; all 1 when the median is 0 or there is none.
pub(super) fn over_median(sizes: impl Iterator<Item = usize>) -> Vec<f32> {
    let sizes: Vec<i64> = sizes.map(|size| size as i64).collect();
    if sizes.is_empty() {
        return Vec::new();
    }
    let middle = median(&sizes);
    let ratio = |&size: &i64| {
        if middle > 0.0 {
            size as f64 / middle
        } else {
            1.0
        }
    };
    sizes.iter().map(|size| ratio(size) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(value: &serde_json::Value) -> Vec<f64> {
        let list = value.as_array().unwrap();
        list.iter().map(|number| number.as_f64().unwrap()).collect()
    }

    fn integers(value: &serde_json::Value) -> Vec<i64> {
        numbers(value).iter().map(|&number| number as i64).collect()
    }

    /// `tests/golden/make_suite2p_shapes.py` ran Suite2p 1.1.0 and kept cells with what it says about their shapes.
    #[test]
    fn shapes_are_those_of_suite2p() {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../../tests/golden/suite2p_shapes.json"))
                .unwrap();
        let diameter = numbers(&golden["diameter"]);
        let disks = Disks::new([diameter[0], diameter[1]], 1000);
        let cells = golden["cells"].as_array().unwrap();
        assert!(cells.len() >= 5);
        for cell in cells {
            let (ypix, xpix) = (integers(&cell["ypix"]), integers(&cell["xpix"]));
            let lam: Vec<f32> = numbers(&cell["lam"])
                .iter()
                .map(|&lam| lam as f32)
                .collect();
            let med = integers(&cell["med"]);
            let shape = roi_shape(&ypix, &xpix, &lam, [med[0], med[1]], &disks);
            assert_eq!(shape.npix_soma as f64, cell["npix_soma"].as_f64().unwrap());
            for (name, found) in [
                ("mrs", shape.mrs),
                ("mrs0", shape.mrs0),
                ("compact", shape.compact),
                ("radius", shape.radius),
                ("aspect_ratio", shape.aspect_ratio),
            ] {
                let expected = cell[name].as_f64().unwrap();
                // Suite2p computes some of them in float32.
                assert!(
                    (found - expected).abs() < 1e-5 * expected.abs(),
                    "{name}: {found} instead of {expected}"
                );
            }
        }
    }

    #[test]
    fn a_disk_is_compact_and_a_line_is_not() {
        let disks = Disks::new([10.0, 10.0], 500);
        let mut disk = (Vec::new(), Vec::new());
        for y in -6..=6i64 {
            for x in -6..=6i64 {
                if y * y + x * x <= 36 {
                    disk.0.push(50 + y);
                    disk.1.push(40 + x);
                }
            }
        }
        let lam = vec![1.0; disk.0.len()];
        let centre = centre_of(&disk.0, &disk.1);
        assert_eq!(centre, [50, 40]);
        let shape = roi_shape(&disk.0, &disk.1, &lam, centre, &disks);
        assert!((shape.compact - 1.0).abs() < 0.01, "{}", shape.compact);
        // A disk of radius r has standard deviation r ÷ 2 along each axis; pixels add a little.
        assert!((shape.radius - 6.0).abs() < 0.3, "{}", shape.radius);
        assert!((shape.aspect_ratio - 1.0).abs() < 0.01);
        let (y, x): (Vec<i64>, Vec<i64>) = ((0..21).collect(), vec![3; 21]);
        let shape = roi_shape(&y, &x, &[1.0; 21], [10, 3], &disks);
        assert!(shape.compact > 1.5 && shape.aspect_ratio > 1.9, "{shape:?}");
    }

    #[test]
    fn one_pixel_and_weights_of_nothing_have_finite_shapes() {
        let disks = Disks::new([12.0, 8.0], 4);
        for (y, x, lam) in [
            (vec![3], vec![4], vec![2.0]),
            (vec![3], vec![4], vec![-1.0]),
            (vec![3, 3, 4, 4], vec![4, 5, 4, 5], vec![0.0; 4]),
        ] {
            let shape = roi_shape(&y, &x, &lam, centre_of(&y, &x), &disks);
            assert!(shape.npix_soma > 0);
            for number in [
                shape.mrs,
                shape.mrs0,
                shape.compact,
                shape.radius,
                shape.aspect_ratio,
            ] {
                assert!(number.is_finite(), "{shape:?}");
            }
        }
        assert!(over_median([].into_iter()).is_empty());
        assert_eq!(over_median([2, 4, 8].into_iter()), [0.5, 1.0, 2.0]);
    }

    #[test]
    fn a_dendrite_is_cut_off() {
        let disks = Disks::new([10.0, 10.0], 500);
        let (mut y, mut x) = (Vec::new(), Vec::new());
        for row in -4..=4i64 {
            for column in -4..=4i64 {
                y.push(row);
                x.push(column);
            }
        }
        for column in 5..20 {
            y.push(0);
            x.push(column);
        }
        let lam = vec![1.0; y.len()];
        let shape = roi_shape(&y, &x, &lam, [0, 0], &disks);
        let tail = shape.soma_crop[81..]
            .iter()
            .filter(|&&inside| inside)
            .count();
        assert!(tail <= 1, "{tail} pixels of the tail are left");
        assert!(shape.npix_soma >= 69);
    }
}
