//! Is the network Cellpose's, are masks built as Cellpose builds them, are the summary images those that the network was
//! trained on? `make_cpnet.py` made the files of `cpnet/` with PyTorch and Cellpose 3.1.1.2.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use npyz::npz::NpzArchive;
use somata_engine::{
    device::{Commands, CpuExecutor, Executor as _},
    imaging::{
        binned_movie::BinWriter,
        detection::summary::{self, Standardiser},
        segmentation::{Network, NetworkWeights, Prediction, masks, segment},
    },
    parameters::imaging::Segmentation,
    stream::Control,
};
use somata_io::weights::Weights;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cpnet")
}

/// An array of an archive as `f32`, with its shape.
fn array(file: &str, name: &str) -> (Vec<usize>, Vec<f32>) {
    let mut archive = NpzArchive::open(folder().join(file)).expect(file);
    let npy = archive.by_name(name).expect(name).expect(name);
    let shape = npy.shape().iter().map(|&n| n as usize).collect();
    let kind = npy.dtype().descr();
    let values = if kind.contains("f4") {
        npy.into_vec::<f32>().expect(name)
    } else if kind.contains("i4") {
        let values = npy.into_vec::<i32>().expect(name);
        values.into_iter().map(|v| v as f32).collect()
    } else {
        let values = npy.into_vec::<bool>().expect(name);
        values.into_iter().map(|v| f32::from(u8::from(v))).collect()
    };
    (shape, values)
}

fn weights(file: &str) -> NetworkWeights {
    let weights = Weights::read(&folder().join(file)).expect(file);
    let tensors: BTreeMap<_, _> = weights
        .names()
        .map(|name| {
            let tensor = weights.tensor(name).expect("named");
            (
                name.to_owned(),
                (tensor.shape.clone(), tensor.values.clone()),
            )
        })
        .collect();
    NetworkWeights {
        tensors,
        metadata: weights.metadata().clone(),
        source: file.into(),
    }
}

#[test]
fn random_networks_give_what_pytorch_gives() {
    let executor = CpuExecutor::new(1);
    for number in 1..=3 {
        let network = Network::new(
            &executor,
            &weights(&format!("network_{number}.safetensors")),
        )
        .expect("fits");
        for letter in ["a", "b"] {
            let file = format!("network_{number}.npz");
            let (shape, input) = array(&file, &format!("input_{letter}"));
            let (_, expected) = array(&file, &format!("output_{letter}"));
            let mut commands = Commands::new();
            let images = commands.upload("images", &input);
            let size = [shape[2] as u32, shape[3] as u32];
            let out = network.record(&mut commands, images, shape[0] as u32, size);
            let out = commands.download(out);
            let found: Vec<f32> = executor.play(commands).expect("plays").take(out);
            assert_eq!(found.len(), expected.len());
            let worst = found
                .iter()
                .zip(&expected)
                .fold(0.0f32, |worst, (a, b)| worst.max((a - b).abs()));
            println!("network {number} {letter} {shape:?}: largest difference {worst:e}");
            assert!(worst <= 1e-3, "network {number} {letter}: {worst}");
        }
    }
}

/// Part of the pixels that two labellings put into the same cell, numbers aside: each mask is paired with the one that it
/// shares most pixels with.
fn agreement(found: &[u32], expected: &[f32]) -> f64 {
    let mut shared: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for (&a, &b) in found.iter().zip(expected) {
        *shared.entry((a, b as u32)).or_default() += 1;
    }
    let mut best: BTreeMap<u32, (usize, u32)> = BTreeMap::new();
    for (&(a, b), &n) in &shared {
        let entry = best.entry(a).or_default();
        *entry = (*entry).max((n, b));
    }
    let same = found
        .iter()
        .zip(expected)
        .filter(|(a, b)| best[*a].1 == **b as u32)
        .count();
    same as f64 / found.len().max(1) as f64
}

