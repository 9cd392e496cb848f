//! Parity of `find_seeds`.

use somata_shaders::layout::FindSeedsParams;

use crate::{both::both, random::Random};

#[test]
fn seeds_with_ties_at_awkward_sizes() {
    let Some(both) = both() else { return };
    for (height, width, radius, most) in [
        (1, 1, 2, 20),
        (1, 300, 2, 14),
        (17, 1, 3, 14),
        (33, 41, 2, 13),
        (20, 20, 0, 20),
        (24, 31, 30, 40),
    ] {
        let mut random = Random(351);
        // Few different counts, so that neighbours tie.
        let histogram: Vec<u32> = (0..height * width)
            .map(|_| random.below(most) as u32)
            .collect();
        let params = FindSeedsParams {
            height: height as u32,
            width: width as u32,
            min_count: 10,
            radius,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let histogram = commands.upload("histogram", &histogram);
                let seeds = commands.buffer("seeds", height * width);
                commands.dispatch(&params, &[histogram, seeds]);
                commands.download(seeds)
            },
            |downloads, seeds| downloads.take::<u32>(seeds),
        );
        // Exact: comparisons.
        assert_eq!(cpu, gpu, "{height} x {width}, radius {radius}");
        assert!(
            height * width < 400 || cpu.iter().any(|&count| count > 0),
            "{height} x {width}: there are seeds"
        );
    }
}
