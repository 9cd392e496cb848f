//! The run: stages in order, plane by plane, each with a checkpoint.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{
    binned_movie::BinnedMovie,
    classification,
    deconvolution::{self, Spikes},
    demixing::{
        background,
        footprints::{Plane, refine},
    },
    detection::{
        activity, still_cells,
        summary::{Standardiser, Summary, summarise},
    },
    extraction::{FrameSink, extract},
    frames::FrameGrid,
    proposals,
    registration::{Reference, RegisteredPlane, reference_image, register, register::PassOptions},
    rois::Roi,
    second_channel::{SecondChannel, follow},
    segmentation::{Network, network::InputKind, segment},
    trace_file::TraceFile,
};
use crate::{
    device::Executor,
    error::{EngineError, Result},
    linalg,
    movie::{Movie, MovieInfo},
    parameters::imaging::ImagingParameters,
    pipeline::checkpoint::Checkpoints,
    stream::Control,
};

/// Frames that a movie has at least: fewer are images.
const MIN_FRAMES: usize = 2;
/// Bins that are wanted even of a short movie.
const MIN_BINS: usize = 50;
/// A pixel is used when this part of the good frames measured it.
const MIN_MEASURED: f32 = 0.3;
/// Bad frames above this part of the movie are worth a warning.
const MANY_BAD: f64 = 0.05;

/// Takes registered frames of a plane in order: plane, then frames `[frame, y, x]`.
pub type MovieSink<'a> = dyn FnMut(usize, &[f32]) -> Result<()> + 'a;

/// Where a run goes and what watches it.
#[derive(Clone, Copy)]
pub struct ImageOptions<'a> {
    /// Plays the kernels.
    pub executor: &'a dyn Executor,
    /// Watches and stops the run.
    pub control: &'a Control,
    /// Folder for checkpoints, binned movies and traces.
    pub work: &'a Path,
    /// Blocks that travel together, when not what the executor likes; results do not depend on it.
    pub blocks_together: Option<usize>,
    /// The network that sees cells.
    pub network: &'a Network,
    /// Identifies its weights.
    pub network_identity: &'a str,
    /// Decay of the indicator, s, where the user knows it.
    pub decay_s: Option<f64>,
    /// Channel in which cells fire; another one is only moved along.
    pub functional_channel: usize,
}

/// What came of a plane.
#[derive(Clone, Debug)]
pub struct PlaneResult {
    /// What frames were registered to.
    pub reference: Reference,
    /// Motion, mean, variance, noise.
    pub registered: RegisteredPlane,
    /// Pixels that were measured often enough, `[y, x]`.
    pub measured: Vec<bool>,
    /// Summary images.
    pub summary: Summary,
    /// Cells.
    pub rois: Vec<Roi>,
    /// Probability of being a cell, one a cell.
    pub cell_probability: Vec<f32>,
    /// Value of a pixel without light.
    pub offset: f32,
    /// Demixed, raw and neuropil traces.
    pub extracted: TraceFile,
    /// ΔF/F, denoised traces, spikes, baselines.
    pub spikes: Spikes,
    /// The other channel, where there is one.
    pub second: Option<SecondChannel>,
}

/// What came of a movie.
#[derive(Clone, Debug)]
pub struct ImagingResult {
    /// One a plane.
    pub planes: Vec<PlaneResult>,
    /// Frames of a bin.
    pub bin_frames: usize,
}

/// What registration leaves in the work folder.
#[derive(Deserialize, Serialize)]
struct Registered {
    reference: Reference,
    plane: RegisteredPlane,
}

/// What detection leaves.
#[derive(Deserialize, Serialize)]
struct Found {
    summary: Summary,
    rois: Vec<Roi>,
    offset: f32,
}

