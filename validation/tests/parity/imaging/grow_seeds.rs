//! Parity of `grow_seeds`.

use somata_shaders::layout::{GrowSeedsParams, SEED_WINDOW, SEED_WORDS};

use crate::{
    both::{Both, both},
    random::Random,
};

fn play(both: &Both, params: &GrowSeedsParams, histogram: &[u32], seeds: &[u32]) -> [Vec<u32>; 2] {
    let (cpu, gpu) = both.play(
        |commands| {
            let histogram = commands.upload("histogram", histogram);
            let places = commands.upload("seeds", seeds);
            let windows = commands.buffer("windows", seeds.len() * SEED_WORDS as usize);
            commands.dispatch(params, &[histogram, places, windows]);
            commands.download(windows)
        },
        |downloads, windows| downloads.take::<u32>(windows),
    );
    [cpu, gpu]
}

#[test]
fn windows_within_and_across_the_edges() {
    let Some(both) = both() else { return };
    for (height, width, n_seeds, rounds) in [
        (5, 5, 0, 5),
        (1, 1, 1, 5),
        (40, 37, 300, 5),
        (40, 37, 300, 0),
        (9, 200, 150, 1),
        (100, 6, 100, 20),
        // More seeds than workgroups.
        (260, 255, 66_000, 2),
    ] {
        let mut random = Random(361);
        // About two thirds of the pixels have enough ends: clouds with holes and bays.
        let histogram: Vec<u32> = (0..height * width)
            .map(|_| random.below(9) as u32)
            .collect();
        let seeds = random.subset(n_seeds, height * width);
        let params = GrowSeedsParams {
            n_seeds: n_seeds as u32,
            height: height as u32,
            width: width as u32,
            min_count: 2,
            rounds,
        };
        let [cpu, gpu] = play(both, &params, &histogram, &seeds);
        // Exact: bits.
        assert_eq!(
            cpu, gpu,
            "{height} x {width}, {n_seeds} seeds, {rounds} rounds"
        );
        let most = gpu.iter().map(|word| word.count_ones()).sum::<u32>();
        assert!(
            n_seeds < 100 || rounds == 0 || most > 3 * n_seeds as u32,
            "windows grow"
        );
    }
}

#[test]
fn a_seed_reaches_round_a_corner_but_not_over_a_gap() {
    let Some(both) = both() else { return };
    let picture = "
        ...........
        .##........
        ..#........
        ..#.....##.
        ...#....##.
        ....##..##.
        ......#.##.
        ...........
        ..####.....
        ...........
        ...........";
    let rows: Vec<&str> = picture.split_whitespace().collect();
    let histogram: Vec<u32> = rows
        .concat()
        .bytes()
        .map(|b| if b == b'#' { 7 } else { 2 })
        .collect();
    let params = GrowSeedsParams {
        n_seeds: 1,
        height: SEED_WINDOW,
        width: SEED_WINDOW,
        min_count: 2,
        rounds: 10,
    };
    // The seed is the middle of the picture, which is the window.
    for windows in play(both, &params, &histogram, &[5 * 11 + 5]) {
        let grown: String = (0..121)
            .map(|bit| {
                if windows[bit / 32] >> (bit % 32) & 1 == 1 {
                    '#'
                } else {
                    '.'
                }
            })
            .collect();
        let mut expected: Vec<char> = rows.concat().chars().collect();
        // The block to the right and the bar below are not joined to it.
        for (bit, pixel) in expected.iter_mut().enumerate() {
            if bit % 11 >= 8 || bit / 11 >= 8 {
                *pixel = '.';
            }
        }
        assert_eq!(grown, expected.iter().collect::<String>());
    }
}
