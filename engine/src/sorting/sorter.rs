//! The run: stages in order, each with a checkpoint.

use std::{
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use serde::{Deserialize, Serialize};

use super::{
    detection::Detector,
    events::EventSample,
    geometry::{Geometry, padded},
    low_pass::low_passed,
    match_tables::MatchTables,
    memory::limit::{Found, Limit, Sizes},
    motion::{Motion, estimation, interpolation::Correction},
    passes::NotFinite,
    preprocessing::{
        FrontEnd,
        bad_channels::{self, BadChannel},
        survey,
        whitened::Whitened,
        whitening::{self, Whitening},
    },
    result::{FeatureFile, SortingResult},
    shapes::{self, Shapes},
    template_matching::{Matcher, Spike},
    templates::{Taps, Template},
};
use crate::{
    device::Executor,
    error::{EngineError, Result},
    parameters::sorting::SortingParameters,
    pipeline::{checked_file::Checksum, checkpoint::Checkpoints},
    recording::Recording,
    stream::{Block, BlockGrid, Control, Pass, Source},
};

/// Channels with a norm below this, noise deviations, are left out of a template.
pub(super) const CHANNEL_KEEP: f64 = 0.5;

/// Seconds that tell a dead or noisy channel, at most.
const BAD_CHANNEL_S: f64 = 4.0;

/// Where a sort runs and what watches it.
#[derive(Clone, Copy)]
pub struct SortOptions<'a> {
    /// Plays the kernels.
    pub executor: &'a dyn Executor,
    /// Watches and stops the run.
    pub control: &'a Control,
    /// Folder for checkpoints and features.
    pub work: &'a Path,
    /// Blocks that travel together, when not what the executor likes; results do not depend on it.
    pub blocks_together: Option<usize>,
    /// Sets of templates of moved tissue that are held, when not all: the others are made again when they are needed. Results do
    /// not depend on it.
    pub template_sets: Option<usize>,
    /// Keeps whitened data in a temporary file of the work folder, so that they are made once and not in every pass. It takes
    /// [`whitened_bytes`](super::whitened_bytes). Results do not depend on it.
    pub keep_whitened: bool,
    /// Memory that may be taken, bytes. Where more clusters or units are found than [`estimate`](super::memory::estimate) assumes, what follows has
    /// fewer threads and sets of templates, and the sort ends when that is not enough. Results do not depend on it.
    pub memory_bytes: Option<u64>,
}

impl<'a> SortOptions<'a> {
    /// A sort that holds all sets of templates, keeps whitened data, and has no limit on memory.
    pub fn new(executor: &'a dyn Executor, control: &'a Control, work: &'a Path) -> Self {
        Self {
            executor,
            control,
            work,
            blocks_together: None,
            template_sets: None,
            keep_whitened: true,
            memory_bytes: None,
        }
    }
}

/// Longest template, samples.
const MAX_TAPS: usize = 256;
/// Lowest sampling rate at which a spike has a shape.
const MIN_RATE_HZ: f64 = 5000.0;

/// Samples of a template.
pub(super) fn taps(parameters: &SortingParameters, sampling_frequency_hz: f64) -> Taps {
    let samples = |ms: f64| (ms * sampling_frequency_hz / 1000.0).round() as usize;
    let before = samples(parameters.templates.before_ms);
    Taps {
        n: before + samples(parameters.templates.after_ms),
        before,
    }
}

/// What the survey learned.
#[derive(Deserialize, Serialize)]
struct Learned {
    bad: Vec<Option<BadChannel>>,
    noise_uv: Vec<f32>,
    matrix: Vec<f32>,
    /// Mean square of the whitened channels, noise and spikes.
    power: Vec<f32>,
    shapes: Option<Shapes>,
    not_finite: u64,
}

/// What detection found.
#[derive(Deserialize, Serialize)]
pub(super) struct Detected {
    pub(super) events: EventSample,
    pub(super) raster: estimation::Raster,
    pub(super) not_finite: NotFinite,
}