/// Finds cells in a movie and extracts their traces and spikes.
///
/// # Errors
/// When the movie cannot be processed or read, the device fails, the work folder cannot be written, or the run is stopped.
pub fn image(
    movie: &dyn Movie,
    parameters: &ImagingParameters,
    options: ImageOptions<'_>,
    mut sink: Option<&mut MovieSink<'_>>,
) -> Result<ImagingResult> {
    let info = movie.info();
    check_movie(info, options.functional_channel)?;
    check_network(options.network)?;
    let dependencies = [
        info.identity.as_str(),
        &format!("{:?} {:?}", info.frame_rate_hz, options.decay_s),
        &format!(
            "{} {} {}",
            info.n_planes, info.n_channels, options.functional_channel
        ),
        &serde_json::to_string(parameters).expect("plain parameters"),
        env!("CARGO_PKG_VERSION"),
        options.network_identity,
        &options.executor.name(),
    ];
    let bin_frames = bin_frames(info, parameters, options.decay_s);
    let run = Run {
        movie,
        parameters,
        options,
        grid: FrameGrid::new(info.n_frames, info.n_pixels(), bin_frames),
        checkpoints: Checkpoints::new(Some(options.work), &dependencies)?
            .checking(|| Ok(movie.check_unchanged()?)),
    };
    let mut planes = Vec::new();
    for plane in 0..info.n_planes {
        planes.push(match &mut sink {
            None => run.plane(plane, None)?,
            Some(sink) => run.plane(plane, Some(&mut |frames: &[f32]| sink(plane, frames)))?,
        });
    }
    Ok(ImagingResult { planes, bin_frames })
}

fn wrong<T>(what: String, hint: &str) -> Result<T> {
    Err(EngineError::Input {
        what,
        hint: hint.into(),
    })
}

/// Whether a movie can be processed, as far as its description tells; `functional_channel` is that in which cells fire, from 0.
///
/// # Errors
/// When it is too short or small, its frame rate makes no sense, or it lacks the channel.
pub fn check_movie(info: &MovieInfo, functional_channel: usize) -> Result<()> {
    if info.n_frames < MIN_FRAMES {
        return wrong(
            format!(
                "the movie has {} frame of each plane and channel",
                info.n_frames
            ),
            "give a movie, or use `somata segment` for still images",
        );
    }
    if info.height < 8 || info.width < 8 {
        return wrong(
            format!(
                "frames of {} × {} pixels are too small for cells",
                info.height, info.width
            ),
            "frames need at least 8 × 8 pixels",
        );
    }
    if !(info.frame_rate_hz.is_finite() && info.frame_rate_hz > 0.0) {
        return wrong(
            format!("the frame rate is {} Hz", info.frame_rate_hz),
            "give it with `--frame-rate`",
        );
    }
    if functional_channel >= info.n_channels {
        return wrong(
            format!(
                "channel {} was asked for, the movie has {}",
                functional_channel + 1,
                info.n_channels
            ),
            "give another `--functional-channel`; `--n-channels` says how many channels the pages hold",
        );
    }
    Ok(())
}

/// Whether a network can see a movie's summary images.
fn check_network(network: &Network) -> Result<()> {
    if network.input != InputKind::Summary {
        return wrong(
            format!(
                "the weights in `{}` are for still images in Cellpose's form, not for movies",
                network.source
            ),
            "leave `--weights` out, or give weights with the input `summary`",
        );
    }
    Ok(())
}

/// Frames of a bin: a part of the indicator's decay, more in long movies, fewer in short ones.
pub(super) fn bin_frames(
    info: &MovieInfo,
    parameters: &ImagingParameters,
    decay_s: Option<f64>,
) -> usize {
    let decay = decay_s.unwrap_or(parameters.deconvolution.default_decay_s);
    let wanted = (parameters.binning.decays * decay * info.frame_rate_hz).floor() as usize;
    let least = info.n_frames.div_ceil(parameters.binning.max_bins as usize);
    let most = (info.n_frames / MIN_BINS).max(1);
    wanted.clamp(1, most).max(least)
}

/// One run.
struct Run<'a> {
    movie: &'a dyn Movie,
    parameters: &'a ImagingParameters,
    options: ImageOptions<'a>,
    grid: FrameGrid,
    checkpoints: Checkpoints<'a>,
}

