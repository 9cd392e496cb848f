//! Parity of `detect_peaks`.

use somata_shaders::layout::DetectPeaksParams;

use crate::{
    both::{Both, both},
    random::Random,
};

/// Sorted entries of every block, and the counts.
type Peaks = (Vec<Vec<[u32; 4]>>, Vec<u32>);

fn detect(
    both: &Both,
    params: &DetectPeaksParams,
    score: &[f32],
    x: &[f32],
    neighbour: &[u32],
) -> (Peaks, Peaks) {
    let (blocks, capacity) = (params.n_blocks as usize, params.capacity as usize);
    both.play(
        |commands| {
            let score = commands.upload("score", score);
            let x = commands.upload("x", x);
            let neighbour = commands.upload("neighbour", neighbour);
            let peaks = commands.zeros("peaks", blocks * capacity * 4);
            let count = commands.zeros("count", blocks);
            commands.dispatch(params, &[score, x, neighbour, peaks, count]);
            (commands.download(peaks), commands.download(count))
        },
        |downloads, (peaks, count)| {
            let (peaks, count) = (downloads.take::<u32>(peaks), downloads.take::<u32>(count));
            let lists = (0..blocks)
                .map(|block| {
                    let n = (count[block] as usize).min(capacity);
                    let list = &peaks[block * capacity * 4..(block * capacity + n) * 4];
                    let mut list: Vec<[u32; 4]> = list
                        .chunks_exact(4)
                        .map(|entry| entry.try_into().expect("four words"))
                        .collect();
                    list.sort_unstable();
                    list
                })
                .collect();
            (lists, count)
        },
    )
}

/// Scores that are coarse, so that there are ties.
fn case(
    blocks: usize,
    samples: usize,
    channels: usize,
    neighbours: usize,
) -> (DetectPeaksParams, Vec<f32>, Vec<f32>, Vec<u32>) {
    let mut random = Random(81);
    let score = (0..blocks * channels * samples)
        .map(|_| (4.0 * random.normal()).round() / 4.0)
        .collect();
    let x = random.normals(blocks * channels * samples);
    let mut neighbour = Vec::new();
    for c in 0..channels {
        for k in 0..neighbours {
            // Around the channel, padded with the channel itself.
            let n = c + k;
            neighbour.push(if n >= neighbours / 2 && n - neighbours / 2 < channels {
                n - neighbours / 2
            } else {
                c
            } as u32);
        }
    }
    let params = DetectPeaksParams {
        n_blocks: blocks as u32,
        n_samples: samples as u32,
        n_channels: channels as u32,
        n_neighbours: neighbours as u32,
        threshold: 1.0,
        exclusion: 3,
        lobe: 9,
        lobe_ratio: 1.6,
        first: 2,
        last: samples as u32,
        capacity: (samples * channels) as u32,
        before: 5,
        align_threshold: 2.0,
        align_radius: 4,
        positive_weight: 0.7,
    };
    (params, score, x, neighbour)
}

#[test]
fn the_same_peaks_in_any_order() {
    let Some(both) = both() else { return };
    for (blocks, samples, channels, neighbours) in [
        (1, 1, 1, 1),
        (1, 2, 1, 1),
        (1, 3, 2, 1),
        (1, 65, 3, 3),
        (3, 501, 9, 5),
        (2, 1000, 4, 1),
    ] {
        let (params, score, x, neighbour) = case(blocks, samples, channels, neighbours);
        let (cpu, gpu) = detect(both, &params, &score, &x, &neighbour);
        // Exact: comparisons, and a choice among weights that random data do not tie.
        assert_eq!(
            cpu, gpu,
            "{blocks} x {channels} x {samples}, {neighbours} neighbours"
        );
        assert!(
            samples < 100 || cpu.1.iter().all(|&count| count > 0),
            "the case has peaks"
        );
    }
}

#[test]
fn a_full_list_still_counts_all_peaks() {
    let Some(both) = both() else { return };
    let (mut params, score, x, neighbour) = case(2, 800, 5, 3);
    let ((all, counts), _) = detect(both, &params, &score, &x, &neighbour);
    for capacity in [0, 1, 7] {
        params.capacity = capacity;
        let ((_, cpu_counts), (gpu, gpu_counts)) = detect(both, &params, &score, &x, &neighbour);
        assert_eq!(cpu_counts, counts);
        assert_eq!(gpu_counts, counts, "capacity {capacity}");
        for (list, all) in gpu.iter().zip(&all) {
            assert_eq!(list.len(), capacity as usize);
            assert!(
                list.iter().all(|entry| all.contains(entry)),
                "capacity {capacity}: only true peaks are listed"
            );
        }
    }
}
