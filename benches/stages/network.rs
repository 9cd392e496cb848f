//! The U-Net on one image of 512 by 512 pixels: nine tiles of 224 by 224, with the weights that the program carries.
//!
//! From the image to flows and probabilities: tiles cut and put together, uploads and downloads included. A multiplication
//! and an addition are an operation each, as `network_by_pytorch.py` beside this file counts them for the same network.

use std::{hint::black_box, path::Path};

use criterion::{Criterion, Throughput};
use somata_engine::{
    device::{
        CpuExecutor, Executor,
        adapters::{self, DeviceChoice},
    },
    imaging::segmentation::{Network, NetworkWeights, tiles},
    stream::Control,
};
use somata_io::weights::Weights;

const SIDE: usize = 512;
/// Tiles that cover the image with its border of 16 pixels.
const TILES: usize = 9;

fn weights() -> NetworkWeights {
    let file =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../engine/weights/somata_cpnet.safetensors");
    let weights = Weights::read(&file).expect("the program's own weights");
    let tensors = weights.names().map(|name| {
        let tensor = weights.tensor(name).expect("named");
        let values = (tensor.shape.clone(), tensor.values.clone());
        (name.to_owned(), values)
    });
    NetworkWeights {
        tensors: tensors.collect(),
        metadata: weights.metadata().clone(),
        source: file.display().to_string(),
    }
}

/// The network on the processor, and on the graphics card where there is one.
pub fn network(criterion: &mut Criterion) {
    let threads = rayon::current_num_threads();
    let mut executors: Vec<Box<dyn Executor>> = vec![Box::new(CpuExecutor::new(threads))];
    if let Ok(automatic) = adapters::open(&DeviceChoice::Auto, threads, |_| ())
        && automatic.name() != executors[0].name()
    {
        executors.push(automatic);
    }
    let weights = weights();
    let mut group = criterion.benchmark_group("network");
    group.sample_size(10);
    for executor in &executors {
        let executor = executor.as_ref();
        let network = Network::new(executor, &weights).expect("fits");
        let channels = network.channels();
        let image: Vec<f32> = (0..(channels * SIDE * SIDE) as u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 16) as f32 / 65_536.0)
            .collect();
        let pixels = (TILES * network.tile_px * network.tile_px) as f64;
        let operations = network.operations_per_pixel() * pixels;
        group.throughput(Throughput::Elements(operations as u64));
        let name = format!("{SIDE} x {SIDE}, {}, {threads} threads", executor.name());
        group.bench_function(name, |bench| {
            bench.iter(|| {
                let image = black_box(&image);
                tiles::predict(&network, image, [SIDE, SIDE], executor, &Control::default())
                    .expect("predicted")
            });
        });
    }
    group.finish();
}
