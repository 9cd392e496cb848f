//! A second session of a field: the tissue of another movie, found again on another day.
//!
//! The microscope is not where it was: the field is shifted, turned and, if asked for, a little warped. Part of the cells are gone and
//! others are seen instead. Those that are left have their shapes, but other activity and a somewhat other brightness; the fine texture is
//! only partly the same, since the plane never lies at quite the same depth; shading, neuropil, motion and noise are new. Vessels are the same.

use serde::{Deserialize, Serialize};

use super::canvas::Canvas;
use super::cells::{Appearance, CellShape, INVISIBLE, Placed, draw_appearance, place_cells};
use super::spec::MovieSpec;
use super::tissue::{Ground, Vessels};
use crate::error::{Result, ValidationError};
use crate::simulate::philox::Stream;

/// Plane waves that warp the field.
const N_WAVES: usize = 3;
/// Their length, in sides of the frame, from and to.
const WAVE_SIDES: [f64; 2] = [0.8, 1.6];
/// Distance from the edge of the first session's tissue over which its texture fades into new one, px.
const FADE_PX: f64 = 6.0;

/// How a movie looks at the field of another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecondSession {
    /// The movie of the first session.
    pub of: Box<MovieSpec>,
    /// How far the middle of the field appears from where it was, px; the direction follows from the seed.
    pub shift_px: f64,
    /// How far it appears turned, clockwise, degrees.
    pub rotation_deg: f64,
    /// Deviation of a smooth distortion in each direction, px.
    pub warp_px: f64,
    /// Share of the cells that are still there, 0 to 1; others are at other places instead.
    pub shared_share: f64,
    /// Correlation of the fine texture of the background with that of the first session, 0 to 1.
    pub texture_kept: f64,
    /// Deviation of the logarithm of how much brighter or darker a cell is at rest than before.
    pub brightness_spread: f64,
}

impl SecondSession {
    /// The field of `first`, shifted by 10 px and turned by 2°, with 80 % of its cells.
    pub fn new(first: MovieSpec) -> Self {
        Self {
            of: Box::new(first),
            shift_px: 10.0,
            rotation_deg: 2.0,
            warp_px: 0.0,
            shared_share: 0.8,
            texture_kept: 0.6,
            brightness_spread: 0.3,
        }
    }

    /// # Errors
    /// If it cannot be simulated as a session of `spec`.
    pub fn check(&self, spec: &MovieSpec) -> Result<()> {
        let bad = |field, reason: &str| Err(ValidationError::bad_spec(field, reason));
        for (field, value, low, high) in [
            ("shift_px", self.shift_px, 0.0, 1_000.0),
            ("rotation_deg", self.rotation_deg, -180.0, 180.0),
            ("warp_px", self.warp_px, 0.0, 20.0),
            ("shared_share", self.shared_share, 0.0, 1.0),
            ("texture_kept", self.texture_kept, 0.0, 1.0),
            ("brightness_spread", self.brightness_spread, 0.0, 3.0),
        ] {
            if !(low..=high).contains(&value) {
                let reason = format!("is {value}; it must be between {low} and {high}");
                return bad(field, &reason);
            }
        }
        if self.of.second_session.is_some() {
            return bad(
                "second_session",
                "is a session of a movie that is itself a second session; take the first one",
            );
        }
        if self.of.n_planes != spec.n_planes {
            return bad(
                "n_planes",
                "must be that of the first session, whose planes are found again",
            );
        }
        if self.of.seed == spec.seed {
            return bad(
                "seed",
                "is that of the first session; the second needs noise and activity of its own",
            );
        }
        self.of.check()
    }
}

struct Wave {
    direction: [f64; 2],
    phase: f64,
    size_px: [f64; 2],
}

/// Where the places of the second session's frame lie in the first one's.
pub struct View {
    middle_first: [f64; 2],
    middle_second: [f64; 2],
    sine: f64,
    cosine: f64,
    waves: Vec<Wave>,
}

