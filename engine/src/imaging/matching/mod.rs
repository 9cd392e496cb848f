//! One field on two days: where its places went, and which cells are the same.
//!
//! In the order of work:
//!
//! 1. [`landmarks`]: what can be recognised;
//! 2. [`coarse`]: rotation and translation, searched over the whole field;
//! 3. [`refinement`]: an affine map from the images;
//! 4. [`pairing`]: probabilities of near cells being the same, from distance, shape and likeness ([`cells`]);
//! 5. [`field_map`]: the map again from the centres of likely pairs; then 4 and 5 once more, and the choice of pairs.
//!
//! Fields that have nothing in common give no pairs: the alignment must stand out from what the same search finds in the mirrored field.
//! Everything runs on the host: it is done once for two results.

pub mod affine;
pub mod cells;
pub mod coarse;
pub mod field_map;
pub mod landmarks;
pub mod pairing;
pub mod refinement;
#[cfg(test)]
mod scene;

use serde::Serialize;

pub use affine::Affine;
pub use field_map::FieldMap;
pub use pairing::{Pair, PairModel};

use self::{
    cells::Both,
    coarse::Candidate,
    field_map::{Tie, n_terms},
    landmarks::Landmarks,
    refinement::{Agreement, agreement, place, refine},
};
use super::morphology::ImageSize;

/// Diameter that is assumed where no cell tells one, px.
const USUAL_DIAMETER_PX: f64 = 12.0;
/// The search runs on images in which a cell has about this diameter, px.
const SEARCH_DIAMETER_PX: f64 = 6.0;
/// How far the best alignment must stand out from the best one of the mirrored field, as a ratio of peaks.
const LEAST_CONTRAST: f64 = 1.35;
/// Alignments of the search that are refined.
const N_CANDIDATES: usize = 4;
/// Orders of the polynomials that are tried on the images.
const ORDERS: [usize; 4] = [1, 2, 3, 4];
/// How much each further term must explain: twice the logarithm of the likelihood ratio. Chance gives 1 on average, and gave 4.8 at most
/// in simulated fields that were not bent; those bent by 3 px gave 7 to 100.
const GAIN_PER_TERM: f64 = 6.0;
/// Side of the square in which the landmark images say about one thing, in diameters of a cell: it counts their independent values.
const GRAIN: f64 = 0.35;
/// Rounds of pairing and mapping.
const ROUNDS: usize = 3;
/// Pairs from this probability on correct the map.
const TIE_PROBABILITY: f64 = 0.8;

/// One plane of one session.
#[derive(Clone, Copy, Debug)]
pub struct Field<'a> {
    /// Rows and columns.
    pub size: ImageSize,
    /// Mean image, any unit, `[y, x]`.
    pub mean: &'a [f32],
    /// Pixels of each cell, ascending: indices `y * width + x`.
    pub bodies: &'a [Vec<u32>],
}

/// How two fields lie to each other.
#[derive(Clone, Debug, Serialize)]
pub struct Alignment {
    /// Whether they show anything in common.
    pub found: bool,
    /// From places of the first to places of the second.
    pub map: FieldMap,
    /// How well the images agree under the map.
    pub agreement: Agreement,
    /// Peak of the search.
    pub peak: f64,
    /// Peak of the same search in the mirrored field, in which nothing can be found.
    pub mirrored_peak: f64,
}

impl Alignment {
    /// The second field's mean image on the pixels of a first field of this size; its darkest value where it shows nothing.
    pub fn moved(&self, second: &Field<'_>, size: ImageSize) -> Vec<f32> {
        let low = second.mean.iter().copied().fold(f32::MAX, f32::min);
        (0..size.height * size.width)
            .map(|at| {
                let there = self.map.apply(place(at, size));
                landmarks::sample(second.mean, second.size, there).unwrap_or(low)
            })
            .collect()
    }

    /// The pixels of a first field of this size on which the second field's cells lie.
    pub fn moved_bodies(&self, second: &Field<'_>, size: ImageSize) -> Vec<Vec<u32>> {
        let mut owners: Vec<Vec<u32>> = vec![Vec::new(); second.size.height * second.size.width];
        for (cell, body) in second.bodies.iter().enumerate() {
            for &pixel in body {
                owners[pixel as usize].push(cell as u32);
            }
        }
        let mut moved = vec![Vec::new(); second.bodies.len()];
        for at in 0..size.height * size.width {
            let there = self.map.apply(place(at, size));
            if !cells::inside(there, second.size) {
                continue;
            }
            let [y, x] = there.map(|at| at.round().max(0.0) as usize);
            for &cell in &owners[y * second.size.width + x] {
                moved[cell as usize].push(at as u32);
            }
        }
        moved
    }
}

/// Whether a cell can have a partner.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// The other field shows its place.
    Common,
    /// The other field does not, or not enough of it.
    Outside,
}

