//! ScanImage's description of an acquisition, from version 3.8 on.
//!
//! | version | where the text is | keys |
//! |---|---|---|
//! | 3.x | ImageDescription of each page | `state.acq.*` |
//! | 4.x | ImageDescription of each page | `scanimage.SI4.*` |
//! | 5.0 | ImageDescription | `scanimage.SI5.*` |
//! | 5.1 to 2016a | ImageDescription | `SI.*` |
//! | from 2016b | Software, and a header of its own before the first directory of a BigTIFF | `SI.*` |
//!
//! Channels are fastest, then the frames of a slice, then slices, then volumes. A fast stack ends each volume with frames of
//! the flyback, which are in the file. Sources: ScanImage's documentation (its BigTIFF specification among it), and what
//! other readers under permissive licences document about files as they are:
//! - `numSlices` stays at its last value when no stack is taken, so `hStackManager.enable` or `hFastZ.enable` decides;
//! - `numFramesPerVolumeWithFlyback` is the count to trust; `discardFlybackFrames` may be set while the frames are written;
//! - up to 2019, `hFastZ.numFramesPerVolume` counts flyback frames too.

use std::collections::HashMap;

use super::metadata::{Metadata, PageFacts, Texts, count, positive, small_count};
use super::order::FrameOrder;

/// The keys and values of a text.
struct Keys<'a>(HashMap<&'a str, &'a str>);

