//! What the spike of a simulated neuron looks like, anywhere around it.
//!
//! A neuron is a handful of point current sources: the soma with its inward current (the negative trough) and outward current
//! after it, and sources along a dendrite that return that current with delay and broadening. The potential of a point
//! source falls as 1/distance (Holt & Koch 1999 and the line-source literature before it); because sources of both signs
//! nearly cancel from afar, the sum falls like a dipole, is elongated along the dendrite, and changes its shape and
//! its delay with distance, as measured footprints do (Gold et al. 2006). An axon is a chain of narrow
//! triphasic sources, each later than the one before.
//!
//! Two properties make it a good simulator of drift. The potential is a smooth function of position, so a displaced
//! neuron is evaluated at its displaced place, without interpolation between templates; and it is separable (weights of
//! the sources at a contact × one fixed time course per source), so that this costs little for each spike.
//!
//! It is not a biophysical model: there is no cable equation, and the fall with distance is calibrated (`sources.rs`
//! has the time courses).

use super::geometry::Geometry;
use super::philox::Stream;
use super::recording::STREAM_NEURONS;
use super::sources::{axon_sources, soma_and_dendrite_sources};
use super::spec::{RecordingKind, RecordingSpec};

/// Positions of a spike between two samples that are told apart.
pub const N_PHASES: usize = 4;
/// Samples of a spike's waveform before its trough, ms.
pub const BEFORE_MS: f64 = 1.0;
/// Samples of a spike's waveform after its trough, ms.
pub const AFTER_MS: f64 = 2.2;
/// Beside 1/distance, potentials fall by e in this many µm. Calibrated, not derived: with it the footprints fall off as those of
/// 22 measured Neuropixels units (the Allen templates that hybrids are made of).
const ATTENUATION_UM: f64 = 50.0;
/// Potentials fade to nothing between these distances from a source, µm.
const FADE_UM: (f64, f64) = (150.0, 230.0);

/// A neuron ready to be added to a recording.
#[derive(Debug, Clone)]
pub struct Neuron {
    /// Soma at rest: x, y (along the probe), z (distance from the probe's plane), µm.
    pub location_um: [f64; 3],
    /// Contact with the largest trough at rest.
    pub main_channel: usize,
    /// That trough, µV (positive number).
    pub amplitude_uv: f64,
    /// Samples of a waveform before its trough.
    pub samples_before: usize,
    offsets_um: Vec<[f64; 3]>,
    softening_um: f64,
    /// `[phases][sources][samples]`, µV · µm.
    currents: Vec<f32>,
    /// Largest absolute current of each source.
    largest_current: Vec<f32>,
    n_samples: usize,
}

/// Samples of a waveform before the trough, and in total.
pub fn waveform_samples(sampling_frequency_hz: f64) -> (usize, usize) {
    let before = (BEFORE_MS * sampling_frequency_hz / 1000.0).round() as usize;
    let after = (AFTER_MS * sampling_frequency_hz / 1000.0).round() as usize;
    (before, before + after)
}

/// Offset of a phase from the sample it is counted to, in samples: evenly spread within ± half a sample.
pub fn phase_offset(phase: usize) -> f64 {
    (phase as f64 + 0.5) / N_PHASES as f64 - 0.5
}

/// Potential at `contact` (in the plane z = 0) of a unit source at `place`, 1/µm.
fn potential(place: [f64; 3], contact: [f64; 2], softening_um: f64) -> f64 {
    let squared =
        (place[0] - contact[0]).powi(2) + (place[1] - contact[1]).powi(2) + place[2].powi(2);
    let distance = squared.sqrt();
    if distance >= FADE_UM.1 {
        return 0.0;
    }
    let attenuation = (-distance / ATTENUATION_UM).exp();
    let fade = ((FADE_UM.1 - distance) / (FADE_UM.1 - FADE_UM.0)).clamp(0.0, 1.0);
    attenuation * fade * fade * (3.0 - 2.0 * fade) / (squared + softening_um * softening_um).sqrt()
}

fn add(place: [f64; 3], offset: [f64; 3]) -> [f64; 3] {
    [
        place[0] + offset[0],
        place[1] + offset[1],
        place[2] + offset[2],
    ]
}