/// Cells of two fields, paired.
#[derive(Clone, Debug)]
pub struct Matched {
    /// How the fields lie.
    pub alignment: Alignment,
    /// Cells that are the same, ascending.
    pub pairs: Vec<Pair>,
    /// All pairs that were weighed, ascending.
    pub weighed: Vec<Pair>,
    /// What was learned of pairs; `None` where the fields have nothing in common.
    pub model: Option<PairModel>,
    /// Whether each cell of the first and of the second field can have a partner.
    pub views: [Vec<View>; 2],
}

/// Aligns two fields and pairs their cells.
///
/// Panics if an image has not the size of its field or a cell reaches beyond it.
pub fn match_fields(first: &Field<'_>, second: &Field<'_>) -> Matched {
    for field in [first, second] {
        assert_eq!(field.mean.len(), field.size.height * field.size.width);
    }
    let diameter = diameter(&[first, second]);
    let landmarks = [first, second].map(|field| Landmarks::new(field, diameter));
    let mut alignment = align(&landmarks, diameter);
    if !alignment.found {
        return Matched {
            alignment,
            pairs: Vec::new(),
            weighed: Vec::new(),
            model: None,
            views: [first, second].map(|field| vec![View::Outside; field.bodies.len()]),
        };
    }
    let [a, b] = &landmarks;
    let base = alignment.map.clone();
    for _ in 1..ROUNDS {
        let both = Both::new(first, second, [a, b], &alignment.map);
        let ties = ties(&both, &pairing::weigh(&both, diameter).0);
        let map = base.corrected(&ties);
        alignment.map = map;
    }
    let map = &alignment.map;
    alignment.agreement = agreement(a, b, |place| map.apply(place));
    let both = Both::new(first, second, [a, b], map);
    let (weighed, model) = pairing::weigh(&both, diameter);
    let views = both.cells.each_ref().map(|cells| {
        let view = |seen| if seen { View::Common } else { View::Outside };
        cells.iter().map(|cell| view(cell.in_view)).collect()
    });
    Matched {
        pairs: pairing::choose(&weighed),
        weighed,
        model: Some(model),
        views,
        alignment,
    }
}

/// How two fields lie to each other, from their images.
fn align(landmarks: &[Landmarks; 2], diameter: f64) -> Alignment {
    let factor = ((diameter / SEARCH_DIAMETER_PX).round() as usize).max(1);
    let small = landmarks.each_ref().map(|field| field.reduced(factor));
    let candidates = coarse::search(&small[0], &small[1]);
    let highest = |candidates: &[Candidate]| candidates.first().map_or(0.0, |best| best.peak);
    let peak = highest(&candidates);
    let mirrored_peak = [true, false]
        .map(|upside_down| highest(&coarse::search(&small[0], &small[1].mirrored(upside_down))))
        .into_iter()
        .fold(0.0, f64::max);
    let size = |field: &Landmarks| [field.size.height, field.size.width];
    let mut alignment = Alignment {
        found: false,
        map: FieldMap::new(Affine::IDENTITY, size(&landmarks[0])),
        agreement: Agreement::default(),
        peak,
        mirrored_peak,
    };
    if peak < LEAST_CONTRAST * mirrored_peak {
        return alignment;
    }
    let judged = |fields: &[Landmarks; 2], map: FieldMap| {
        let agreement = agreement(&fields[0], &fields[1], |place| map.apply(place));
        (agreement, map)
    };
    let affine = candidates
        .iter()
        .take(N_CANDIDATES)
        .filter_map(|candidate| {
            let start = FieldMap::new(candidate.affine, size(&small[0]));
            let map = refine(&small[0], &small[1], &start, 1)?;
            Some(judged(&small, map))
        })
        // A small overlap agrees more by chance.
        .max_by(|(a, _), (b, _)| a.weight().total_cmp(&b.weight()));
    let Some((_, mut coarse)) = affine else {
        return alignment;
    };
    for order in ORDERS {
        let refined = refine(&small[0], &small[1], &coarse, order).and_then(|map| {
            let start = map.enlarged(factor, size(&landmarks[0]));
            let fine = refine(&landmarks[0], &landmarks[1], &start, order)?;
            Some((map, judged(landmarks, fine)))
        });
        let Some((map, (agreement, fine))) = refined else {
            break;
        };
        // Every term makes the images agree a little better by chance alone.
        let n_pixels = landmarks[0].images[0].len() as f64;
        let n_values = 2.0 * agreement.overlap * n_pixels / (GRAIN * diameter).powi(2);
        let n_more = 2.0 * (n_terms(order) - n_terms(coarse.order())) as f64;
        let gain = n_values * (alignment.agreement.unexplained() / agreement.unexplained()).ln();
        if alignment.found && gain < GAIN_PER_TERM * n_more {
            break;
        }
        coarse = map;
        alignment = Alignment {
            found: true,
            map: fine,
            agreement,
            ..alignment
        };
    }
    alignment
}

