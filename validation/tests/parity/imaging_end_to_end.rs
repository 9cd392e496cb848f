//! The same movie registered and the same image segmented on both executors: what comes out must agree.
//!
//! Not to the last bit: a GPU may fuse products and sums, and the shifts that were found decide what the next round's
//! reference image is made of.

use std::{collections::BTreeMap, path::Path};

use npyz::npz::NpzArchive;
use somata_engine::{
    device::Executor,
    imaging::{
        binned_movie::BinnedMovie,
        detection::summary::{Standardiser, summarise},
        frames::FrameGrid,
        registration::{
            RegisteredPlane, reference_image,
            register::{PassOptions, register},
        },
        segmentation::{Labels, Network, NetworkWeights, Prediction, cellpose_input, segment},
    },
    movie::{Movie, MovieInfo, PixelType},
    parameters::imaging::{Registration, Segmentation},
    recording::ReadError,
    stream::Control,
};
use somata_io::weights::Weights;

use crate::{both::both, random::Random};

const HEIGHT: usize = 96;
const WIDTH: usize = 80;
const FRAMES: usize = 60;
const BIN_FRAMES: usize = 5;
/// Frames that show nothing but noise.
const BAD: [usize; 2] = [17, 41];
const NOISE: f32 = 12.0;

/// A movie in memory.
struct WanderingBlobs {
    info: MovieInfo,
    pixels: Vec<u16>,
    /// Shift of every frame, y and x, pixels.
    shifts: Vec<[f32; 2]>,
}

impl Movie for WanderingBlobs {
    fn info(&self) -> &MovieInfo {
        &self.info
    }
    fn read(
        &self,
        _plane: usize,
        _channel: usize,
        start: usize,
        frames: &mut [u8],
    ) -> Result<(), ReadError> {
        let bytes: &[u8] = bytemuck::cast_slice(&self.pixels);
        let from = start * self.info.frame_bytes();
        frames.copy_from_slice(&bytes[from..from + frames.len()]);
        Ok(())
    }
}

/// Blobs on a smooth background that wander by fractions of a pixel, with noise.
fn wandering_blobs() -> WanderingBlobs {
    let mut random = Random(401);
    let blobs: Vec<[f32; 4]> = (0..30)
        .map(|_| {
            [
                random.between(-4.0, HEIGHT as f32 + 4.0),
                random.between(-4.0, WIDTH as f32 + 4.0),
                random.between(1.8, 3.5),
                random.between(60.0, 200.0),
            ]
        })
        .collect();
    let scene = |y: f32, x: f32| {
        let background = 200.0 + 40.0 * (0.03 * y).sin() * (0.04 * x + 1.0).cos();
        let blob = |b: &[f32; 4]| {
            let distance = ((y - b[0]).powi(2) + (x - b[1]).powi(2)) / (2.0 * b[2] * b[2]);
            b[3] * (-distance).exp()
        };
        background + blobs.iter().map(blob).sum::<f32>()
    };
    let mut shifts = Vec::new();
    let mut pixels = Vec::new();
    let mut shift = [0.0f32; 2];
    for frame in 0..FRAMES {
        shift = shift.map(|v| (0.9 * v + random.normal()).clamp(-5.0, 5.0));
        for i in 0..HEIGHT * WIDTH {
            let (y, x) = ((i / WIDTH) as f32, (i % WIDTH) as f32);
            let value = if BAD.contains(&frame) {
                200.0
            } else {
                scene(y - shift[0], x - shift[1])
            };
            pixels.push((value + NOISE * random.normal()).round() as u16);
        }
        shifts.push(shift);
    }
    WanderingBlobs {
        info: MovieInfo {
            height: HEIGHT,
            width: WIDTH,
            n_frames: FRAMES,
            n_planes: 1,
            n_channels: 1,
            frame_rate_hz: 30.0,
            pixel_type: PixelType::U16,
            identity: "simulated".into(),
        },
        pixels,
        shifts,
    }
}

fn registered(movie: &WanderingBlobs, executor: &dyn Executor, path: &Path) -> RegisteredPlane {
    let control = Control::default();
    let parameters = Registration::default();
    let reference =
        reference_image::make(movie, [0, 0], &parameters, executor, &control).expect("a reference");
    let options = PassOptions {
        executor,
        control: &control,
        blocks_together: None,
    };
    let grid = FrameGrid::new(FRAMES, HEIGHT * WIDTH, BIN_FRAMES);
    register(
        movie,
        [0, 0],
        &reference,
        &grid,
        &parameters,
        path,
        "registration",
        options,
    )
    .expect("registered")
}

