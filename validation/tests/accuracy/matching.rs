//! Cells of two simulated sessions of one field, found by the whole run in both and then paired.

use somata_engine::imaging::{
    matching::{Field, match_fields},
    morphology::ImageSize,
};
use somata_validation::{
    score::{
        masks::Footprint,
        two_sessions::{SessionScore, score_sessions},
    },
    simulate::movie::{MovieKind, MovieSpec, SecondSession, SimulatedMovie, SimulatedMovieSource},
};

use super::imaging::imaged;

/// What a session found, with its truth.
struct Session {
    source: SimulatedMovieSource,
    mean: Vec<f32>,
    bodies: Vec<Vec<u32>>,
}

impl Session {
    fn new(spec: &MovieSpec) -> Self {
        let movie = SimulatedMovie::new(spec).expect("a valid specification");
        let source = SimulatedMovieSource::new(movie);
        let (mean, bodies) = imaged(&source, |plane| {
            let bodies = plane.rois.iter().map(|roi| roi.body.clone()).collect();
            (plane.registered.mean.clone(), bodies)
        });
        Self {
            source,
            mean,
            bodies,
        }
    }

    fn field(&self) -> Field<'_> {
        let spec = self.source.simulated().spec();
        Field {
            size: ImageSize {
                height: spec.height,
                width: spec.width,
            },
            mean: &self.mean,
            bodies: &self.bodies,
        }
    }

    fn footprints(&self) -> Vec<Footprint> {
        self.bodies.iter().cloned().map(Footprint::new).collect()
    }
}

fn first_session(seed: u64) -> MovieSpec {
    MovieSpec {
        height: 144,
        width: 144,
        n_cells: 38,
        n_frames: 500,
        seed,
        ..MovieSpec::new(MovieKind::Small)
    }
}

/// The field shifted by 10 px and turned by 2°, with 80 % of its cells.
fn second_session(first: &MovieSpec) -> MovieSpec {
    MovieSpec {
        seed: first.seed + 1,
        second_session: Some(SecondSession::new(first.clone())),
        ..first.clone()
    }
}

fn scored(first: &Session, second: &Session) -> SessionScore {
    let matched = match_fields(&first.field(), &second.field());
    let pairs: Vec<(usize, usize)> = matched.pairs.iter().map(|p| (p.first, p.second)).collect();
    score_sessions(
        &pairs,
        [&first.footprints(), &second.footprints()],
        [
            &first.source.simulated().truth(),
            &second.source.simulated().truth(),
        ],
        0,
    )
    .expect("the truth of a second session")
}

#[test]
fn cells_of_two_days_are_paired_and_those_of_two_fields_are_not() {
    let specs = [31, 61].map(first_session);
    let firsts = specs.each_ref().map(Session::new);
    let seconds = specs
        .each_ref()
        .map(|spec| Session::new(&second_session(spec)));
    let scores = [0, 1].map(|k| scored(&firsts[k], &seconds[k]));
    println!("{scores:#?}");
    let score = SessionScore::sum(scores);
    assert!(score.n_true >= 40, "{} cells in both", score.n_true);
    // One cell of the pairs found may be missed or taken for another.
    assert!(score.precision >= 0.98, "precision {:.3}", score.precision);
    assert!(score.recall >= 0.95, "recall {:.3}", score.recall);
    for (a, b) in [(0, 1), (1, 0)] {
        let matched = match_fields(&firsts[a].field(), &seconds[b].field());
        assert!(!matched.alignment.found && matched.pairs.is_empty());
    }
}
