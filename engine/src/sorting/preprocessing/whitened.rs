//! Whitened data of every pass: made once, kept in a file while the sort runs.
//!
//! A sort goes through its recording seven times or more, and from raw samples to whitened data is a third of the work of a
//! pass. The first pass keeps what it made, 16 bits a value, and later ones read it back. The values are rounded to 16 bits
//! whether they are kept or not, so results do not depend on it. The file has no name where the system allows that: it is
//! gone with the run, however that ends (docs/internals/decisions/017-whitened-data-are-kept.md).

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Mutex,
};

use somata_shaders::layout::{PackSamplesParams, UnpackSamplesParams};

use super::FrontEnd;
use crate::{
    device::{BufferId, Commands, Downloads, commands::DownloadId},
    error::{EngineError, Result},
    pipeline::checkpoint::work_error,
    recording::{Recording, RecordingInfo},
    stream::{
        Block, BlockGrid, Control, Source,
        blocks::{WINDOW_SAMPLES, read_window, window_words},
        pass::Chunk,
    },
};

/// Steps of a noise deviation. Rounding then adds 0.002 deviations of noise, and the range is 256 deviations either way.
const SCALE: f32 = 128.0;

/// Words of one window of packed data.
fn packed_words(n_channels: usize) -> usize {
    n_channels * WINDOW_SAMPLES / 2
}

/// Bytes of the file in which a sort keeps the whitened data of a recording.
pub fn whitened_bytes(info: &RecordingInfo) -> u64 {
    (4 * BlockGrid::new(info).blocks.len() * packed_words(info.n_channels())) as u64
}

/// Whitened windows of a recording.
pub struct Whitened<'a> {
    front_end: FrontEnd,
    recording: &'a dyn Recording,
    kept: Option<Mutex<Kept>>,
}

/// The file of packed windows.
struct Kept {
    /// `None` once it could not be written or read.
    file: Option<File>,
    /// Blocks that are in the file.
    has: Vec<bool>,
    missing: usize,
    folder: PathBuf,
}

/// What a pass reads.
pub enum Windows<'a> {
    /// The recording, as it is.
    Raw(&'a dyn Recording),
    /// What an earlier pass kept.
    Kept(&'a Whitened<'a>),
}

impl<'a> Whitened<'a> {
    /// Windows of `n_blocks` blocks, kept in `folder` where one is given.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub fn new(
        front_end: FrontEnd,
        recording: &'a dyn Recording,
        n_blocks: usize,
        folder: Option<&Path>,
    ) -> Result<Self> {
        let kept = |folder: &Path| -> Result<Mutex<Kept>> {
            let file = tempfile::tempfile_in(folder);
            Ok(Mutex::new(Kept {
                file: Some(file.map_err(|error| work_error("write", folder, error))?),
                has: vec![false; n_blocks],
                missing: n_blocks,
                folder: folder.to_owned(),
            }))
        };
        Ok(Self {
            front_end,
            recording,
            kept: folder.map(kept).transpose()?,
        })
    }

    /// Channels.
    pub fn n_channels(&self) -> usize {
        self.front_end.n_channels()
    }

    /// Bytes of the largest buffer for one block.
    pub fn bytes_per_block(&self) -> u64 {
        self.front_end.bytes_per_block()
    }

    /// What a pass that begins now should read.
    pub fn windows(&self) -> Windows<'_> {
        let is_whole = self.kept.as_ref().is_some_and(|kept| {
            let kept = kept.lock().expect("not poisoned");
            kept.file.is_some() && kept.missing == 0
        });
        if is_whole {
            Windows::Kept(self)
        } else {
            Windows::Raw(self.recording)
        }
    }

    /// Appends everything up to the whitened data `[block, channel, time]` of a chunk that was read from `windows`, and what
    /// [`Whitened::keep`] wants to have back.
    pub fn record(
        &self,
        commands: &mut Commands,
        chunk: &mut Chunk,
        windows: &Windows<'_>,
    ) -> (BufferId, Option<DownloadId>) {
        let n_words = chunk.blocks.len() * packed_words(self.n_channels());
        let (packed, kept, x) = match windows {
            Windows::Kept(_) => (
                commands.upload_words("packed", std::mem::take(&mut chunk.raw)),
                None,
                commands.buffer("whitened", 2 * n_words),
            ),
            Windows::Raw(_) => {
                let (x, spent) = self.front_end.whitened(commands, chunk);
                let packed = commands.buffer("packed", n_words);
                commands.dispatch(
                    &PackSamplesParams {
                        n_words: n_words as u32,
                        scale: SCALE,
                    },
                    &[x, packed],
                );
                let kept = self.kept.is_some().then(|| commands.download(packed));
                (packed, kept, spent)
            }
        };
        commands.dispatch(
            &UnpackSamplesParams {
                n_words: n_words as u32,
                step: 1.0 / SCALE,
            },
            &[packed, x],
        );
        (x, kept)
    }

    /// Keeps the packed windows of a chunk. Where that fails the sort goes on without, and says so.
    pub fn keep(
        &self,
        blocks: &[Block],
        packed: Option<DownloadId>,
        downloads: &mut Downloads,
        control: &Control,
    ) {
        let (Some(kept), Some(packed)) = (&self.kept, packed) else {
            return;
        };
        let packed: Vec<u32> = downloads.take(packed);
        let mut kept = kept.lock().expect("not poisoned");
        let windows = packed.chunks_exact(packed_words(self.n_channels()));
        if let Err(error) = kept.write(blocks, windows) {
            kept.file = None;
            control.warn(format!(
                "whitened data cannot be kept in the work folder ({error}): every pass makes them again, which is slower"
            ));
        }
    }
}