impl View {
    /// The view of `session`, whose direction and warp come from `random`, the same for all planes.
    pub fn new(session: &SecondSession, spec: &MovieSpec, random: &mut Stream) -> Self {
        let middle = |spec: &MovieSpec| [spec.height, spec.width].map(|n| (n - 1) as f64 / 2.0);
        let direction = random.between(0.0, std::f64::consts::TAU);
        let shift = [direction.sin(), direction.cos()].map(|part| part * session.shift_px);
        let [y, x] = middle(spec);
        let (sine, cosine) = session.rotation_deg.to_radians().sin_cos();
        let side = spec.height.max(spec.width) as f64;
        let waves = (0..N_WAVES)
            .map(|_| {
                let (sine, cosine) = random.between(0.0, std::f64::consts::TAU).sin_cos();
                let length = side * random.between(WAVE_SIDES[0], WAVE_SIDES[1]);
                let per_px = std::f64::consts::TAU / length;
                let phase = random.between(0.0, std::f64::consts::TAU);
                // The square of a wave has a mean of one half.
                let size = session.warp_px * (2.0 / N_WAVES as f64).sqrt();
                Wave {
                    direction: [sine * per_px, cosine * per_px],
                    phase,
                    size_px: [0; 2].map(|_| size * random.normal()),
                }
            })
            .collect();
        Self {
            middle_first: middle(&session.of),
            middle_second: [y + shift[0], x + shift[1]],
            sine,
            cosine,
            waves,
        }
    }

    fn warp(&self, [y, x]: [f64; 2]) -> [f64; 2] {
        self.waves.iter().fold([0.0; 2], |sum, wave| {
            let wave_here = (wave.direction[0] * y + wave.direction[1] * x + wave.phase).sin();
            [0, 1].map(|axis| sum[axis] + wave.size_px[axis] * wave_here)
        })
    }

    /// The place of the first frame that is seen at a place of the second, (y, x), px.
    pub fn first_of(&self, place_px: [f64; 2]) -> [f64; 2] {
        let [y, x] = [0, 1].map(|axis| place_px[axis] - self.middle_second[axis]);
        let turned = [
            y * self.cosine - x * self.sine,
            x * self.cosine + y * self.sine,
        ];
        let warp = self.warp(place_px);
        [0, 1].map(|axis| self.middle_first[axis] + turned[axis] + warp[axis])
    }

    /// The place of the second frame where a place of the first is seen, (y, x), px.
    pub fn second_of(&self, place_px: [f64; 2]) -> [f64; 2] {
        let unwarped = |warp: [f64; 2]| {
            let [y, x] = [0, 1].map(|axis| place_px[axis] - warp[axis] - self.middle_first[axis]);
            [
                self.middle_second[0] + y * self.cosine + x * self.sine,
                self.middle_second[1] + x * self.cosine - y * self.sine,
            ]
        };
        // The warp changes slowly with the place, so this converges in a few steps.
        (0..30).fold(unwarped([0.0; 2]), |guess, _| unwarped(self.warp(guess)))
    }
}

/// Streams of a plane of the first and the second session.
pub(super) struct Streams<'a> {
    /// Of the first session, by purpose.
    pub(super) first: &'a dyn Fn(u64) -> Stream,
    /// Of the second.
    pub(super) second: &'a dyn Fn(u64) -> Stream,
}

/// Purposes of streams, as in a plane of a single session.
pub(super) struct Purposes {
    pub(super) tissue: u64,
    pub(super) places: u64,
    pub(super) cells: u64,
    pub(super) session: u64,
}

/// What a plane of a second session is made of.
pub(super) struct SecondPlane {
    pub(super) background: Vec<f32>,
    pub(super) placed: Placed,
    /// Number of each cell in the frame in the first session's plane, and how it looked then; `None` for a new cell.
    pub(super) before: Vec<Option<(usize, Appearance)>>,
    /// Cells of the truth of the first session's plane.
    pub(super) n_first: usize,
}

