//! The whole imaging run on both executors, with the program's own weights: the same cells, traces and spikes must come out.

use std::{collections::BTreeSet, path::Path};

use somata_engine::{
    device::Executor,
    imaging::{
        ImageOptions, ImagingResult,
        deconvolution::{Derived, derived_place},
        extraction::{Extracted, place},
        image,
        segmentation::Network,
    },
    parameters::imaging::ImagingParameters,
    stream::Control,
};
use somata_validation::simulate::movie::{
    MovieKind, MovieSpec, SimulatedMovie, SimulatedMovieSource,
};

use crate::{both::both, imaging_end_to_end::weights};

/// The whole run with the program's own weights.
fn imaged(movie: &SimulatedMovieSource, executor: &dyn Executor, work: &Path) -> ImagingResult {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/weights/somata_cpnet.safetensors");
    let network = Network::new(executor, &weights(&file)).expect("fits");
    let control = Control::default();
    let options = ImageOptions {
        executor,
        control: &control,
        work,
        blocks_together: None,
        network: &network,
        network_identity: "own",
        decay_s: None,
        functional_channel: 0,
    };
    image(movie, &ImagingParameters::default(), options, None).expect("imaged")
}

/// Pearson's correlation.
fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let mean = |v: &[f32]| v.iter().map(|v| f64::from(*v)).sum::<f64>() / v.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (f64::from(*a) - mean_a, f64::from(*b) - mean_b);
        ab += a * b;
        aa += a * a;
        bb += b * b;
    }
    ab / (aa * bb).sqrt()
}

#[test]
fn both_executors_take_a_movie_to_the_same_cells_traces_and_spikes() {
    let Some(both) = both() else { return };
    let spec = MovieSpec {
        height: 64,
        width: 64,
        n_frames: 120,
        n_cells: 6,
        // In four seconds most cells have to fire, and all have to be there to be seen.
        firing_rate_hz: 1.0,
        silent_share: 0.0,
        invisible_share: 0.0,
        dim_share: 0.0,
        n_vessels: 0,
        ..MovieSpec::new(MovieKind::Small)
    };
    let movie = SimulatedMovie::new(&spec).expect("a movie that can be simulated");
    let movie = SimulatedMovieSource::new(movie);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cpu = imaged(&movie, &both.cpu, &folder.path().join("cpu"));
    let gpu = imaged(&movie, &*both.gpu, &folder.path().join("gpu"));
    let ([cpu], [gpu]) = (&cpu.planes[..], &gpu.planes[..]) else {
        panic!("one plane")
    };
    let n_cells = cpu.rois.len();
    println!("{n_cells} cells and {}", gpu.rois.len());
    assert!(n_cells >= 4, "there are cells");
    assert_eq!(n_cells, gpu.rois.len());

    // Cells are listed from top to bottom, so the same ones stand side by side.
    let (mut shared, mut all) = (0, 0);
    for (a, b) in cpu.rois.iter().zip(&gpu.rois) {
        let a: BTreeSet<u32> = a.body.iter().copied().collect();
        let b: BTreeSet<u32> = b.body.iter().copied().collect();
        shared += a.intersection(&b).count();
        all += a.union(&b).count();
    }
    println!("{shared} of {all} pixels of masks alike");
    // A rounding may put a pixel at the edge of a cell inside on one and outside on the other.
    assert!(shared as f64 >= 0.99 * all as f64, "{shared} of {all}");

    let (cpu_extracted, gpu_extracted) = (
        cpu.extracted.open().expect("readable"),
        gpu.extracted.open().expect("readable"),
    );
    let (cpu_derived, gpu_derived) = (
        cpu.spikes.traces.open().expect("readable"),
        gpu.spikes.traces.open().expect("readable"),
    );
    let mut row = [vec![0.0; 120], vec![0.0; 120]];
    for cell in 0..n_cells {
        for kind in [Extracted::Demixed, Extracted::Raw, Extracted::Neuropil] {
            let at = place(kind, cell, n_cells);
            cpu_extracted.read(at, &mut row[0]).expect("a trace");
            gpu_extracted.read(at, &mut row[1]).expect("a trace");
            let r = correlation(&row[0], &row[1]);
            println!("cell {cell}, {kind:?}: r = {r}");
            // Shifts that differ by a few thousandths of a pixel change a pixel by less than its noise.
            assert!(r >= 0.999, "cell {cell}, {kind:?}: {r}");
        }
        for kind in [Derived::Dff, Derived::Denoised, Derived::Spikes] {
            let at = derived_place(kind, cell);
            cpu_derived.read(at, &mut row[0]).expect("a trace");
            gpu_derived.read(at, &mut row[1]).expect("a trace");
            if row.iter().all(|row| row.iter().all(|v| *v == row[0])) {
                // Nothing fired, on both.
                continue;
            }
            let r = correlation(&row[0], &row[1]);
            println!("cell {cell}, {kind:?}: r = {r}");
            assert!(r >= 0.999, "cell {cell}, {kind:?}: {r}");
        }
    }
    let (a, b) = (&cpu.spikes.response, &gpu.spikes.response);
    println!("responses {a:?} and {b:?}");
    // Exact: both voted for times of the same grid.
    assert_eq!((a.decay_s, a.rise_s), (b.decay_s, b.rise_s));
}