impl Kept {
    fn write<'w>(
        &mut self,
        blocks: &[Block],
        windows: impl Iterator<Item = &'w [u32]>,
    ) -> io::Result<()> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        for (block, window) in blocks.iter().zip(windows) {
            if !self.has[block.index] {
                let bytes: &[u8] = bytemuck::cast_slice(window);
                file.seek(SeekFrom::Start(block.index as u64 * bytes.len() as u64))?;
                file.write_all(bytes)?;
                self.has[block.index] = true;
                self.missing -= 1;
            }
        }
        Ok(())
    }

    fn read(&mut self, block: &Block, words: &mut [u32]) -> io::Result<()> {
        let file = self.file.as_mut().ok_or(io::ErrorKind::NotFound)?;
        let bytes: &mut [u8] = bytemuck::cast_slice_mut(words);
        file.seek(SeekFrom::Start(block.index as u64 * bytes.len() as u64))?;
        file.read_exact(bytes)
    }
}

impl Source for Windows<'_> {
    type Block = Block;

    fn block_words(&self) -> usize {
        match self {
            Windows::Raw(recording) => window_words(recording.info()),
            Windows::Kept(whitened) => packed_words(whitened.n_channels()),
        }
    }

    fn read_block(&self, block: &Block, words: &mut [u32]) -> Result<()> {
        match self {
            Windows::Raw(recording) => Ok(read_window(*recording, block, words)?),
            Windows::Kept(whitened) => {
                let kept = whitened.kept.as_ref().expect("only read when kept");
                let mut kept = kept.lock().expect("not poisoned");
                let read = kept.read(block, words);
                read.map_err(|source| EngineError::Work {
                    action: "read",
                    path: format!("the whitened data in {}", kept.folder.display()),
                    source,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::blocks::BLOCK_SAMPLES;

    fn block(index: usize) -> Block {
        Block {
            index,
            start: (index * BLOCK_SAMPLES) as u64,
            n_samples: BLOCK_SAMPLES,
            segment_start: 0,
            segment_end: (3 * BLOCK_SAMPLES) as u64,
        }
    }

    fn kept(file: File) -> Kept {
        Kept {
            file: Some(file),
            has: vec![false; 3],
            missing: 3,
            folder: PathBuf::from("work"),
        }
    }

    #[test]
    fn windows_come_back_from_where_they_were_put_and_count_once() {
        let folder = std::env::temp_dir();
        let mut kept = kept(tempfile::tempfile_in(folder).unwrap());
        let window = |index: usize| vec![index as u32 + 7; 5];
        for index in [2, 0, 2, 1] {
            let windows = [window(index)];
            kept.write(&[block(index)], windows.iter().map(Vec::as_slice))
                .unwrap();
        }
        assert_eq!(kept.missing, 0);
        for index in 0..3 {
            let mut words = vec![0; 5];
            kept.read(&block(index), &mut words).unwrap();
            assert_eq!(words, window(index));
        }
        let mut beyond = vec![0; 50];
        assert!(kept.read(&block(1), &mut beyond).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_counts_nothing() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut kept = kept(full);
        let window = vec![1; 5];
        let error = kept
            .write(&[block(0)], std::iter::once(window.as_slice()))
            .unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert_eq!(kept.missing, 3);
    }
}