/// The tissue and the cells of a plane of a second session.
pub(super) fn second_plane(
    session: &SecondSession,
    spec: &MovieSpec,
    canvas: &Canvas,
    view: &View,
    streams: &Streams<'_>,
    purposes: &Purposes,
) -> SecondPlane {
    let first = &*session.of;
    let first_canvas = Canvas::new(first);
    let mut random = (streams.first)(purposes.tissue);
    let vessels = Vessels::new(first, first_canvas.margin_px as f64, &mut random);
    let first_ground = Ground::new(&first_canvas, &mut random);
    let ground = Ground::new(canvas, &mut (streams.second)(purposes.tissue));
    let light = |place_px: [f64; 2]| {
        let [y, x] = view.first_of(place_px);
        vessels.light_at(y, x)
    };
    let background = ground.background(spec, canvas, |place_px, texture| {
        let there = view.first_of(place_px);
        let kept = first_ground
            .texture_at(&first_canvas, there)
            .map_or((0.0, 0.0), |before| {
                let margin = first_canvas.margin_px as f64;
                let from_edge = [first.height, first.width]
                    .iter()
                    .zip(there)
                    .map(|(&n, at)| (at + margin).min((n - 1) as f64 + margin - at))
                    .fold(f64::MAX, f64::min);
                let share = session.texture_kept * (from_edge / FADE_PX).clamp(0.0, 1.0);
                (share as f32, before)
            });
        let (share, before) = kept;
        let seen = share * before + (1.0 - share * share).sqrt() * texture;
        (light(place_px), seen)
    });

    let was = place_cells(
        first,
        &first_canvas,
        &vessels,
        &mut (streams.first)(purposes.places),
    );
    let mut random = (streams.second)(purposes.session);
    let mut placed = Placed {
        in_frame: Vec::new(),
        outside: Vec::new(),
    };
    let mut before = Vec::new();
    let turn = session.rotation_deg.to_radians();
    let n_first = was.in_frame.len();
    let mut all: Vec<CellShape> = Vec::new();
    for (at, shape) in was.in_frame.iter().chain(&was.outside).enumerate() {
        let now = shape.moved(view.second_of(shape.centre_px), turn);
        all.push(now.clone());
        if !random.chance(session.shared_share) {
            continue;
        }
        placed.add(spec, now);
        if placed.in_frame.len() > before.len() {
            let appearance =
                draw_appearance(first, &mut (streams.first)(purposes.cells + at as u64));
            before.push((at < n_first).then_some((at, appearance)));
        }
    }
    // A new cell does not lie where one was before: at one place, one cell would be taken for the other by anybody.
    placed.fill(
        spec,
        canvas,
        &light,
        &all,
        &mut (streams.second)(purposes.places),
    );
    before.resize(placed.in_frame.len(), None);
    SecondPlane {
        background,
        placed,
        before,
        n_first,
    }
}

/// How a cell looks in the second session that was seen in the first.
pub(super) fn look_again(
    session: &SecondSession,
    before: Appearance,
    now: Appearance,
    random: &mut Stream,
) -> Appearance {
    Appearance {
        visible: before.visible * (session.brightness_spread * random.normal()).exp(),
        // What is neither seen nor fires is nobody's to find.
        active: now.active || before.visible <= INVISIBLE,
    }
}

#[cfg(test)]
mod tests {
    use super::super::SimulatedMovie;
    use super::*;

    fn first() -> MovieSpec {
        MovieSpec {
            height: 120,
            width: 140,
            n_frames: 60,
            n_cells: 30,
            seed: 4,
            ..MovieSpec::default()
        }
    }

    fn second(change: impl FnOnce(&mut SecondSession)) -> MovieSpec {
        let mut session = SecondSession::new(first());
        change(&mut session);
        MovieSpec {
            seed: 5,
            second_session: Some(session),
            ..first()
        }
    }

    fn view(spec: &MovieSpec) -> View {
        let session = spec.second_session.as_ref().unwrap();
        View::new(session, spec, &mut Stream::new(9, 0))
    }