/// All bins of a binned movie, less its reference.
fn bins(movie: &BinnedMovie) -> Vec<f32> {
    let mut all = Vec::new();
    movie
        .for_each_group(
            1,
            |_, bin| {
                let values = bin.iter().zip(movie.reference()).map(|(v, r)| v + r);
                Ok(values.collect::<Vec<f32>>())
            },
            |bin| {
                all.extend(bin);
                Ok(())
            },
        )
        .expect("readable");
    all
}

#[test]
fn both_executors_register_a_movie_alike() {
    let Some(both) = both() else { return };
    let movie = wandering_blobs();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let cpu = registered(&movie, &both.cpu, &folder.path().join("cpu.bins"));
    let gpu = registered(&movie, &*both.gpu, &folder.path().join("gpu.bins"));

    assert_eq!(cpu.bad_frames, gpu.bad_frames);
    let bad: Vec<usize> = (0..FRAMES).filter(|&k| cpu.bad_frames[k]).collect();
    assert_eq!(bad, BAD, "the frames of noise are bad");
    let good = (0..FRAMES).filter(|k| !BAD.contains(k));

    let (mut apart, mut from_truth) = (0.0f32, 0.0f32);
    for axis in 0..2 {
        // The reference lies where the typical frame does, so shifts are known up to a constant.
        let error = |k: usize| cpu.shifts[k][axis] - movie.shifts[k][axis];
        let constant = good.clone().map(error).sum::<f32>() / (FRAMES - BAD.len()) as f32;
        for k in good.clone() {
            apart = apart.max((cpu.shifts[k][axis] - gpu.shifts[k][axis]).abs());
            from_truth = from_truth.max((error(k) - constant).abs());
        }
    }
    println!("shifts: {apart} pixels apart, {from_truth} pixels from the truth");
    // Far above rounding, far below what noise does to a shift.
    assert!(apart <= 0.02, "{apart}");
    // Noise: a shift is known to some 0.01 pixels, the worst of 116 to three or four times that.
    assert!(from_truth <= 0.1, "{from_truth}");

    let (cpu_bins, gpu_bins) = (bins(&cpu.bins), bins(&gpu.bins));
    assert_eq!(cpu_bins.len(), FRAMES / BIN_FRAMES * HEIGHT * WIDTH);
    let mut worst = 0.0f32;
    let mut squares = 0.0f64;
    for (a, b) in cpu_bins.iter().zip(&gpu_bins) {
        worst = worst.max((a - b).abs());
        squares += f64::from((a - b).powi(2));
    }
    let deviation = (squares / cpu_bins.len() as f64).sqrt();
    println!("bins: deviation {deviation}, largest difference {worst}");
    // Bins are stored in steps of 1/64 of their deviation, some 0.09 here; a rounding moves a few values by a step. A pixel
    // at the edge of a frame may be measured on one and not on the other, and then a fifth of its bin is the reference.
    assert!(deviation <= 0.02, "{deviation}");
    assert!(worst <= NOISE, "{worst}");

    // The summary images of one of the two on both.
    let measured: Vec<bool> = cpu.measured.iter().map(|&part| part > 0.5).collect();
    let summary = |executor: &dyn Executor| {
        let control = Control::default();
        let standardiser =
            Standardiser::new(&cpu.bins, &cpu.noise, &measured, executor).expect("room");
        summarise(
            &cpu.bins,
            &standardiser,
            &cpu.mean,
            &measured,
            executor,
            &control,
        )
        .expect("summarised")
        .input()
    };
    let (on_cpu, on_gpu) = (summary(&both.cpu), summary(&*both.gpu));
    let worst = on_cpu
        .iter()
        .zip(&on_gpu)
        .fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
    println!("summary images: largest difference {worst}");
    assert!(on_cpu.iter().any(|&v| v > 0.5), "there is something to see");
    // Logarithms, roots and correlations of sums that are equal within some roundings; values are around 1.
    assert!(worst <= 1e-4, "{worst}");
}

