//! The ring around each cell whose mean is the classical estimate of its neuropil.
//!
//! The traces that are used are demixed with the [background's basis](super::demixing); the ring is kept because downstream tools expect
//! `Fneu`.

use super::{
    morphology::{ImageSize, Patch, disc},
    rois::{Roi, Rows},
};

/// Pixels between a cell and its ring.
const GAP: f64 = 2.0;
/// Pixels of a ring at least.
const MIN_PIXELS: usize = 350;
/// Steps by which a ring grows, pixels.
const STEP: usize = 3;
/// Widest ring, pixels.
const MAX_RADIUS: usize = 40;

/// The ring of every cell: measured pixels around it that are in no cell and not beside one, each with the same weight.
pub fn rings(rois: &[Roi], measured: &[bool], size: ImageSize) -> Rows {
    let mut near_cell = vec![false; measured.len()];
    let gap = disc(GAP);
    for roi in rois {
        if let Some(body) = Patch::of(&roi.body, GAP as usize + 1, size) {
            for pixel in body.dilated(&gap).pixels(size) {
                near_cell[pixel as usize] = true;
            }
        }
    }
    let mut rows = Rows::new();
    for roi in rois {
        let ring = ring(roi, &near_cell, measured, size);
        let weight = 1.0 / ring.len().max(1) as f32;
        rows.push(ring.into_iter().map(|pixel| (pixel, weight)));
    }
    rows
}

fn ring(roi: &Roi, near_cell: &[bool], measured: &[bool], size: ImageSize) -> Vec<u32> {
    let [cy, cx] = roi.centre(size.width);
    let radius = (roi.body.len() as f64 / std::f64::consts::PI).sqrt();
    let mut ring = Vec::new();
    for reach in (STEP..=MAX_RADIUS).step_by(STEP) {
        let outer = radius + GAP + reach as f64;
        let rows = (cy - outer).floor().max(0.0) as usize
            ..((cy + outer).ceil() as usize + 1).min(size.height);
        let columns = (cx - outer).floor().max(0.0) as usize
            ..((cx + outer).ceil() as usize + 1).min(size.width);
        ring = rows
            .flat_map(|y| columns.clone().map(move |x| (y, x)))
            .filter(|&(y, x)| (y as f64 - cy).hypot(x as f64 - cx) <= outer)
            .map(|(y, x)| y * size.width + x)
            .filter(|&p| measured[p] && !near_cell[p])
            .map(|p| p as u32)
            .collect();
        if ring.len() >= MIN_PIXELS {
            break;
        }
    }
    ring
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imaging::rois::Origin;

    #[test]
    fn a_ring_keeps_away_from_cells_and_what_was_not_measured() {
        let size = ImageSize {
            height: 60,
            width: 60,
        };
        let cell = |cy: i64, cx: i64| {
            let pixels = disc(5.0)
                .iter()
                .map(|(y, x)| ((cy + y) * 60 + cx + x) as u32)
                .collect();
            Roi::proposal(pixels, 1.0, Origin::Network)
        };
        let rois = [cell(30, 25), cell(30, 38)];
        let measured: Vec<bool> = (0..3600).map(|p| p / 60 > 4).collect();
        let rings = rings(&rois, &measured, size);
        let ring: Vec<u32> = rings.row(0).map(|(pixel, _)| pixel).collect();
        assert!(ring.len() >= MIN_PIXELS);
        for pixel in ring {
            assert!(pixel / 60 > 4);
            for roi in &rois {
                assert!(!roi.body.contains(&pixel));
            }
        }
    }
}