/// What one round of matching leaves for the next.
#[derive(Default, Deserialize, Serialize)]
pub(super) struct Matched {
    pub(super) spikes: Vec<Spike>,
    pub(super) events: EventSample,
}

/// What the last round leaves.
#[derive(Deserialize, Serialize)]
pub(super) struct Finished {
    pub(super) spikes: Vec<Spike>,
    pub(super) positions: Vec<[f32; 2]>,
    /// Of the file of features.
    pub(super) features: Checksum,
}

/// Sorts a recording.
///
/// # Errors
/// When the input cannot be sorted or read, the device fails, the work folder cannot be written, or the run is stopped.
pub fn sort(
    recording: &dyn Recording,
    parameters: &SortingParameters,
    options: SortOptions<'_>,
) -> Result<SortingResult> {
    let info = recording.info();
    if info.contacts.len() != info.n_channels() {
        return Err(EngineError::Input {
            what: format!(
                "the probe has {} contacts for {} channels",
                info.contacts.len(),
                info.n_channels()
            ),
            hint: "give a probe whose contacts name every channel of the recording".into(),
        });
    }
    if info.duration_s() < 0.1 {
        return Err(EngineError::Input {
            what: format!(
                "the recording has {} samples ({:.3} s)",
                info.n_samples,
                info.duration_s()
            ),
            hint: "sorting needs at least 0.1 s".into(),
        });
    }
    let run_taps = taps(parameters, info.sampling_frequency_hz);
    if run_taps.n > MAX_TAPS {
        return Err(EngineError::Input {
            what: format!(
                "templates of {} samples are longer than the {MAX_TAPS} that matching takes",
                run_taps.n
            ),
            hint: format!(
                "at {} Hz set `templates.before_ms` and `templates.after_ms` to {:.1} ms together at most",
                info.sampling_frequency_hz,
                1000.0 * MAX_TAPS as f64 / info.sampling_frequency_hz
            ),
        });
    }
    let rate = info.sampling_frequency_hz;
    if rate < MIN_RATE_HZ || parameters.preprocessing.highpass_hz > 0.4 * rate {
        return Err(EngineError::Input {
            what: format!(
                "spikes cannot be sorted at {rate} Hz with a high-pass at {} Hz",
                parameters.preprocessing.highpass_hz
            ),
            hint: format!("sorting needs {MIN_RATE_HZ} Hz and a cut-off below 0.4 of the rate"),
        });
    }
    let dependencies = [
        info.identity.as_str(),
        &serde_json::to_string(parameters).expect("plain parameters"),
        env!("CARGO_PKG_VERSION"),
        &options.executor.name(),
    ];
    let run = Run {
        recording,
        parameters,
        options,
        grid: BlockGrid::new(info),
        checkpoints: Checkpoints::new(Some(options.work), &dependencies)?
            .checking(|| Ok(recording.check_unchanged()?)),
        fs: info.sampling_frequency_hz,
        peak_capacity: AtomicUsize::new(256 + 24 * info.n_channels()),
        spike_capacity: AtomicUsize::new(256 + 8 * info.n_channels()),
        lanes: AtomicUsize::new(options.executor.lanes()),
        template_sets: AtomicUsize::new(options.template_sets.unwrap_or(usize::MAX).max(1)),
    };
    run.sort()
}

/// What the stages after detection share.
pub(super) struct Stage<'a> {
    pub(super) detector: &'a Detector,
    pub(super) whitened: &'a Whitened<'a>,
    /// Correction of motion, where there was any.
    pub(super) correction: Option<&'a Correction>,
    pub(super) geometry: &'a Geometry,
    /// Mean square of every whitened channel, noise and spikes.
    pub(super) power: &'a [f32],
}

/// Makes the set of a group out of the templates at rest.
type MakeMatcher<'a> = dyn Fn(usize, &MatchTables) -> Result<Matcher> + Sync + 'a;

