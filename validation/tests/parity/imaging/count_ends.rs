//! Parity of `count_ends`.

use somata_shaders::layout::CountEndsParams;

use crate::{both::both, random::Random};

#[test]
fn ends_are_counted_and_added() {
    let Some(both) = both() else { return };
    for (points, pixels) in [(0, 5), (1, 1), (257, 3), (5000, 700), (100, 5000)] {
        let mut random = Random(341);
        // Some lie beyond the image.
        let ends: Vec<u32> = (0..points)
            .map(|_| random.below(pixels + pixels / 8 + 1) as u32)
            .collect();
        let before: Vec<u32> = (0..pixels).map(|_| random.below(9) as u32).collect();
        let params = CountEndsParams {
            n_points: points as u32,
            n_pixels: pixels as u32,
        };
        let (cpu, gpu) = both.play(
            |commands| {
                let ends = commands.upload("ends", &ends);
                let histogram = commands.upload("histogram", &before);
                commands.dispatch(&params, &[ends, histogram]);
                commands.download(histogram)
            },
            |downloads, histogram| downloads.take::<u32>(histogram),
        );
        // Exact: integers.
        assert_eq!(cpu, gpu, "{points} ends, {pixels} pixels");
        let added: u32 = gpu
            .iter()
            .zip(&before)
            .map(|(after, before)| after - before)
            .sum();
        let inside = ends.iter().filter(|&&end| (end as usize) < pixels).count();
        assert_eq!(added as usize, inside, "{points} ends, {pixels} pixels");
    }
}
