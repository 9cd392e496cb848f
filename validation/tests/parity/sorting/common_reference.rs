//! Parity of `common_reference`.

use somata_shaders::layout::CommonReferenceParams;

use crate::{
    both::{Both, both},
    random::Random,
};

fn check(
    both: &Both,
    case: &str,
    blocks: usize,
    samples: usize,
    channels: usize,
    groups: &[Vec<u32>],
    x: &[f32],
) {
    let mut start = vec![0u32];
    for group in groups {
        start.push(start[start.len() - 1] + group.len() as u32);
    }
    let params = CommonReferenceParams {
        n_blocks: blocks as u32,
        n_samples: samples as u32,
        n_channels: channels as u32,
        n_groups: groups.len() as u32,
    };
    let (cpu, gpu) = both.play(
        |commands| {
            let start = commands.upload("group_start", &start);
            let channel = commands.upload("group_channel", &groups.concat());
            let x = commands.upload("x", x);
            commands.dispatch(&params, &[start, channel, x]);
            commands.download(x)
        },
        |downloads, x| downloads.take::<f32>(x),
    );
    // Exact: the median is selected, and its mean of two and the subtraction are single operations.
    assert!(
        cpu == gpu,
        "{case}: {blocks} x {samples} x {channels}, {} groups",
        groups.len()
    );
}

#[test]
fn medians_of_groups_of_many_sizes() {
    let Some(both) = both() else { return };
    let mut random = Random(41);
    for (blocks, samples, sizes) in [
        (1, 0, vec![3]),
        (1, 1, vec![1]),
        (1, 65, vec![2, 3]),
        (2, 67, vec![1, 0, 64, 5]),
        (3, 33, vec![96, 31]),
        (1, 5, vec![1024, 384]),
        (1, 9, vec![424, 425]),
    ] {
        // Groups share out the channels at random; two channels belong to none.
        let used: usize = sizes.iter().sum();
        let channels = used + 2;
        let mut order: Vec<u32> = (0..channels as u32).collect();
        for i in 0..channels {
            let j = i + random.below(channels - i);
            order.swap(i, j);
        }
        let mut rest = &order[..used];
        let groups: Vec<Vec<u32>> = sizes
            .iter()
            .map(|&size| {
                let (group, others) = rest.split_at(size);
                rest = others;
                group.to_vec()
            })
            .collect();
        let x: Vec<f32> = random
            .normals(blocks * samples * channels)
            .iter()
            .map(|v| v * 80.0)
            .collect();
        check(both, "noise", blocks, samples, channels, &groups, &x);
    }
}

#[test]
fn ties_zeros_and_tiny_values() {
    let Some(both) = both() else { return };
    let mut random = Random(42);
    let values = [
        0.0, -0.0, 1.0, -1.0, 1.0e-30, -1.0e-30, 3.0e30, -3.0e30, 7.5,
    ];
    let (samples, channels) = (130, 6);
    let x: Vec<f32> = (0..samples * channels)
        .map(|_| values[random.below(values.len())])
        .collect();
    check(
        both,
        "ties",
        1,
        samples,
        channels,
        &[vec![0, 1, 2, 3, 4, 5]],
        &x,
    );
    check(
        both,
        "ties",
        1,
        samples,
        channels,
        &[vec![5, 0, 3], vec![1, 2]],
        &x,
    );
}