/// Templates on the device, one set for every group of blocks with a like displacement.
///
/// A set is made when a block first needs it. Where fewer are held than there are, the one that was not used for longest goes.
pub(super) struct Matchers<'a> {
    /// Templates of the tissue at rest.
    pub(super) reference: MatchTables,
    /// Features of each unit's own template at rest, `[unit, feature]`.
    pub(super) unit_features: Vec<f32>,
    /// Values of a feature vector.
    pub(super) feature_length: usize,
    /// Bytes of matching's largest buffer for one block.
    pub(super) bytes_per_block: u64,
    group_of: Vec<usize>,
    /// The set of a group, made from the templates at rest.
    make: Box<MakeMatcher<'a>>,
    most_held: usize,
    /// Groups and their sets, the last used last.
    held: Mutex<Vec<(usize, Arc<Matcher>)>>,
}

impl Matchers<'_> {
    /// The templates of a block.
    ///
    /// # Errors
    /// When the device has no room.
    pub(super) fn of(&self, block: &Block) -> Result<Arc<Matcher>> {
        let group = self.group_of[block.index];
        // Held while a set is made, so that no two threads make the same.
        let mut held = self.held.lock().expect("not poisoned");
        if let Some(at) = held.iter().position(|(of, _)| *of == group) {
            let found = held.remove(at);
            let matcher = found.1.clone();
            held.push(found);
            return Ok(matcher);
        }
        while held.len() >= self.most_held {
            held.remove(0);
        }
        let matcher = Arc::new((self.make)(group, &self.reference)?);
        held.push((group, matcher.clone()));
        Ok(matcher)
    }
}

/// One sort.
pub(super) struct Run<'a> {
    pub(super) recording: &'a dyn Recording,
    pub(super) parameters: &'a SortingParameters,
    pub(super) options: SortOptions<'a>,
    pub(super) grid: BlockGrid,
    pub(super) checkpoints: Checkpoints<'a>,
    pub(super) fs: f64,
    pub(super) peak_capacity: AtomicUsize,
    pub(super) spike_capacity: AtomicUsize,
    /// Threads of a pass.
    lanes: AtomicUsize,
    /// Sets of templates of moved tissue that are held.
    template_sets: AtomicUsize,
}