/// Centres of cells that are most likely the same, where both are wholly in view.
fn ties(both: &Both<'_>, weighed: &[Pair]) -> Vec<Tie> {
    weighed
        .iter()
        .filter(|pair| pair.probability >= TIE_PROBABILITY)
        .filter_map(|pair| {
            let (a, b) = (&both.cells[0][pair.first], &both.cells[1][pair.second]);
            (a.whole && b.whole).then_some(Tie {
                first: a.centre,
                second: b.centre,
                weight: pair.probability,
            })
        })
        .collect()
}

/// Median diameter of the cells of both fields, px.
fn diameter(fields: &[&Field<'_>]) -> f64 {
    let mut areas: Vec<f32> = fields
        .iter()
        .flat_map(|field| field.bodies)
        .map(|body| body.len() as f32)
        .collect();
    if areas.is_empty() {
        return USUAL_DIAMETER_PX;
    }
    let area = f64::from(crate::linalg::median(&mut areas));
    (2.0 * (area / std::f64::consts::PI).sqrt()).max(2.0)
}

#[cfg(test)]
mod tests {
    use super::{field_map::distance, scene::Scene, *};

    const SIZE: ImageSize = ImageSize {
        height: 128,
        width: 140,
    };

    fn numbers(matched: &Matched) -> Vec<(usize, usize)> {
        matched.pairs.iter().map(|p| (p.first, p.second)).collect()
    }

    #[test]
    fn a_field_matches_itself() {
        let scene = Scene::new(5, 140.0, 60);
        let seen = scene.seen(SIZE, |place| place, |_| true);
        let matched = match_fields(&seen.field(), &seen.field());
        let all: Vec<_> = (0..seen.bodies.len()).map(|k| (k, k)).collect();
        assert_eq!(numbers(&matched), all);
        for place in [[0.0, 0.0], [127.0, 139.0]] {
            assert!(distance(matched.alignment.map.apply(place), place) < 0.05);
        }
        assert!(
            matched
                .pairs
                .iter()
                .all(|pair| pair.iou > 0.97 && pair.probability > 0.99)
        );
        assert!(matched.alignment.agreement.correlation > 0.99);
    }

    #[test]
    fn cells_of_another_day_are_found_again_and_new_ones_are_not_paired() {
        let scene = Scene::new(6, 140.0, 170);
        let turn = Affine::turn(-0.06, [64.0, 70.0], [8.0, 5.0]);
        let first = scene.seen(SIZE, |place| place, |cell| cell % 5 != 0);
        let second = scene.seen(SIZE, |place| turn.apply(place), |cell| cell % 5 != 1);
        let matched = match_fields(&first.field(), &second.field());
        assert!(matched.alignment.found);
        let expected: Vec<(usize, usize)> = first
            .cells
            .iter()
            .enumerate()
            .filter_map(|(a, cell)| Some((a, second.cells.iter().position(|c| c == cell)?)))
            .collect();
        assert!(expected.len() > 15, "{}", expected.len());
        assert_eq!(numbers(&matched), expected);
        let model = matched.model.unwrap();
        assert!((0.5..0.95).contains(&model.shared_share), "{model:?}");
        // What the second session does not show cannot have a partner.
        let outside = matched.views[0]
            .iter()
            .filter(|v| **v == View::Outside)
            .count();
        assert!(outside > 0);
        let moved = matched.alignment.moved_bodies(&second.field(), first.size);
        let pair = matched.pairs[0];
        assert!(
            crate::imaging::morphology::iou(&first.bodies[pair.first], &moved[pair.second]) > 0.7
        );
    }

    #[test]
    fn fields_that_have_nothing_in_common_give_no_pairs() {
        for seed in 0..4 {
            let [first, second] = [20 + seed, 40 + seed]
                .map(|seed| Scene::new(seed, 140.0, 60).seen(SIZE, |place| place, |_| true));
            let matched = match_fields(&first.field(), &second.field());
            assert!(!matched.alignment.found, "seed {seed}");
            assert!(matched.pairs.is_empty() && matched.model.is_none());
            assert_eq!(matched.views[0], vec![View::Outside; first.bodies.len()]);
        }
    }

    #[test]
    fn fields_without_cells_or_contrast_are_no_error() {
        let scene = Scene::new(7, 140.0, 60);
        let seen = scene.seen(SIZE, |place| place, |_| false);
        let cells = scene.seen(SIZE, |place| place, |_| true);
        for (a, b) in [(&seen, &seen), (&seen, &cells), (&cells, &seen)] {
            let matched = match_fields(&a.field(), &b.field());
            assert!(matched.alignment.found && matched.pairs.is_empty());
        }
        for (height, width) in [(1, 1), (3, 2), (40, 1)] {
            let size = ImageSize { height, width };
            let mean = vec![7.0; height * width];
            let flat = Field {
                size,
                mean: &mean,
                bodies: &[vec![0]],
            };
            let matched = match_fields(&flat, &flat);
            assert!(!matched.alignment.found && matched.pairs.is_empty());
            assert!(!match_fields(&flat, &cells.field()).alignment.found);
        }
    }
}