/// A file of the golden tests.
fn golden(file: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/cpnet")
        .join(file)
}

/// A file of weights as the engine takes it.
pub fn weights(file: &Path) -> NetworkWeights {
    let weights = Weights::read(file).expect("weights");
    NetworkWeights {
        tensors: weights
            .names()
            .map(|name| {
                let tensor = weights.tensor(name).expect("named");
                (
                    name.to_owned(),
                    (tensor.shape.clone(), tensor.values.clone()),
                )
            })
            .collect(),
        metadata: weights.metadata().clone(),
        source: file.display().to_string(),
    }
}

/// Shape and values of an array of an archive.
fn array(file: &str, name: &str) -> (Vec<usize>, Vec<f32>) {
    let mut archive = NpzArchive::open(golden(file)).expect(file);
    let npy = archive.by_name(name).expect(name).expect(name);
    let shape = npy.shape().iter().map(|&n| n as usize).collect();
    (shape, npy.into_vec::<f32>().expect(name))
}

/// Part of the pixels that two labellings put into the same cell, numbers aside: each mask is paired with the one that it
/// shares most pixels with.
fn agreement(a: &Labels, b: &Labels) -> f64 {
    let mut shared: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for (&a, &b) in a.labels.iter().zip(&b.labels) {
        *shared.entry((a, b)).or_default() += 1;
    }
    let mut best: BTreeMap<u32, usize> = BTreeMap::new();
    for (&(a, _), &n) in &shared {
        let most = best.entry(a).or_default();
        *most = n.max(*most);
    }
    best.values().sum::<usize>() as f64 / a.labels.len() as f64
}

fn segmented(
    file: &str,
    image: &[f32],
    size: [usize; 2],
    scale: f64,
    executor: &dyn Executor,
) -> (Prediction, Labels) {
    let network = Network::new(executor, &weights(&golden(file))).expect("fits");
    segment(
        &network,
        image,
        size,
        scale,
        &Segmentation::default(),
        executor,
        &Control::default(),
    )
    .expect("segmented")
}

/// Checks that both executors predict alike; returns both labellings.
fn compare(file: &str, image: &[f32], size: [usize; 2], scale: f64) -> Option<[Labels; 2]> {
    let both = both()?;
    let (cpu, cpu_labels) = segmented(file, image, size, scale, &both.cpu);
    let (gpu, gpu_labels) = segmented(file, image, size, scale, &*both.gpu);
    let values = |p: &Prediction| [&p.flows[..], &p.logits[..]].concat();
    let (cpu, gpu) = (values(&cpu), values(&gpu));
    let largest = cpu.iter().fold(0.0f32, |most, v| most.max(v.abs()));
    let worst = cpu
        .iter()
        .zip(&gpu)
        .fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
    println!("{file}: largest difference {worst} of values up to {largest}");
    assert!(largest > 0.1, "{file}: the network says something");
    // Some thirty layers, each of which adds some roundings of its largest values.
    assert!(worst <= 1e-4 * largest, "{file}: {worst}");
    Some([cpu_labels, gpu_labels])
}

#[test]
fn both_executors_find_the_same_cells() {
    let (shape, image) = array("path_2.npz", "image");
    let size = [shape[0], shape[1]];
    let n = size[0] * size[1];
    let planes: Vec<f32> = (0..2 * n).map(|i| image[2 * (i % n) + i / n]).collect();
    // Cells of 20 pixels for a network that knows them with 16.
    let input = cellpose_input(&planes, n);
    let Some([cpu, gpu]) = compare("path.safetensors", &input, size, 1.25) else {
        return;
    };
    let same = agreement(&cpu, &gpu);
    println!(
        "{} cells and {}, {same} of the pixels alike",
        cpu.count(),
        gpu.count()
    );
    assert!(cpu.count() >= 10, "there are cells");
    // A rounding may send a pixel between two cells to the other one.
    assert!(same >= 0.99, "{same}");
}

#[test]
fn both_executors_run_random_networks_alike() {
    let mut random = Random(402);
    let size = [37, 50];
    for (file, channels) in [
        ("network_1.safetensors", 2),
        ("network_2.safetensors", 4),
        ("network_3.safetensors", 1),
    ] {
        let image = random.normals(channels * size[0] * size[1]);
        compare(file, &image, size, 1.0);
    }
}
