//! The packets of an NSx file: one pass over their headers, which finds spans and pauses.
//!
//! A packet is `1`, a time, a number of frames, the frames. One-sample packets that follow each other without a pause become a
//! single span with a stride, so that an hour of PTP recording is one entry and not a hundred million.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use super::Walked;
use super::header::{Header, PacketKind};
use crate::error::IoError;
use crate::recording::Segment;
use crate::recording::frames::{Span, StoredFormat, whole_frames};

/// A pause is longer than this many sample periods; PTP times jitter by less.
const PAUSE_PERIODS: f64 = 2.0;

/// Finds all frames of the file.
///
/// # Errors
/// When a packet is cut short or does not begin as one.
pub(super) fn walk(
    path: &Path,
    file: File,
    size_bytes: u64,
    header: &Header,
) -> Result<Walked, IoError> {
    let time_bytes = match header.packets {
        PacketKind::None => return whole_file(path, size_bytes, header),
        PacketKind::Time32 => 4,
        PacketKind::Time64 => 8,
    };
    let header_bytes = 1 + time_bytes + 4;
    let frame_bytes = header.frame_bytes();
    let mut walker = Walker::new(header, header_bytes);
    let mut file = BufReader::with_capacity(1 << 20, file);
    let failed = |source| IoError::read(path, source);
    file.seek(SeekFrom::Start(header.data_offset_bytes))
        .map_err(failed)?;
    let mut at = header.data_offset_bytes;
    while at < size_bytes {
        let truncated = |expected_bytes| IoError::Truncated {
            path: path.to_owned(),
            expected_bytes,
            found_bytes: size_bytes,
        };
        if size_bytes - at < header_bytes {
            return Err(truncated(at + header_bytes));
        }
        let mut head = [0u8; 13];
        let head = &mut head[..header_bytes as usize];
        file.read_exact(head).map_err(failed)?;
        if head[0] != 1 {
            let what = format!("a packet begins with {} instead of 1", head[0]);
            return Err(IoError::malformed(path, format!("byte {at}"), what));
        }
        let mut time = [0u8; 8];
        time[..time_bytes as usize].copy_from_slice(&head[1..1 + time_bytes as usize]);
        let time = u64::from_le_bytes(time);
        let count = head[1 + time_bytes as usize..]
            .try_into()
            .expect("four bytes of a count");
        let mut n_frames = u64::from(u32::from_le_bytes(count));
        at += header_bytes;
        if n_frames == 0
            && at < size_bytes
            && !begins_packet(&mut file, header_bytes, frame_bytes, size_bytes - at)
        {
            // The count is filled in when a recording ends: 0 means that it was broken off.
            n_frames = (size_bytes - at) / frame_bytes;
            walker.warnings.push("the recording was broken off: its last packet has no length and is read to the end".to_owned());
            walker.packet(time, at, n_frames);
            break;
        }
        let data_bytes = n_frames * frame_bytes;
        if data_bytes > size_bytes - at {
            return Err(truncated(at + data_bytes));
        }
        if n_frames > 0 {
            walker.packet(time, at, n_frames);
        }
        // At most 2³² frames of a file that is long enough: this fits.
        file.seek_relative(data_bytes as i64).map_err(failed)?;
        at += data_bytes;
    }
    if walker.segments.len() > 1 {
        let n_pauses = walker.segments.len() - 1;
        walker.warnings.push(format!(
            "the recording has {n_pauses} pauses; samples on both sides are joined"
        ));
    }
    Ok(Walked {
        spans: walker.spans,
        segments: walker.segments,
        warnings: walker.warnings,
    })
}

/// Whether what follows can be a packet, after one that says it is empty.
fn begins_packet(
    file: &mut BufReader<File>,
    header_bytes: u64,
    frame_bytes: u64,
    rest_bytes: u64,
) -> bool {
    let n_peek = header_bytes as usize;
    let mut head = vec![0u8; n_peek];
    if rest_bytes < header_bytes || file.read_exact(&mut head).is_err() {
        return false;
    }
    // Going back cannot fail for a position that was just read; if it did, the next read says so.
    let _ = file.seek_relative(-(n_peek as i64));
    let n_frames = u64::from(u32::from_le_bytes(
        head[n_peek - 4..]
            .try_into()
            .expect("four bytes of a count"),
    ));
    head[0] == 1 && n_frames * frame_bytes <= rest_bytes - header_bytes
}

/// Specification 2.1: frames to the end of the file.
fn whole_file(path: &Path, size_bytes: u64, header: &Header) -> Result<Walked, IoError> {
    let offset_bytes = header.data_offset_bytes;
    let n_samples = whole_frames(
        path,
        size_bytes - offset_bytes,
        header.channels.len(),
        StoredFormat::I16_LE,
    )?;
    let span = Span {
        file: 0,
        offset_bytes,
        stride_bytes: header.frame_bytes(),
        start_sample: 0,
        n_samples,
    };
    let segment = Segment {
        start_sample: 0,
        n_samples,
        start_time_s: 0.0,
    };
    Ok(Walked {
        spans: vec![span],
        segments: vec![segment],
        warnings: vec![],
    })
}

/// Spans and segments so far.
struct Walker {
    spans: Vec<Span>,
    segments: Vec<Segment>,
    warnings: Vec<String>,
    header_bytes: u64,
    frame_bytes: u64,
    ticks_per_s: f64,
    ticks_per_sample: f64,
    /// Time at which the next frame would come without a pause, in ticks.
    next_time: f64,
    /// Whether the last span is made of one-sample packets.
    last_is_strided: bool,
    n_samples: u64,
}

impl Walker {
    fn new(header: &Header, header_bytes: u64) -> Walker {
        Walker {
            spans: vec![],
            segments: vec![],
            warnings: vec![],
            header_bytes,
            frame_bytes: header.frame_bytes(),
            ticks_per_s: header.ticks_per_s,
            ticks_per_sample: header.ticks_per_s / header.sampling_frequency_hz,
            next_time: f64::NAN,
            last_is_strided: false,
            n_samples: 0,
        }
    }

    /// Takes a packet of `n_frames` at byte `offset_bytes` that begins at `time` ticks.
    fn packet(&mut self, time: u64, offset_bytes: u64, n_frames: u64) {
        // A time that is off by a period either way is jitter; a clock that jumps back was reset.
        let off_periods = (time as f64 - self.next_time) / self.ticks_per_sample;
        let follows = off_periods.abs() < PAUSE_PERIODS - 1.0 + 1e-9 && !self.segments.is_empty();
        let stride = self.header_bytes + self.frame_bytes;
        match self.segments.last_mut() {
            Some(segment) if follows => segment.n_samples += n_frames,
            _ => self.segments.push(Segment {
                start_sample: self.n_samples,
                n_samples: n_frames,
                start_time_s: time as f64 / self.ticks_per_s,
            }),
        }
        match self.spans.last_mut() {
            Some(span)
                if follows
                    && n_frames == 1
                    && self.last_is_strided
                    && offset_bytes == span.offset_bytes + span.n_samples * stride =>
            {
                span.n_samples += 1;
            }
            _ => {
                self.last_is_strided = n_frames == 1;
                let stride_bytes = if n_frames == 1 {
                    stride
                } else {
                    self.frame_bytes
                };
                let start_sample = self.n_samples;
                self.spans.push(Span {
                    file: 0,
                    offset_bytes,
                    stride_bytes,
                    start_sample,
                    n_samples: n_frames,
                });
            }
        }
        self.n_samples += n_frames;
        self.next_time = time as f64 + n_frames as f64 * self.ticks_per_sample;
    }
}