/// All neurons of `spec` on `probe`, `[units]`.
pub fn make_neurons(spec: &RecordingSpec, probe: &Geometry) -> Vec<Neuron> {
    let mut placing = Stream::new(spec.seed, STREAM_NEURONS);
    let mut locations: Vec<[f64; 3]> = Vec::with_capacity(spec.n_units);
    for _ in 0..spec.n_units {
        let mut place = draw_location(spec.kind, probe, &mut placing);
        // Somata are about 15 µm wide; give up on keeping them apart where there are too many for the space.
        for _ in 0..200 {
            let is_free = locations.iter().all(|other| {
                (0..3)
                    .map(|axis| (other[axis] - place[axis]).powi(2))
                    .sum::<f64>()
                    >= 15.0f64.powi(2)
            });
            if is_free {
                break;
            }
            place = draw_location(spec.kind, probe, &mut placing);
        }
        locations.push(place);
    }
    // Each neuron has a stream of its own, so that one more unit does not change the others' shapes.
    locations
        .iter()
        .enumerate()
        .map(|(unit, &location)| {
            make_neuron(
                spec,
                probe,
                location,
                &mut Stream::new(spec.seed, STREAM_NEURONS + 1 + unit as u64),
            )
        })
        .collect()
}

fn draw_location(kind: RecordingKind, probe: &Geometry, random: &mut Stream) -> [f64; 3] {
    let [x, y] = probe.positions_um[random.below(probe.n_channels())];
    let (reach_x, reach_y) = match kind {
        RecordingKind::Utah => (25.0, 25.0),
        RecordingKind::Tetrode | RecordingKind::Linear => (30.0, 20.0),
        _ => (18.0, 18.0),
    };
    [
        x + random.between(-reach_x, reach_x),
        y + random.between(-reach_y, reach_y),
        random.between(6.0, 42.0),
    ]
}

fn make_neuron(
    spec: &RecordingSpec,
    probe: &Geometry,
    location_um: [f64; 3],
    random: &mut Stream,
) -> Neuron {
    let sources = if random.chance(0.1) {
        axon_sources(random)
    } else {
        soma_and_dendrite_sources(random)
    };
    let softening_um = probe.contact_radius_um + 4.0;
    // Strength of the soma, log-normal as measured amplitudes are: median in µV at 25 µm without attenuation.
    let strength_uv = 220.0 * (0.55 * random.normal()).exp();

    // The trough on every contact, on a fine grid of time, finds the main contact and the time of its trough.
    const FINE: usize = 32;
    let fine_ms = 1000.0 / (FINE as f64 * spec.sampling_frequency_hz);
    let n_fine = (2.0 / fine_ms) as usize;
    let fine_currents: Vec<Vec<f64>> = sources
        .iter()
        .map(|source| {
            (0..n_fine)
                .map(|step| source.current(step as f64 * fine_ms - 0.8))
                .collect()
        })
        .collect();
    let mut trough = (0.0f64, 0usize, 0usize);
    for (channel, &contact) in probe.positions_um.iter().enumerate() {
        let weights: Vec<f64> = sources
            .iter()
            .map(|source| potential(add(location_um, source.offset_um), contact, softening_um))
            .collect();
        if weights.iter().all(|&weight| weight == 0.0) {
            continue;
        }
        for step in 0..n_fine {
            let value: f64 = weights
                .iter()
                .zip(&fine_currents)
                .map(|(weight, current)| weight * current[step])
                .sum();
            if value < trough.0 {
                trough = (value, channel, step);
            }
        }
    }
    let (depth, main_channel, step) = trough;
    // With which shift is sample 0 the lowest for every phase? Where the waveform a whole sample apart is equally high lies the
    // beginning of a stretch of one sample in which that holds; phases are spread around its middle. (The minimum itself would do
    // only for a symmetric trough.)
    let main_weights: Vec<f64> = sources
        .iter()
        .map(|source| {
            potential(
                add(location_um, source.offset_um),
                probe.positions_um[main_channel],
                softening_um,
            )
        })
        .collect();
    let on_main = |step: usize| -> f64 {
        main_weights
            .iter()
            .zip(&fine_currents)
            .map(|(weight, current)| weight * current[step])
            .sum()
    };
    let begin = (step.saturating_sub(FINE)..step)
        .find(|&at| at + FINE < n_fine && on_main(at) <= on_main(at + FINE))
        .unwrap_or(step.saturating_sub(FINE / 2));
    let trough_ms = (begin + FINE / 2) as f64 * fine_ms - 0.8;
    let natural_uv = -depth * strength_uv * 25.0;
    let [low, high] = spec.amplitude_uv;
    // Weaker or stronger ones are moved just inside the range, not all to its end.
    let inside = random.uniform();
    let amplitude_uv = if natural_uv < low {
        (low * (1.0 + 0.8 * inside)).min(high)
    } else if natural_uv > high {
        (high * (1.0 - 0.3 * inside)).max(low)
    } else {
        natural_uv
    };
    let scale = if depth < 0.0 {
        amplitude_uv / -depth
    } else {
        0.0
    };

    let (before, n_samples) = waveform_samples(spec.sampling_frequency_hz);
    let sample_ms = 1000.0 / spec.sampling_frequency_hz;
    let mut currents = Vec::with_capacity(N_PHASES * sources.len() * n_samples);
    for phase in 0..N_PHASES {
        for source in &sources {
            for sample in 0..n_samples {
                let from_trough = sample as f64 - before as f64 - phase_offset(phase);
                let edge_ms =
                    (sample as f64 + 0.5).min(n_samples as f64 - sample as f64 - 0.5) * sample_ms;
                let ramp = (edge_ms / 0.3).min(1.0);
                let taper = ramp * ramp * (3.0 - 2.0 * ramp);
                currents.push(
                    (scale * taper * source.current(from_trough * sample_ms + trough_ms)) as f32,
                );
            }
        }
    }
    let largest_current = (0..sources.len())
        .map(|source| {
            currents[source * n_samples..][..n_samples]
                .iter()
                .fold(0.0f32, |largest, current| current.abs().max(largest))
        })
        .collect();
    Neuron {
        location_um,
        main_channel,
        amplitude_uv,
        samples_before: before,
        offsets_um: sources.iter().map(|source| source.offset_um).collect(),
        softening_um,
        currents,
        largest_current,
        n_samples,
    }
}