impl Run<'_> {
    fn pass(&self) -> PassOptions<'_> {
        PassOptions {
            executor: self.options.executor,
            control: self.options.control,
            blocks_together: self.options.blocks_together,
        }
    }

    /// Name of a stage: of which plane, where there are several.
    fn name(&self, stage: &str, plane: usize) -> String {
        if self.movie.info().n_planes == 1 {
            stage.into()
        } else {
            format!("{stage}, plane {}", plane + 1)
        }
    }

    fn file(&self, stage: &str, plane: usize) -> std::path::PathBuf {
        let name = format!("{stage}-{plane}-{}.data", self.checkpoints.key());
        self.options.work.join(name)
    }

    fn plane(&self, plane: usize, sink: Option<FrameSink<'_>>) -> Result<PlaneResult> {
        let control = self.options.control;
        let at = [plane, self.options.functional_channel];
        let name = self.name("registration", plane);
        let Registered {
            reference,
            plane: registered,
        } = self.checkpoints.stage_if(
            control,
            &name,
            |stored: &Registered| stored.plane.bins.is_whole(),
            || self.register(at, &name),
        )?;
        let measured: Vec<bool> = registered
            .measured
            .iter()
            .map(|part| *part >= MIN_MEASURED)
            .collect();
        registered.not_finite.report(&self.of_plane(plane), control);
        self.warn_of_motion(&registered, plane);
        let name = self.name("cells", plane);
        let Found {
            summary,
            rois,
            offset,
        } = self
            .checkpoints
            .stage(control, &name, || self.find(&registered, &measured))?;
        if rois.is_empty() {
            control.warn(format!("{}no cells were found", self.of_plane(plane)));
        }
        let name = self.name("traces", plane);
        let path = self.file("traces", plane);
        let keep = sink.is_some();
        let traces = self.checkpoints.stage_if(
            control,
            &name,
            // A movie that is to be kept is only there when this pass is made.
            |stored: &TraceFile| !keep && stored.is_whole(),
            || {
                let found = extract(
                    self.movie,
                    at,
                    &rois,
                    &reference,
                    &registered,
                    &measured,
                    &self.grid,
                    &self.parameters.registration,
                    &path,
                    &name,
                    self.pass(),
                    sink,
                )?;
                Ok(found.traces)
            },
        )?;
        let name = self.name("spikes", plane);
        let path = self.file("spikes", plane);
        let spikes = self.checkpoints.stage_if(
            control,
            &name,
            |stored: &Spikes| stored.traces.is_whole(),
            || {
                deconvolution::deconvolve(
                    &traces,
                    rois.len(),
                    &registered.bad_frames,
                    self.movie.info().frame_rate_hz,
                    self.options.decay_s,
                    offset,
                    &self.parameters.deconvolution,
                    &path,
                    &name,
                    self.options.executor,
                    control,
                )
            },
        )?;
        let second = self.second_channel(plane, &rois, &reference, &registered, &measured)?;
        let info = self.movie.info();
        let cell_probability =
            classification::probabilities(&rois, &spikes.statistics, [info.height, info.width]);
        Ok(PlaneResult {
            reference,
            registered,
            measured,
            summary,
            rois,
            cell_probability,
            offset,
            extracted: traces,
            spikes,
            second,
        })
    }

    fn of_plane(&self, plane: usize) -> String {
        if self.movie.info().n_planes == 1 {
            String::new()
        } else {
            format!("plane {}: ", plane + 1)
        }
    }

    fn register(&self, at: [usize; 2], stage: &str) -> Result<Registered> {
        let parameters = &self.parameters.registration;
        let (executor, control) = (self.options.executor, self.options.control);
        let reference = reference_image::make(self.movie, at, parameters, executor, control)?;
        executor.rest();
        let path = self.file("bins", at[0]);
        let plane = register(
            self.movie,
            at,
            &reference,
            &self.grid,
            parameters,
            &path,
            stage,
            self.pass(),
        )?;
        Ok(Registered { reference, plane })
    }

    fn warn_of_motion(&self, registered: &RegisteredPlane, plane: usize) {
        let n = registered.bad_frames.len();
        let bad = registered.bad_frames.iter().filter(|bad| **bad).count();
        if bad as f64 > MANY_BAD * n as f64 {
            self.options.control.warn(format!(
                "{}{bad} of {n} frames fit the reference badly and are left out of the images",
                self.of_plane(plane)
            ));
        }
        let info = self.movie.info();
        let limit = self.parameters.registration.max_shift * info.height.min(info.width) as f64;
        let far = registered
            .shifts
            .iter()
            .filter(|shift| shift.iter().any(|s| f64::from(s.abs()) > 0.97 * limit))
            .count();
        if self.parameters.registration.correct && far > 0 {
            self.options.control.warn(format!(
                "{}{far} frames lie at the largest shift that is looked for ({limit:.0} px); a larger `registration.max_shift` may help",
                self.of_plane(plane)
            ));
        }
    }

    /// Summary images, cells by the network and by activity, footprints.
    fn find(&self, registered: &RegisteredPlane, measured: &[bool]) -> Result<Found> {
        let (executor, control) = (self.options.executor, self.options.control);
        let parameters = self.parameters;
        let bins: &BinnedMovie = &registered.bins;
        let size = [bins.height, bins.width];
        let plane = Plane {
            bins,
            mean: &registered.mean,
            noise: &registered.noise,
            measured,
            measured_part: &registered.measured,
        };
        let standardiser = Standardiser::new(bins, &registered.noise, measured, executor)?;
        let summary = summarise(
            bins,
            &standardiser,
            &registered.mean,
            measured,
            executor,
            control,
        )?;
        executor.rest();
        let scale = if parameters.segmentation.diameter_px > 0.0 {
            parameters.segmentation.diameter_px / self.options.network.diameter_px
        } else {
            1.0
        };
        let (prediction, labels) = segment(
            self.options.network,
            &summary.input(),
            size,
            scale,
            &parameters.segmentation,
            executor,
            control,
        )?;
        // The network's buffers fit nothing that follows, and would stay beside it.
        executor.rest();
        let probabilities = proposals::probabilities(&prediction);
        let mut rois = proposals::from_labels(&labels, &probabilities, &parameters.segmentation);
        let mut areas: Vec<f32> = rois.iter().map(|roi| roi.body.len() as f32).collect();
        let radius = 0.5 * self.options.network.diameter_px * scale;
        let typical_area = match f64::from(linalg::median(&mut areas)) {
            area if area > 0.0 => area,
            _ => std::f64::consts::PI * radius * radius,
        };
        if parameters.activity.find {
            let found = activity::find(
                bins,
                &summary,
                &probabilities,
                &standardiser,
                &rois,
                typical_area,
                &parameters.activity,
                executor,
                control,
            )?;
            rois.extend(found);
            executor.rest();
        }
        let seen = still_cells::Seen {
            plane: &plane,
            largest: &summary.largest,
            typical_area,
        };
        still_cells::find(
            &seen,
            &mut rois,
            self.options.network,
            scale,
            &parameters.still_cells,
            &parameters.segmentation,
            executor,
            control,
        )?;
        executor.rest();
        let silent = refine(&plane, &mut rois, &parameters.footprints, executor, control)?;
        executor.rest();
        still_cells::outline(
            &plane,
            &mut rois,
            &silent,
            &parameters.still_cells,
            parameters.footprints.min_agreement,
            executor,
            control,
        )?;
        executor.rest();
        // From top to bottom, so that neighbours in the list are neighbours in the image.
        rois.sort_by_key(|roi| roi.body[roi.body.len() / 2]);
        let offset = background::offset(&registered.mean, &registered.noise, measured);
        Ok(Found {
            summary,
            rois,
            offset,
        })
    }

    /// The channel that is not functional, moved along: its mean and its traces.
    fn second_channel(
        &self,
        plane: usize,
        rois: &[Roi],
        reference: &Reference,
        registered: &RegisteredPlane,
        measured: &[bool],
    ) -> Result<Option<SecondChannel>> {
        let info = self.movie.info();
        let Some(channel) = (0..info.n_channels).find(|c| *c != self.options.functional_channel)
        else {
            return Ok(None);
        };
        let name = self.name("second channel", plane);
        let path = self.file("second", plane);
        let second = self.checkpoints.stage_if(
            self.options.control,
            &name,
            |stored: &SecondChannel| stored.extracted.is_whole(),
            || {
                follow(
                    self.movie,
                    [plane, channel],
                    rois,
                    reference,
                    registered,
                    measured,
                    &self.grid,
                    &self.parameters.registration,
                    &path,
                    &name,
                    self.pass(),
                )
            },
        )?;
        let of = format!("{}second channel: ", self.of_plane(plane));
        second.not_finite.report(&of, self.options.control);
        Ok(Some(second))
    }
}