    #[test]
    fn a_place_goes_to_the_second_frame_and_back() {
        let spec = second(|session| session.warp_px = 2.0);
        let view = view(&spec);
        for place in [[0.0, 0.0], [119.0, 3.0], [60.5, 139.0]] {
            let back = view.first_of(view.second_of(place));
            for axis in 0..2 {
                assert!((back[axis] - place[axis]).abs() < 1e-6, "{back:?}");
            }
        }
    }

    #[test]
    fn the_field_is_shifted_by_its_distance_and_turned_clockwise() {
        let spec = second(|session| session.rotation_deg = 90.0);
        let view = view(&spec);
        let middle = [59.5, 69.5];
        let [y, x] = view.second_of(middle);
        assert!(((y - middle[0]).hypot(x - middle[1]) - 10.0).abs() < 1e-9);
        // What was to the right is below.
        let [lower, same] = view.second_of([middle[0], middle[1] + 7.0]);
        assert!((lower - y - 7.0).abs() < 1e-9 && (same - x).abs() < 1e-9);
    }

    #[test]
    fn shared_cells_lie_where_the_view_says_and_have_their_size() {
        let spec = second(|_| ());
        let truth = SimulatedMovie::new(&spec).unwrap().truth();
        let before = SimulatedMovie::new(&first()).unwrap().truth();
        let numbers = truth.first_session_cell.as_ref().unwrap();
        assert_eq!(numbers.len(), truth.n_cells());
        let view = SimulatedMovie::new(&spec).unwrap();
        let view = view.view().unwrap();
        let (mut n_shared, mut n_whole) = (0, 0);
        for (body, &number) in truth.bodies.iter().zip(numbers) {
            let Ok(number) = usize::try_from(number) else {
                continue;
            };
            n_shared += 1;
            let old = &before.bodies[number];
            let expected = view.second_of(old.centre_px(140).unwrap());
            let [y, x] = expected;
            if !(10.0..110.0).contains(&y) || !(10.0..130.0).contains(&x) {
                continue;
            }
            n_whole += 1;
            let found = body.centre_px(140).unwrap();
            assert!(
                (found[0] - y).hypot(found[1] - x) < 0.5,
                "{found:?} {expected:?}"
            );
            let ratio = body.pixels.len() as f64 / old.pixels.len() as f64;
            assert!((0.9..1.1).contains(&ratio), "{ratio}");
        }
        // Of 30, a few fall out of the frame and 20 % are gone.
        assert!(
            (15..=28).contains(&n_shared) && n_whole >= 8,
            "{n_shared} {n_whole}"
        );
        let mut known: Vec<i32> = numbers.iter().copied().filter(|&n| n >= 0).collect();
        known.sort_unstable();
        known.dedup();
        assert_eq!(known.len(), n_shared, "no cell of the first is two");
        let spikes = |truth: &super::super::MovieTruth, cell: usize| truth.spikes[cell].clone();
        let same = (0..truth.n_cells()).filter(|&cell| {
            usize::try_from(numbers[cell]).is_ok_and(|number| {
                let old = spikes(&before, number);
                old.iter().any(|&n| n > 0) && old == spikes(&truth, cell)
            })
        });
        assert_eq!(same.count(), 0, "the activity is new");
    }

    #[test]
    fn what_cannot_be_seen_again_is_refused() {
        let refused = |spec: MovieSpec| spec.check().unwrap_err().to_string();
        second(|_| ()).check().unwrap();
        let message = refused(second(|session| session.shared_share = 1.2));
        assert!(message.contains("shared_share"), "{message}");
        let message = refused(MovieSpec {
            seed: 4,
            ..second(|_| ())
        });
        assert!(message.contains("seed"), "{message}");
        let third = MovieSpec {
            seed: 6,
            second_session: Some(SecondSession::new(second(|_| ()))),
            ..first()
        };
        assert!(refused(third).contains("itself a second session"));
        let planes = MovieSpec {
            n_planes: 2,
            ..second(|_| ())
        };
        assert!(refused(planes).contains("n_planes"));
    }
}