impl<'a> Keys<'a> {
    /// Lines of `key = value`; of a key that comes twice, the first holds.
    fn of(text: &'a str) -> Keys<'a> {
        let mut keys = HashMap::new();
        for line in text.split(['\n', '\r']) {
            if let Some((key, value)) = line.split_once('=') {
                let key = key.trim();
                let key = key.strip_prefix("scanimage.").unwrap_or(key);
                keys.entry(key).or_insert(value.trim());
            }
        }
        Keys(keys)
    }

    /// The numbers of a MATLAB value: a scalar, or a matrix as `[1 2;3 4]`; empty when absent or no numbers.
    fn numbers(&self, key: &str) -> Vec<f64> {
        let Some(value) = self.0.get(key) else {
            return Vec::new();
        };
        value
            .split(['[', ']', '{', '}', ';', ',', ' '])
            .filter(|number| !number.is_empty())
            .map_while(|number| match number {
                "true" => Some(1.0),
                "false" => Some(0.0),
                _ => number.parse().ok(),
            })
            .collect()
    }

    /// The first of these keys that holds a number.
    fn number(&self, keys: &[&str]) -> Option<f64> {
        keys.iter()
            .find_map(|key| self.numbers(key).first().copied())
    }

    /// Whether a key is there, and true.
    fn flag(&self, key: &str) -> Option<bool> {
        self.number(&[key]).map(|number| number != 0.0)
    }

    /// Whether any key begins with `start`.
    fn any(&self, start: &str) -> bool {
        self.0.keys().any(|key| key.starts_with(start))
    }
}

/// A stack as it was taken.
#[derive(Debug, PartialEq)]
struct Stack {
    n_slices: f64,
    frames_per_slice: f64,
    /// Frames of the flyback after each volume, and volumes that were planned.
    n_flyback: f64,
    n_volumes: Option<f64>,
    frame_rate_hz: Option<f64>,
    volume_rate_hz: Option<f64>,
    /// Frames that were averaged into each that was saved.
    n_averaged: f64,
    n_channels: usize,
}

/// What a ScanImage text says; `None` when nothing here is ScanImage's.
pub(crate) fn read(texts: &Texts, facts: PageFacts) -> Option<Metadata> {
    for text in [&texts.software, &texts.scanimage_header, &texts.description] {
        if !(text.contains("SI") || text.contains("state.")) {
            continue;
        }
        let keys = Keys::of(text);
        let stack = if keys.any("SI.h") {
            modern(&keys)
        } else if keys.any("SI5.") {
            version_4(&keys, "SI5")
        } else if keys.any("SI4.") {
            version_4(&keys, "SI4")
        } else if keys.any("state.acq.") {
            version_3(&keys)
        } else {
            continue;
        };
        return Some(describe(&keys, &stack, facts));
    }
    None
}

/// Versions from 5.1 on.
fn modern(keys: &Keys) -> Stack {
    let number = |names: &[&str]| keys.number(names);
    let fast = keys.flag("SI.hFastZ.enable").unwrap_or(false);
    // `hStackManager.enable` came in 2020; before, more than one slice meant a stack.
    let enabled = keys
        .flag("SI.hStackManager.enable")
        .map(|enabled| enabled || fast);
    let n_slices = number(&[
        "SI.hStackManager.actualNumSlices",
        "SI.hStackManager.numSlices",
        "SI.hStackManager.slicesPerAcq",
    ])
    .unwrap_or(1.0);
    let is_stack = enabled.unwrap_or(n_slices > 1.0 || fast);
    let n_slices = if is_stack { n_slices } else { 1.0 };
    let n_averaged = number(&["SI.hScan2D.logAverageFactor"])
        .filter(|&n| n >= 1.0)
        .unwrap_or(1.0);
    let frames_per_slice = if is_stack {
        number(&["SI.hStackManager.framesPerSlice"]).unwrap_or(1.0)
    } else {
        1.0
    };
    let with_flyback = number(&["SI.hStackManager.numFramesPerVolumeWithFlyback"]);
    let n_flyback = if !is_stack {
        0.0
    } else if let Some(with_flyback) = with_flyback {
        with_flyback - n_slices * frames_per_slice
    } else if fast {
        number(&["SI.hFastZ.numDiscardFlybackFrames"]).unwrap_or(0.0)
    } else {
        0.0
    };
    let n_channels = keys.numbers("SI.hChannels.channelSave").len().max(1);
    Stack {
        n_slices,
        // A slice that runs until it is stopped has no fixed count; it is then the only one.
        frames_per_slice: if n_slices > 1.0 {
            (frames_per_slice / n_averaged).max(1.0)
        } else {
            1.0
        },
        n_flyback: n_flyback.max(0.0),
        n_volumes: number(&[
            "SI.hStackManager.actualNumVolumes",
            "SI.hStackManager.numVolumes",
            "SI.hFastZ.numVolumes",
        ]),
        frame_rate_hz: number(&["SI.hRoiManager.scanFrameRate"]),
        volume_rate_hz: number(&["SI.hRoiManager.scanVolumeRate"]),
        n_averaged,
        n_channels,
    }
}

/// Versions 4 and 5.0, whose keys differ from each other in the prefix.
fn version_4(keys: &Keys, prefix: &str) -> Stack {
    let number = |name: &str| keys.number(&[&format!("{prefix}.{name}")]);
    let fast = number("fastZEnable").is_some_and(|enabled| enabled != 0.0);
    let n_slices = number("stackNumSlices").unwrap_or(1.0);
    let n_averaged = number("acqNumAveragedFrames")
        .filter(|&n| n >= 1.0)
        .unwrap_or(1.0);
    let frames_per_slice = if fast {
        1.0
    } else {
        number("acqNumFrames").unwrap_or(1.0)
    };
    let n_channels = keys.numbers(&format!("{prefix}.channelsSave")).len().max(1);
    Stack {
        n_slices,
        frames_per_slice: if n_slices > 1.0 {
            (frames_per_slice / n_averaged).max(1.0)
        } else {
            1.0
        },
        n_flyback: if fast && n_slices > 1.0 {
            number("fastZNumDiscardFrames").unwrap_or(0.0).max(0.0)
        } else {
            0.0
        },
        n_volumes: number("fastZNumVolumes"),
        frame_rate_hz: number("scanFrameRate"),
        volume_rate_hz: None,
        n_averaged,
        n_channels,
    }
}

/// Version 3.
fn version_3(keys: &Keys) -> Stack {
    let number = |name: &str| keys.number(&[name]);
    let n_slices = number("state.acq.numberOfZSlices").unwrap_or(1.0);
    let averages = number("state.acq.averaging").is_some_and(|on| on != 0.0);
    let n_frames = number("state.acq.numberOfFrames").unwrap_or(1.0).max(1.0);
    let n_averaged = if averages {
        number("state.acq.numAvgFramesSave")
            .unwrap_or(n_frames)
            .max(1.0)
    } else {
        1.0
    };
    let saved = (1..=4)
        .filter(|channel| number(&format!("state.acq.savingChannel{channel}")) == Some(1.0))
        .count();
    Stack {
        n_slices,
        frames_per_slice: if n_slices > 1.0 {
            (n_frames / n_averaged).max(1.0)
        } else {
            1.0
        },
        n_flyback: 0.0,
        n_volumes: None,
        frame_rate_hz: number("state.acq.frameRate"),
        volume_rate_hz: None,
        n_averaged,
        n_channels: number("state.acq.numberOfChannelsSave")
            .and_then(small_count)
            .unwrap_or(saved.max(1)),
    }
}

/// Order, rate and pixel size of a stack.
fn describe(keys: &Keys, stack: &Stack, facts: PageFacts) -> Metadata {
    let mut metadata = Metadata::plain("ScanImage TIFF");
    let n_channels = small_count(stack.n_channels as f64).unwrap_or(1);
    let counts = (
        small_count(stack.n_slices),
        count(stack.frames_per_slice),
        count(stack.n_flyback + 1.0).map(|n| n - 1),
    );
    let (n_planes, frames_per_slice, mut n_flyback) = match counts {
        (Some(n_planes), Some(frames_per_slice), Some(n_flyback)) => {
            (n_planes, frames_per_slice, n_flyback)
        }
        _ => {
            metadata.warnings.push(format!(
                "ScanImage's header says {} slices of {} frames and {} frames of flyback, which makes no sense: one plane is \
                 assumed; give `--n-planes`",
                stack.n_slices, stack.frames_per_slice, stack.n_flyback
            ));
            (1, 1, 0)
        }
    };
    let channels = n_channels as u64;
    let slice_pages = (n_planes as u64 * channels).saturating_mul(frames_per_slice);
    let volume_frames = (n_planes as u64)
        .saturating_mul(frames_per_slice)
        .saturating_add(n_flyback);
    if n_flyback > 0 {
        // Some programs drop the flyback when they copy a file and keep the header.
        let planned = stack
            .n_volumes
            .and_then(count)
            .and_then(|n| n.checked_mul(slice_pages));
        let whole = facts
            .n_pages
            .is_multiple_of(volume_frames.saturating_mul(channels));
        if planned == Some(facts.n_pages) && !whole {
            n_flyback = 0;
            metadata.warnings.push(
                "ScanImage's header tells of flyback frames, but the pages are just those of its volumes without them: none is \
                 dropped"
                    .to_owned(),
            );
        }
    }
    metadata.order = FrameOrder::stack(n_planes, n_channels, frames_per_slice, n_flyback);
    if facts.n_pages < slice_pages {
        if facts.n_pages < channels {
            metadata.order = FrameOrder::interleaved(1, 1);
        } else {
            metadata.order = FrameOrder::interleaved(1, n_channels);
        }
        metadata.warnings.push(format!(
            "ScanImage's header says {n_channels} channels × {n_planes} slices × {frames_per_slice} frames, more than the {} pages: \
             the slices are not told apart",
            facts.n_pages
        ));
    }
    let rate = if facts.n_pages < slice_pages {
        None
    } else if n_planes == 1 {
        stack.frame_rate_hz.map(|rate| rate / stack.n_averaged)
    } else if frames_per_slice > 1 {
        metadata.warnings.push(format!(
            "each of the {n_planes} planes was imaged for {frames_per_slice} frames, then the next: time points of a plane are not \
             evenly spaced, so no frame rate is known"
        ));
        None
    } else {
        // Flyback counts in time even where its frames were dropped from the file.
        let frames = n_planes as f64 + stack.n_flyback;
        let volume_rate_hz = stack.volume_rate_hz.and_then(positive);
        let volume_rate_hz = volume_rate_hz.or(stack.frame_rate_hz.map(|rate| rate / frames));
        volume_rate_hz.map(|rate| rate / stack.n_averaged)
    };
    metadata.frame_rate_hz = rate.and_then(positive);
    if keys.flag("SI.hRoiManager.mroiEnable") == Some(true) {
        metadata.warnings.push(
            "several regions of interest were imaged: they are stacked in each frame as in the file, and are not told apart"
                .to_owned(),
        );
    } else {
        metadata.pixel_size_um = pixel_size_um(keys, facts);
    }
    metadata
}

/// The size of a pixel from the corners of the field of view: x and y of four corners, in µm.
fn pixel_size_um(keys: &Keys, facts: PageFacts) -> Option<[f64; 2]> {
    let corners = keys.numbers("SI.hRoiManager.imagingFovUm");
    if corners.len() != 8 {
        return None;
    }
    let side = |axis: usize| {
        let along = corners.iter().skip(axis).step_by(2);
        let (low, high) = along.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &at| {
            (low.min(at), high.max(at))
        });
        positive(high - low)
    };
    Some([
        side(1)? / facts.height as f64,
        side(0)? / facts.width as f64,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_software(text: &str, n_pages: u64) -> Metadata {
        let texts = Texts {
            software: text.to_owned(),
            ..Texts::default()
        };
        let facts = PageFacts {
            n_pages,
            n_files: 1,
            height: 512,
            width: 256,
        };
        read(&texts, facts).unwrap()
    }

    #[test]
    fn a_fast_stack_of_2023_drops_its_flyback() {
        let text = "SI.VERSION_MAJOR = 2023\nSI.hChannels.channelSave = [1;2]\nSI.hFastZ.enable = true\n\
            SI.hFastZ.numDiscardFlybackFrames = 1\nSI.hRoiManager.imagingFovUm = [-100 -50;100 -50;100 50;-100 50]\n\
            SI.hRoiManager.scanFrameRate = 30\nSI.hRoiManager.scanVolumeRate = 7.5\nSI.hStackManager.actualNumSlices = 3\n\
            SI.hStackManager.enable = true\nSI.hStackManager.framesPerSlice = 1\nSI.hStackManager.numFramesPerVolume = 3\n\
            SI.hStackManager.numFramesPerVolumeWithFlyback = 4\nSI.hStackManager.numSlices = 11\n";
        let metadata = read_software(text, 80);
        assert_eq!(metadata.order, FrameOrder::stack(3, 2, 1, 1));
        assert_eq!(metadata.frame_rate_hz, Some(7.5));
        assert_eq!(metadata.pixel_size_um, Some([100.0 / 512.0, 200.0 / 256.0]));
        assert!(metadata.warnings.is_empty(), "{:?}", metadata.warnings);
    }

    #[test]
    fn slices_left_over_from_an_earlier_stack_are_no_planes() {
        let text = "SI.hChannels.channelSave = 1\nSI.hFastZ.enable = false\nSI.hStackManager.enable = false\n\
            SI.hStackManager.numSlices = 11\nSI.hRoiManager.scanFrameRate = 30\nSI.hScan2D.logAverageFactor = 2\n";
        let metadata = read_software(text, 10);
        assert_eq!(metadata.order, FrameOrder::interleaved(1, 1));
        assert_eq!(metadata.frame_rate_hz, Some(15.0));
    }

    #[test]
    fn a_fast_stack_of_2016_and_one_whose_flyback_was_cut_out() {
        let text = "SI.hChannels.channelSave = [1 3]\nSI.hFastZ.enable = 1\nSI.hFastZ.numDiscardFlybackFrames = 2\n\
            SI.hFastZ.numFramesPerVolume = 6\nSI.hFastZ.numVolumes = 10\nSI.hStackManager.numSlices = 4\n\
            SI.hRoiManager.scanFrameRate = 60\n";
        let metadata = read_software(text, 120);
        assert_eq!(metadata.order, FrameOrder::stack(4, 2, 1, 2));
        assert_eq!(metadata.frame_rate_hz, Some(10.0));
        let metadata = read_software(text, 80);
        assert_eq!(metadata.order, FrameOrder::stack(4, 2, 1, 0));
        assert_eq!(metadata.frame_rate_hz, Some(10.0));
        assert!(metadata.warnings[0].contains("flyback"));
    }

    #[test]
    fn a_slow_stack_has_no_frame_rate() {
        let text = "SI.hChannels.channelSave = 1\nSI.hStackManager.enable = true\nSI.hStackManager.numSlices = 3\n\
            SI.hStackManager.framesPerSlice = 5\nSI.hRoiManager.scanFrameRate = 60\n";
        let metadata = read_software(text, 30);
        assert_eq!(metadata.order, FrameOrder::stack(3, 1, 5, 0));
        assert_eq!(metadata.frame_rate_hz, None);
        assert_eq!(metadata.warnings.len(), 1);
    }

    #[test]
    fn versions_3_and_4_are_read_from_the_description() {
        let of = |description: &str| {
            let texts = Texts {
                description: description.to_owned(),
                ..Texts::default()
            };
            let facts = PageFacts {
                n_pages: 120,
                n_files: 1,
                height: 2,
                width: 2,
            };
            read(&texts, facts)
        };
        let metadata = of(
            "state.configName='x'\rstate.acq.numberOfChannelsSave=2\rstate.acq.numberOfZSlices=1\r\
            state.acq.numberOfFrames=60\rstate.acq.frameRate=3.90625\r",
        )
        .unwrap();
        assert_eq!(metadata.order, FrameOrder::interleaved(1, 2));
        assert_eq!(metadata.frame_rate_hz, Some(3.90625));
        let metadata = of("scanimage.SI4.channelsSave = [1;2]\nscanimage.SI4.fastZEnable = true\nscanimage.SI4.stackNumSlices = 4\n\
            scanimage.SI4.fastZNumDiscardFrames = 1\nscanimage.SI4.scanFrameRate = 30\n")
        .unwrap();
        assert_eq!(metadata.order, FrameOrder::stack(4, 2, 1, 1));
        assert_eq!(metadata.frame_rate_hz, Some(6.0));
        assert_eq!(of("SI units are used here"), None);
    }

    #[test]
    fn numbers_that_make_no_sense_are_said() {
        let text = "SI.hStackManager.enable = true\nSI.hStackManager.numSlices = Inf\nSI.hRoiManager.scanFrameRate = NaN\n";
        let metadata = read_software(text, 30);
        assert_eq!(metadata.order, FrameOrder::interleaved(1, 1));
        assert_eq!(metadata.frame_rate_hz, None);
        assert!(metadata.warnings[0].contains("--n-planes"));
    }
}
