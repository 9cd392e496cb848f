//! Parity of `project_footprints`.

use somata_shaders::layout::ProjectFootprintsParams;

use crate::{
    both::{Both, ROUNDING, assert_close, both, largest},
    random::Random,
};

/// Lists of pixels with weights, one a row.
struct Rows {
    row_start: Vec<u32>,
    pixel: Vec<u32>,
    weight: Vec<f32>,
}

/// Rows of the given lengths; every other one is a run of neighbours, the others are scattered.
fn rows(lengths: &[usize], n_pixels: usize, random: &mut Random) -> Rows {
    let mut rows = Rows {
        row_start: vec![0],
        pixel: Vec::new(),
        weight: Vec::new(),
    };
    for (row, &length) in lengths.iter().enumerate() {
        if row % 2 == 0 {
            let first = random.below(n_pixels - length + 1);
            rows.pixel.extend(first as u32..(first + length) as u32);
        } else {
            rows.pixel.extend(random.subset(length, n_pixels));
        }
        rows.weight.extend(random.normals(length));
        rows.row_start.push(rows.pixel.len() as u32);
    }
    rows
}

fn play(
    both: &Both,
    params: &ProjectFootprintsParams,
    frames: &[f32],
    rows: &Rows,
) -> [Vec<f32>; 2] {
    let (cpu, gpu) = both.play(
        |commands| {
            let frames = commands.upload("frames", frames);
            let row_start = commands.upload("row_start", &rows.row_start);
            let pixel = commands.upload("pixel", &rows.pixel);
            let weight = commands.upload("weight", &rows.weight);
            let out = commands.buffer("out", (params.n_frames * params.n_rows) as usize);
            commands.dispatch(params, &[frames, row_start, pixel, weight, out]);
            commands.download(out)
        },
        |downloads, out| downloads.take::<f32>(out),
    );
    [cpu, gpu]
}

#[test]
fn rows_of_all_lengths_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (n_frames, n_pixels, lengths) in [
        (0, 4, &[1, 2][..]),
        (3, 4, &[]),
        (1, 1, &[1]),
        (1, 70, &[0, 70, 0]),
        (4, 200, &[63, 64, 65, 1, 0, 128, 129]),
        (5, 1000, &[1000, 300, 17]),
        (9, 333, &[333, 333, 7, 0, 100, 2]),
    ] {
        let mut random = Random(411);
        let frames = random.normals(n_frames * n_pixels);
        let rows = rows(lengths, n_pixels, &mut random);
        let params = ProjectFootprintsParams {
            n_frames: n_frames as u32,
            n_pixels: n_pixels as u32,
            n_rows: lengths.len() as u32,
        };
        let [cpu, gpu] = play(both, &params, &frames, &rows);
        let longest = *lengths.iter().max().unwrap_or(&0) as f32;
        // Sums of as many products, in another order on both.
        let roundings = 4.0 * (longest.sqrt() + 2.0);
        let tolerance = roundings * ROUNDING * largest(&frames) * largest(&rows.weight);
        let case = format!("{n_frames} frames of {n_pixels} pixels, rows of {lengths:?}");
        assert_close(&case, &cpu, &gpu, tolerance);
        for frame in gpu.chunks_exact(lengths.len().max(1)) {
            for (value, _) in frame.iter().zip(lengths).filter(|(_, n)| **n == 0) {
                // Exact: nothing was added.
                assert_eq!(*value, 0.0, "{case}");
            }
        }
    }
}

#[test]
fn more_rows_than_workgroups() {
    let Some(both) = both() else { return };
    let n = 65_535 + 3;
    let mut random = Random(412);
    let frames = random.normals(50);
    let rows = Rows {
        row_start: (0..=n).collect(),
        pixel: (0..n).map(|row| row % 50).collect(),
        weight: (0..n).map(|row| (1 + row % 7) as f32).collect(),
    };
    let params = ProjectFootprintsParams {
        n_frames: 1,
        n_pixels: 50,
        n_rows: n,
    };
    let [cpu, gpu] = play(both, &params, &frames, &rows);
    // Exact: one product a row.
    assert_eq!(cpu, gpu);
    assert_eq!(
        gpu[n as usize - 1],
        frames[(n as usize - 1) % 50] * (1 + (n - 1) % 7) as f32
    );
}