#[test]
fn masks_are_those_of_cellpose() {
    let executor = CpuExecutor::new(2);
    for number in 1..=3 {
        let file = format!("masks_{number}.npz");
        let (shape, flows) = array(&file, "flows");
        let (_, logits) = array(&file, "logit");
        let (_, expected) = array(&file, "masks");
        let prediction = Prediction {
            height: shape[1],
            width: shape[2],
            flows,
            logits,
        };
        let labels =
            masks::build(&prediction, 200, &Segmentation::default(), &executor).expect("built");
        let count = expected.iter().fold(0.0f32, |a, &b| a.max(b)) as usize;
        let same = agreement(&labels.labels, &expected);
        println!(
            "masks {number}: {} masks, Cellpose {count}, {:.4} of the pixels alike",
            labels.count(),
            same
        );
        assert_eq!(labels.count(), count);
        assert!(same >= 0.999, "{same}");
    }
}

#[test]
fn whole_path_is_that_of_cellpose() {
    let executor = CpuExecutor::new(2);
    let network = Network::new(&executor, &weights("path.safetensors")).expect("fits");
    for number in 1..=2 {
        let file = format!("path_{number}.npz");
        let (shape, image) = array(&file, "image");
        let (_, diameter) = array(&file, "diameter_px");
        let (_, expected) = array(&file, "masks");
        let (_, output) = array(&file, "output");
        let (height, width) = (shape[0], shape[1]);
        let n = height * width;
        let planes: Vec<f32> = (0..2 * n).map(|i| image[2 * (i % n) + i / n]).collect();
        let input = somata_engine::imaging::segmentation::cellpose_input(&planes, n);
        let scale = f64::from(diameter[0]) / network.diameter_px;
        let (prediction, labels) = segment(
            &network,
            &input,
            [height, width],
            scale,
            &Segmentation::default(),
            &executor,
            &Control::default(),
        )
        .expect("segmented");
        let mut worst = 0.0f32;
        let columns = width.div_ceil(2);
        let rows = height.div_ceil(2);
        for (k, plane) in output.chunks_exact(rows * columns).enumerate() {
            let own = if k < 2 {
                &prediction.flows[k * n..(k + 1) * n]
            } else {
                &prediction.logits[..]
            };
            for (i, value) in plane.iter().enumerate() {
                worst = worst.max((value - own[i / columns * 2 * width + i % columns * 2]).abs());
            }
        }
        let same = agreement(&labels.labels, &expected);
        println!(
            "path {number}: largest difference {worst:e}, {} masks, {same:.4} of the pixels alike",
            labels.count()
        );
        assert!(worst <= 2e-3, "{worst}");
        assert!(same >= 0.99, "{same}");
    }
}

#[test]
fn summary_images_are_those_of_training() {
    let executor = CpuExecutor::new(1);
    let (shape, movie) = array("summary.npz", "movie");
    let (_, noise) = array("summary.npz", "noise");
    let (_, measured) = array("summary.npz", "measured");
    let (n_bins, height, width) = (shape[0], shape[1], shape[2]);
    let n = height * width;
    let mean: Vec<f32> = (0..n)
        .map(|i| {
            (0..n_bins)
                .map(|t| f64::from(movie[t * n + i]))
                .sum::<f64>() as f32
                / n_bins as f32
        })
        .collect();
    let path = std::env::temp_dir().join(format!("somata-summary-{}.bin", std::process::id()));
    // A fine step, so that storing the bins rounds far below the tolerance.
    let variance = vec![0.04f32; n];
    let mut writer =
        BinWriter::create(&path, [height, width], 1, &mean, &variance).expect("created");
    writer.append(&movie).expect("written");
    let bins = writer.finish().expect("whole");
    for (name, measured) in [
        ("images", vec![true; n]),
        ("images_masked", measured.iter().map(|&v| v > 0.0).collect()),
    ] {
        let (_, expected) = array("summary.npz", name);
        let standardiser = Standardiser::new(&bins, &noise, &measured, &executor).expect("room");
        let found = summary::summarise(
            &bins,
            &standardiser,
            &mean,
            &measured,
            &executor,
            &Control::default(),
        )
        .expect("summarised")
        .input();
        for k in 0..summary::CHANNELS {
            let worst = (k * n..(k + 1) * n)
                .fold(0.0f32, |worst, i| worst.max((found[i] - expected[i]).abs()));
            println!("{name} channel {k}: largest difference {worst:e}");
            // Bins are stored in steps; a maximum moves by half of one, 0.0016 / 3 noise deviations.
            assert!(worst <= 2e-3, "{name} channel {k}: {worst}");
        }
    }
    std::fs::remove_file(&path).expect("removed");
}