impl Neuron {
    /// Contacts that the spike can reach when the tissue moves by up to `largest_displacement_um`.
    pub fn reachable_channels(&self, probe: &Geometry, largest_displacement_um: f64) -> Vec<u32> {
        let reach = FADE_UM.1 + largest_displacement_um;
        let is_reached = |contact: [f64; 2]| {
            self.offsets_um.iter().any(|&offset| {
                let place = add(self.location_um, offset);
                (place[0] - contact[0]).abs() < FADE_UM.1 && (place[1] - contact[1]).abs() < reach
            })
        };
        probe
            .positions_um
            .iter()
            .enumerate()
            .filter(|(_, contact)| is_reached(**contact))
            .map(|(channel, _)| channel as u32)
            .collect()
    }

    /// Adds one spike. `add_to(channel, waveform)` gets the waveform of each contact it reaches, `[samples]` µV.
    ///
    /// `displacement_um` moves the neuron along y; `phase` is below [`N_PHASES`]; contacts where the spike stays under 0.1 µV are left out.
    pub fn render(
        &self,
        probe: &Geometry,
        channels: &[u32],
        displacement_um: f64,
        phase: usize,
        amplitude: f32,
        waveform: &mut Vec<f32>,
        mut add_to: impl FnMut(usize, &[f32]),
    ) {
        let n_sources = self.offsets_um.len();
        let place = add(self.location_um, [0.0, displacement_um, 0.0]);
        let currents =
            &self.currents[phase * n_sources * self.n_samples..][..n_sources * self.n_samples];
        for &channel in channels {
            let contact = probe.positions_um[channel as usize];
            waveform.clear();
            waveform.resize(self.n_samples, 0.0);
            let mut largest = 0.0f32;
            let mut weights = [0.0f32; 8];
            for (source, &offset) in self.offsets_um.iter().enumerate() {
                weights[source] =
                    amplitude * potential(add(place, offset), contact, self.softening_um) as f32;
                largest += weights[source].abs() * self.largest_current[source];
            }
            if largest < 0.1 {
                continue;
            }
            for (source, current) in currents.chunks_exact(self.n_samples).enumerate() {
                for (value, current) in waveform.iter_mut().zip(current) {
                    *value += weights[source] * current;
                }
            }
            add_to(channel as usize, waveform);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry::geometry;
    use super::*;

    fn template(
        neuron: &Neuron,
        probe: &Geometry,
        displacement_um: f64,
        phase: usize,
    ) -> Vec<Vec<f32>> {
        let mut out = vec![vec![0.0; neuron.n_samples]; probe.n_channels()];
        let channels = neuron.reachable_channels(probe, 100.0);
        neuron.render(
            probe,
            &channels,
            displacement_um,
            phase,
            1.0,
            &mut Vec::new(),
            |channel, waveform| out[channel].copy_from_slice(waveform),
        );
        out
    }

    fn lowest(waveform: &[f32]) -> usize {
        (0..waveform.len())
            .min_by(|&a, &b| waveform[a].total_cmp(&waveform[b]))
            .unwrap()
    }

    #[test]
    fn the_trough_of_the_main_channel_is_at_the_spikes_sample_in_every_phase() {
        for (kind, _) in RecordingKind::ALL {
            let spec = RecordingSpec {
                n_units: 60,
                seed: 4,
                ..RecordingSpec::new(kind)
            };
            let probe = geometry(kind, spec.n_channels);
            let (before, _) = waveform_samples(spec.sampling_frequency_hz);
            for (unit, neuron) in make_neurons(&spec, &probe).iter().enumerate() {
                for phase in 0..N_PHASES {
                    let waveforms = template(neuron, &probe, 0.0, phase);
                    let main = (0..probe.n_channels())
                        .min_by(|&a, &b| {
                            waveforms[a][lowest(&waveforms[a])]
                                .total_cmp(&waveforms[b][lowest(&waveforms[b])])
                        })
                        .unwrap();
                    assert_eq!(
                        lowest(&waveforms[neuron.main_channel]),
                        before,
                        "{kind}, unit {unit}, phase {phase}"
                    );
                    let trough = f64::from(-waveforms[main][lowest(&waveforms[main])]);
                    // Sampling between two samples misses at most a few percent of the narrowest trough.
                    assert!(
                        trough > 0.93 * neuron.amplitude_uv && trough < 1.001 * neuron.amplitude_uv,
                        "{kind}, unit {unit}: {trough} {}",
                        neuron.amplitude_uv
                    );
                    assert!((29.9..=400.1).contains(&neuron.amplitude_uv));
                }
            }
        }
    }

    #[test]
    fn a_displacement_by_the_pitch_moves_the_template_to_the_next_contacts() {
        let spec = RecordingSpec {
            n_units: 20,
            n_channels: 32,
            ..RecordingSpec::new(RecordingKind::Linear)
        };
        let probe = geometry(spec.kind, spec.n_channels);
        for neuron in make_neurons(&spec, &probe) {
            let (here, moved) = (
                template(&neuron, &probe, 0.0, 1),
                template(&neuron, &probe, 20.0, 1),
            );
            for channel in 0..31 {
                // Contacts under 0.1 µV are left out, so that two may differ by that much.
                let same = here[channel]
                    .iter()
                    .zip(&moved[channel + 1])
                    .all(|(a, b)| (a - b).abs() < 0.11);
                assert!(same, "channel {channel}");
            }
        }
    }

    #[test]
    fn a_spike_is_much_smaller_100_um_away() {
        let spec = RecordingSpec {
            n_units: 40,
            ..RecordingSpec::default()
        };
        let probe = geometry(spec.kind, 64);
        let mut shares = Vec::new();
        for neuron in make_neurons(&spec, &probe) {
            let waveforms = template(&neuron, &probe, 0.0, 0);
            let peak = |channel: usize| {
                waveforms[channel]
                    .iter()
                    .fold(0.0f32, |largest, value| value.abs().max(largest))
            };
            let far = (0..64)
                .filter(|&channel| {
                    (100.0..140.0).contains(&probe.distance_um(channel, neuron.main_channel))
                })
                .map(peak)
                .fold(0.0f32, f32::max);
            shares.push(f64::from(far) / neuron.amplitude_uv);
        }
        shares.sort_by(f64::total_cmp);
        let median = shares[20];
        assert!((0.01..0.25).contains(&median), "{median}");
    }
}