impl Run<'_> {
    fn sort(&self) -> Result<SortingResult> {
        let control = self.options.control;
        let learned = self.checkpoints.stage(control, "survey", || self.learn())?;
        let info = self.recording.info();
        let channels: Vec<usize> = (0..info.n_channels())
            .filter(|&c| learned.bad[c].is_none())
            .collect();
        let geometry = Geometry {
            contacts: channels.iter().map(|&c| info.contacts[c]).collect(),
        };
        self.report_bad_channels(&learned);
        let mut result = SortingResult::empty(channels, geometry, learned.bad.clone(), self.taps());
        result.noise_uv = learned.noise_uv.clone();
        result.set_whitening(&learned.matrix);
        result.not_finite = learned.not_finite;
        let Some(shapes) = &learned.shapes else {
            control.warn(
                "no spikes were found: too few threshold crossings to learn shapes from".into(),
            );
            return Ok(result);
        };
        let geometry = result.geometry.clone();
        let detector = Detector::new(
            self.options.executor,
            &geometry,
            shapes,
            self.parameters,
            self.fs,
        )?;
        let whitened = Whitened::new(
            self.front_end(&result.channels, &geometry, Some(&learned.matrix))?,
            self.recording,
            self.grid.blocks.len(),
            self.options.keep_whitened.then_some(self.options.work),
        )?;
        let Detected {
            mut events,
            raster,
            not_finite,
        } = self.checkpoints.stage(control, "detection", || {
            self.detect(&detector, &whitened, None, &geometry)
        })?;
        result.not_finite = not_finite.count;
        not_finite.report(control);
        let estimate: Option<Motion> = self.checkpoints.stage(control, "motion", || {
            Ok(if self.parameters.motion.correct {
                estimation::estimate(&raster, &self.parameters.motion)
            } else {
                None
            })
        })?;
        drop(raster);
        result.motion = estimate
            .clone()
            .filter(|motion| estimation::is_worth_correcting(motion, &self.parameters.motion));
        result.motion_estimate = estimate;
        let sigma_um = self.parameters.motion.interpolation_sigma_um;
        let correction = match &result.motion {
            None => None,
            Some(motion) => Some(Correction::new(
                self.options.executor,
                motion.clone(),
                sigma_um,
                self.fs,
                &geometry,
            )?),
        };
        if correction.is_some() {
            events = self.checkpoints.stage(control, "corrected detection", || {
                Ok(self
                    .detect(&detector, &whitened, correction.as_ref(), &geometry)?
                    .events)
            })?;
        }
        let stage = Stage {
            detector: &detector,
            whitened: &whitened,
            correction: correction.as_ref(),
            geometry: &geometry,
            power: &learned.power,
        };
        let mut matched = Matched {
            spikes: Vec::new(),
            events,
        };
        let mut matcher: Option<Matchers<'_>> = None;
        let rounds = self.parameters.matching.rounds;
        for round in 0..rounds {
            let known = matcher.take();
            // Taken, not copied: they are the largest of what is held.
            let learned_from = std::mem::take(&mut matched);
            // A stage of its own: the features go before the waveforms come.
            let clustered =
                self.checkpoints
                    .stage(control, &format!("clustering {}", round + 1), || {
                        Ok(self.cluster(known.as_ref(), learned_from))
                    })?;
            self.keep_within_memory(
                Found::Clusters {
                    n_labels: clustered.n_labels,
                    n_events: clustered.events.len(),
                    n_spikes: clustered.spikes.len(),
                    known: known
                        .as_ref()
                        .map_or(Sizes::default(), |known| Sizes::of(&known.reference)),
                },
                stage.correction.is_some(),
            )?;
            let templates =
                self.checkpoints
                    .stage(control, &format!("templates {}", round + 1), || {
                        self.learn_templates(&stage, known.as_ref(), clustered)
                    })?;
            drop(known);
            if templates.is_empty() {
                control.warn(
                    "no units were found: no cluster of spikes stands above the noise".into(),
                );
                return Ok(result);
            }
            if round + 1 < rounds {
                // What the first round leaves has the cells that clustering missed. To look again costs a third of the pass and does
                // not raise the scores (docs/internals/decisions/017-whitened-data-are-kept.md).
                let next = self.matchers(templates, shapes, &detector.feature_table, &stage)?;
                matched =
                    self.checkpoints
                        .stage(control, &format!("matching {}", round + 1), || {
                            self.match_round(&next, &stage, round == 0)
                        })?;
                matcher = Some(next);
            } else {
                let length = detector.feature_neighbours.min(geometry.n_channels());
                let (table, n_neighbours) = padded(&geometry.nearest(length), |c| c as u32);
                let last = self.matchers(templates, shapes, &table, &stage)?;
                let path = feature_path(self.options.work, self.checkpoints.key());
                // The spikes are only of use with their features.
                let whole = |finished: &Finished| finished.features.fits(&path);
                let finished =
                    self.checkpoints
                        .stage_if(control, "last matching", whole, || {
                            self.match_last(&last, &stage, &table, &path, shapes.n_components())
                        })?;
                result.features = Some(FeatureFile {
                    path,
                    n_neighbours,
                    n_components: shapes.n_components(),
                });
                control.stage("curation", || {
                    self.finish(&mut result, &last.reference, finished, &table, &stage);
                    Ok(((), false))
                })?;
                // The tables have done their work.
                drop(last);
                control.stage("waveforms", || {
                    Ok((self.measure_deviations(&mut result)?, false))
                })?;
            }
        }
        Ok(result)
    }

    pub(super) fn taps(&self) -> Taps {
        taps(self.parameters, self.fs)
    }

    pub(super) fn n_samples(&self) -> u64 {
        self.recording.info().n_samples
    }

    fn report_bad_channels(&self, learned: &Learned) {
        for (kind, name) in [(BadChannel::Dead, "dead"), (BadChannel::Noisy, "noisy")] {
            let found: Vec<String> = (0..learned.bad.len())
                .filter(|&c| learned.bad[c] == Some(kind))
                .map(|c| c.to_string())
                .collect();
            if !found.is_empty() {
                self.options
                    .control
                    .warn(format!("{name} channels left out: {}", found.join(", ")));
            }
        }
    }

    /// The front end of these channels, up to the reference where there is no whitening matrix.
    pub(super) fn front_end(
        &self,
        channels: &[usize],
        geometry: &Geometry,
        matrix: Option<&[f32]>,
    ) -> Result<FrontEnd> {
        let info = self.recording.info();
        let offset: Vec<f32> = channels.iter().map(|&c| -info.offsets_uv[c]).collect();
        let whitening = matrix.map(|matrix| Whitening::new(matrix, geometry.n_channels()));
        let preprocessing = &self.parameters.preprocessing;
        FrontEnd::new(
            self.options.executor,
            info,
            preprocessing,
            channels,
            &offset,
            geometry,
            whitening,
        )
    }

    /// Bad channels, noise, whitening and shapes from a sample of the recording.
    fn learn(&self) -> Result<Learned> {
        let info = self.recording.info();
        let parameters = self.parameters;
        let (executor, control) = (self.options.executor, self.options.control);
        let all: Vec<usize> = (0..info.n_channels()).collect();
        let survey_of = |channels: &[usize], seconds: f64, reference: bool| {
            let geometry = Geometry {
                contacts: channels.iter().map(|&c| info.contacts[c]).collect(),
            };
            let mut preprocessing = parameters.preprocessing.clone();
            preprocessing.common_reference &= reference;
            let offset: Vec<f32> = channels.iter().map(|&c| -info.offsets_uv[c]).collect();
            let front_end = FrontEnd::new(
                executor,
                info,
                &preprocessing,
                channels,
                &offset,
                &geometry,
                None,
            )?;
            let (blocks, piece) = survey::choose(&self.grid, seconds, self.fs, channels.len());
            let survey = survey::take(
                executor,
                self.recording,
                control,
                &front_end,
                &blocks,
                piece,
            )?;
            Ok::<_, EngineError>((survey, geometry))
        };
        let bad = if parameters.preprocessing.bad_channels {
            let seconds = parameters.preprocessing.survey_s.min(BAD_CHANNEL_S);
            bad_channels::detect(
                &survey_of(&all, seconds, false)?.0,
                &parameters.preprocessing,
            )
        } else {
            vec![None; all.len()]
        };
        let channels: Vec<usize> = all.iter().copied().filter(|&c| bad[c].is_none()).collect();
        if channels.is_empty() {
            return Ok(Learned {
                bad,
                noise_uv: Vec::new(),
                matrix: Vec::new(),
                power: Vec::new(),
                shapes: None,
                not_finite: 0,
            });
        }
        let seconds = survey::seconds(parameters.preprocessing.survey_s, channels.len());
        let (mut survey, geometry) = survey_of(&channels, seconds, true)?;
        let noise_uv = survey.deviations();
        let mut matrix = whitening::estimate(
            &mut survey,
            &noise_uv,
            &geometry,
            parameters.preprocessing.whitening_radius_um,
        );
        let shapes = shapes::learn(&survey, &parameters.detection, self.fs);
        let power = match &shapes {
            None => Vec::new(),
            Some(Shapes {
                prototypes,
                n_taps,
                before,
                ..
            }) => {
                whitening::scale_to_spike_band(&survey, &mut matrix, prototypes, *n_taps, *before)
            }
        };
        Ok(Learned {
            bad,
            noise_uv,
            matrix,
            power,
            shapes,
            not_finite: survey.not_finite,
        })
    }

    /// Looks whether what follows on what was found keeps within the memory that is allowed, and takes fewer threads or holds fewer
    /// sets of templates where it would not.
    fn keep_within_memory(&self, found: Found, moves: bool) -> Result<()> {
        let Some(bytes) = self.options.memory_bytes else {
            return Ok(());
        };
        let limit = Limit {
            info: self.recording.info(),
            parameters: self.parameters,
            bytes,
            threads: self.options.executor.lanes(),
            keep_whitened: self.options.keep_whitened,
            moves,
        };
        let (lanes, sets) = limit.share(found)?;
        if lanes < self.lanes.swap(lanes, Ordering::Relaxed) {
            self.options.control.warn(format!(
                "{found} are more than was assumed: to keep within the memory that is allowed, passes over the recording go on with fewer threads ({lanes})"
            ));
        }
        self.template_sets.store(
            sets.min(self.options.template_sets.unwrap_or(usize::MAX)),
            Ordering::Relaxed,
        );
        Ok(())
    }

    pub(super) fn pass<'p, S: Source + ?Sized>(
        &'p self,
        source: &'p S,
        bytes_per_block: u64,
    ) -> Pass<'p, S> {
        let executor = self.options.executor;
        Pass {
            source,
            control: self.options.control,
            lanes: self.lanes.load(Ordering::Relaxed),
            blocks_together: self
                .options
                .blocks_together
                .unwrap_or_else(|| executor.blocks_together(bytes_per_block)),
        }
    }

    /// Templates on the device: one set, or one for every displacement.
    fn matchers<'b>(
        &'b self,
        templates: Vec<Template>,
        shapes: &'b Shapes,
        feature_table: &'b [u32],
        stage: &'b Stage<'_>,
    ) -> Result<Matchers<'b>> {
        let taps = self.taps();
        let rank = self.parameters.templates.rank as usize;
        // Once for all sets: to move a template mixes channels, not times.
        let templates = low_passed(templates, taps);
        let reference = MatchTables::new(&templates, rank, CHANNEL_KEEP, taps);
        self.keep_within_memory(
            Found::Templates(Sizes::of(&reference)),
            stage.correction.is_some(),
        )?;
        let (group_of, groups) = match stage.correction {
            None => (vec![0; self.grid.blocks.len()], vec![Vec::new()]),
            Some(correction) => correction.groups(&self.grid.blocks),
        };
        let movable = match stage.correction {
            None => Vec::new(),
            Some(_) => reference.movable(&templates),
        };
        drop(templates);
        let make = move |group: usize, reference: &MatchTables| {
            let tables = match stage.correction {
                None => reference.clone(),
                Some(correction) => {
                    let moved = correction.moved(&movable, rank, &groups[group]);
                    let mut tables = MatchTables::of_moved(&moved, rank, CHANNEL_KEEP, taps);
                    // Features and reports are about the unit where it is at rest.
                    tables.main_channel.clone_from(&reference.main_channel);
                    tables
                }
            };
            Matcher::new(
                self.options.executor,
                tables,
                reference,
                shapes,
                feature_table,
                self.parameters,
                self.fs,
                stage.geometry.n_channels(),
            )
        };
        let mut matchers = Matchers {
            reference,
            unit_features: Vec::new(),
            feature_length: 0,
            bytes_per_block: 0,
            group_of,
            make: Box::new(make),
            most_held: self.template_sets.load(Ordering::Relaxed).max(1),
            held: Mutex::default(),
        };
        let first = matchers.of(&self.grid.blocks[0])?;
        matchers.unit_features.clone_from(&first.unit_features);
        matchers.feature_length = first.feature_length();
        matchers.bytes_per_block = first.bytes_per_block();
        // Where nothing moves the one set has been made of them.
        matchers.reference.free_factors();
        Ok(matchers)
    }
}

fn feature_path(work: &Path, key: &str) -> std::path::PathBuf {
    work.join(format!("features-{key}.f32"))
}
