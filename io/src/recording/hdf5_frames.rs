//! Frames of samples out of an HDF5 dataset.

use super::SampleType;
use super::facts::Source;
use super::frames::{StoredFormat, StoredType};
use crate::error::IoError;
use crate::hdf5::{Dataset, ElementType, NumberKind};

/// Bytes that one call keeps in its own buffer at most, a frame being the least.
const BLOCK_BYTES: u64 = 4 << 20;

/// A dataset of samples.
#[derive(Debug)]
pub(crate) struct DatasetFrames {
    dataset: Dataset,
    stored: StoredFormat,
    n_channels: usize,
    n_samples: u64,
    /// Whether channels are the first axis, and samples the last.
    is_channel_major: bool,
}

impl DatasetFrames {
    /// Samples of a dataset of shape `[samples, channels]`, `[samples]`, or when `is_channel_major` `[channels, samples]`.
    ///
    /// # Errors
    /// When it has other axes, or samples of a type that is not read.
    pub fn new(dataset: Dataset, is_channel_major: bool) -> Result<DatasetFrames, IoError> {
        let path = dataset.file_path().to_owned();
        let (n_samples, n_channels) = match (dataset.shape(), is_channel_major) {
            (&[n_samples], false) => (n_samples, 1),
            (&[n_samples, n_channels], false) | (&[n_channels, n_samples], true) => {
                (n_samples, n_channels)
            }
            (shape, _) => {
                return Err(IoError::bad_value(
                    &path,
                    dataset.path(),
                    format!("of shape {shape:?}"),
                    "samples × channels",
                ));
            }
        };
        if n_channels == 0 || n_channels > 1 << 20 {
            return Err(IoError::bad_value(
                &path,
                "number of channels",
                n_channels,
                "1 to 1,048,576",
            ));
        }
        let stored = stored_format(&dataset)?;
        Ok(DatasetFrames {
            stored,
            n_channels: n_channels as usize,
            n_samples,
            is_channel_major,
            dataset,
        })
    }

    /// Samples a channel.
    pub fn n_samples(&self) -> u64 {
        self.n_samples
    }

    /// Channels.
    pub fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// Type of the delivered samples.
    pub fn sample_type(&self) -> SampleType {
        self.stored.delivered()
    }

    /// Reads the stored samples `[samples, channels]`, or `[channels, samples]`, from `start` on.
    fn read_stored(&self, start: u64, n: u64, out: &mut [u8]) -> Result<(), IoError> {
        let channels = self.n_channels as u64;
        match (self.dataset.shape().len(), self.is_channel_major) {
            (1, _) => self.dataset.read(&[start], &[n], out),
            (_, false) => self.dataset.read(&[start, 0], &[n, channels], out),
            (_, true) => self.dataset.read(&[0, start], &[channels, n], out),
        }
    }
}

impl Source for DatasetFrames {
    fn read(&self, start_sample: u64, out: &mut [u8]) -> Result<(), IoError> {
        let size = self.stored.size_bytes();
        let delivered = self.stored.delivered().size_bytes();
        let frame_bytes = self.n_channels * delivered;
        let n_samples = (out.len() / frame_bytes) as u64;
        if self.stored.is_verbatim() && !self.is_channel_major {
            return self.read_stored(start_sample, n_samples, out);
        }
        let per_block = (BLOCK_BYTES / (self.n_channels * size) as u64).max(1);
        let mut block = Vec::new();
        for (index, out) in out.chunks_mut(per_block as usize * frame_bytes).enumerate() {
            let n_here = out.len() / frame_bytes;
            block.resize(n_here * self.n_channels * size, 0);
            let start = start_sample + index as u64 * per_block;
            self.read_stored(start, n_here as u64, &mut block)?;
            for (index, sample) in out.chunks_exact_mut(delivered).enumerate() {
                let (time, channel) = (index / self.n_channels, index % self.n_channels);
                let at = if self.is_channel_major {
                    channel * n_here + time
                } else {
                    index
                };
                self.stored.convert(&block[at * size..][..size], sample);
            }
        }
        Ok(())
    }
}

/// How the samples of a dataset are stored.
fn stored_format(dataset: &Dataset) -> Result<StoredFormat, IoError> {
    let unknown = |dtype: String| IoError::UnknownDtype {
        path: dataset.file_path().to_owned(),
        dtype,
    };
    let number = match dataset.element_type() {
        ElementType::Number(number) => number,
        ElementType::FixedText | ElementType::Text => return Err(unknown("text".to_owned())),
        ElementType::Reference => return Err(unknown("reference".to_owned())),
        ElementType::Other(name) => return Err(unknown(name.to_owned())),
    };
    let kind = match (number.kind, number.size_bytes) {
        (NumberKind::Signed, 1) => StoredType::I8,
        (NumberKind::Unsigned, 1) => StoredType::U8,
        (NumberKind::Signed, 2) => StoredType::I16,
        (NumberKind::Unsigned, 2) => StoredType::U16,
        (NumberKind::Signed, 4) => StoredType::I32,
        (NumberKind::Float, 4) => StoredType::F32,
        (NumberKind::Float, 8) => StoredType::F64,
        _ => return Err(unknown(number.numpy_name())),
    };
    Ok(StoredFormat {
        kind,
        big_endian: number.big_endian,
    })
}
