//! The current sources that a simulated neuron is made of, with time courses as sums of Gaussian bumps.
//!
//! Ranges are chosen so that spikes cover the published widths (trough to peak 0.2 to 0.9 ms); see [`super::neurons`]
//! for what the sources are for and where the idea is from.

use super::philox::Stream;

/// One bump of a time course: a Gaussian with different widths before and after its top.
#[derive(Debug, Clone, Copy)]
struct Bump {
    height: f64,
    top_ms: f64,
    width_before_ms: f64,
    width_after_ms: f64,
}

impl Bump {
    fn at(&self, time_ms: f64) -> f64 {
        let from_top = time_ms - self.top_ms;
        let width = if from_top < 0.0 {
            self.width_before_ms
        } else {
            self.width_after_ms
        };
        self.height * (-0.5 * (from_top / width).powi(2)).exp()
    }

    /// Scaled by `gain`, later by `delay_ms`, wider by `broadening`.
    fn moved(self, gain: f64, delay_ms: f64, broadening: f64) -> Self {
        Self {
            height: self.height * gain,
            top_ms: self.top_ms * broadening + delay_ms,
            width_before_ms: self.width_before_ms * broadening,
            width_after_ms: self.width_after_ms * broadening,
        }
    }
}

/// A point source: where it is relative to the soma, and its current over time.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// From the soma, µm.
    pub offset_um: [f64; 3],
    bumps: Vec<Bump>,
}

impl Source {
    /// Current at a time after the soma's trough, arbitrary units.
    pub fn current(&self, time_ms: f64) -> f64 {
        self.bumps.iter().map(|bump| bump.at(time_ms)).sum()
    }
}

/// A soma and a dendrite that returns its current; three in ten are narrow-spiking interneurons.
pub(crate) fn soma_and_dendrite_sources(random: &mut Stream) -> Vec<Source> {
    let is_narrow = random.chance(0.3);
    let width = if is_narrow {
        random.between(0.06, 0.085)
    } else {
        random.between(0.085, 0.15)
    };
    let after_ms = if is_narrow {
        random.between(0.25, 0.40)
    } else {
        random.between(0.45, 0.85)
    };
    let trough = Bump {
        height: -1.0,
        top_ms: 0.0,
        width_before_ms: width,
        width_after_ms: width * random.between(1.05, 1.35),
    };
    let outward = Bump {
        height: if is_narrow {
            random.between(0.2, 0.45)
        } else {
            random.between(0.1, 0.35)
        },
        top_ms: after_ms,
        width_before_ms: after_ms * random.between(0.33, 0.42),
        width_after_ms: after_ms * random.between(0.5, 0.9).min(0.45 / after_ms),
    };
    // A small positive peak before the trough: capacitive current of the approaching spike.
    let before = Bump {
        height: random.between(-0.04, 0.14).max(0.0),
        top_ms: -2.6 * width,
        width_before_ms: width * 1.2,
        width_after_ms: width * 0.9,
    };
    let soma = vec![trough, outward, before];

    // Pyramidal dendrites point along the probe in a cortex that is penetrated at a right angle; others anywhere.
    let axis = if !is_narrow && random.chance(0.8) {
        unit_vector([0.3 * random.normal(), 1.0, 0.3 * random.normal()])
    } else {
        unit_vector([random.normal(), random.normal(), random.normal()])
    };
    let length_um = random.between(40.0, 140.0);
    let speed_um_per_ms = random.between(250.0, 600.0);
    let returned = random.between(0.6, 1.0);
    let mut sources = vec![Source {
        offset_um: [0.0; 3],
        bumps: soma.clone(),
    }];
    // (place along the dendrite as a share of its length, share of the returned current); the last lies on the other side.
    for (along, share) in [(0.25, 0.35), (0.55, 0.25), (1.0, 0.15), (-0.3, 0.25)] {
        let distance_um = along * length_um;
        let delay_ms = distance_um.abs() / speed_um_per_ms;
        let broadening = 1.0 + 0.5 * along.abs();
        let mut bumps: Vec<Bump> = soma
            .iter()
            .map(|bump| bump.moved(-returned * share, 0.3 * delay_ms, broadening))
            .collect();
        // The spike that runs back into the dendrite: smaller and later the farther.
        bumps.push(trough.moved(0.22 * (1.0 - 0.5 * along.abs()), delay_ms, broadening));
        sources.push(Source {
            offset_um: axis.map(|component| component * distance_um),
            bumps,
        });
    }
    sources
}

/// A stretch of axon without its soma.
pub(crate) fn axon_sources(random: &mut Stream) -> Vec<Source> {
    let width = random.between(0.05, 0.075);
    let bumps = [(0.38, -2.3), (-1.0, 0.0), (0.42, 2.5)].map(|(height, top)| Bump {
        height,
        top_ms: top * width,
        width_before_ms: width,
        width_after_ms: width * if top > 0.0 { 1.6 } else { 1.1 },
    });
    let axis = unit_vector([random.normal(), 1.5 * random.normal(), random.normal()]);
    let speed_um_per_ms = random.between(350.0, 800.0);
    (-2..=2)
        .map(|position| {
            let distance_um = f64::from(position) * 35.0;
            let delay_ms = distance_um / speed_um_per_ms;
            Source {
                offset_um: axis.map(|component| component * distance_um),
                bumps: bumps
                    .iter()
                    .map(|bump| {
                        bump.moved(
                            0.5 + 0.5 * f64::from(u8::from(position == 0)),
                            delay_ms,
                            1.0,
                        )
                    })
                    .collect(),
            }
        })
        .collect()
}

fn unit_vector(vector: [f64; 3]) -> [f64; 3] {
    let length = vector
        .iter()
        .map(|component| component * component)
        .sum::<f64>()
        .sqrt()
        .max(1e-9);
    vector.map(|component| component / length)
}
