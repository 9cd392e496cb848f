//! What a stage wants done, written down before anything runs.

use bytemuck::Pod;
use somata_shaders::{Kernel, KernelParams};

use super::Resident;

/// Handle of a buffer in one list of commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct BufferId(pub(crate) usize);

/// Handle of a download in one list of commands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DownloadId(usize);

/// A buffer and where its first content comes from.
pub(crate) enum BufferSource {
    /// Nothing: the first kernel that sees it writes all of it.
    Uninitialised,
    /// Zeros.
    Zeros,
    /// Words from the host.
    Upload(Vec<u32>),
    /// Data that are on the device already; read only.
    Resident(Resident),
}

/// One buffer of a list of commands.
pub(crate) struct BufferPlan {
    pub(crate) name: &'static str,
    pub(crate) words: usize,
    pub(crate) source: BufferSource,
}

/// One kernel call.
pub(crate) struct Dispatch {
    pub(crate) kernel: &'static Kernel,
    pub(crate) params: Vec<u8>,
    pub(crate) workgroups: [u32; 3],
    pub(crate) buffers: Vec<BufferId>,
}

/// A recording of work: buffers, kernel calls in order, downloads at the end.
#[derive(Default)]
pub struct Commands {
    pub(crate) buffers: Vec<BufferPlan>,
    pub(crate) dispatches: Vec<Dispatch>,
    pub(crate) downloads: Vec<BufferId>,
}

impl Commands {
    /// An empty list.
    pub fn new() -> Self {
        Self::default()
    }

    fn push(&mut self, name: &'static str, words: usize, source: BufferSource) -> BufferId {
        self.buffers.push(BufferPlan {
            name,
            words,
            source,
        });
        BufferId(self.buffers.len() - 1)
    }

    /// A buffer whose content the first kernel that gets it writes in full.
    pub fn buffer(&mut self, name: &'static str, words: usize) -> BufferId {
        self.push(name, words, BufferSource::Uninitialised)
    }

    /// A buffer of zeros.
    pub fn zeros(&mut self, name: &'static str, words: usize) -> BufferId {
        self.push(name, words, BufferSource::Zeros)
    }

    /// A buffer with words from the host.
    pub fn upload_words(&mut self, name: &'static str, words: Vec<u32>) -> BufferId {
        self.push(name, words.len(), BufferSource::Upload(words))
    }

    /// A buffer with typed data from the host.
    pub fn upload<T: Pod>(&mut self, name: &'static str, data: &[T]) -> BufferId {
        self.upload_words(name, to_words(data))
    }

    /// Data that are on the device already; kernels may only read them.
    pub fn resident(&mut self, resident: &Resident) -> BufferId {
        self.push(
            resident.name,
            resident.words,
            BufferSource::Resident(resident.clone()),
        )
    }

    /// Calls a kernel; `buffers` are its storage bindings in order. A call without workgroups is left out.
    pub fn dispatch<P: KernelParams>(&mut self, params: &P, buffers: &[BufferId]) {
        let workgroups = params.workgroups();
        if workgroups.contains(&0) {
            return;
        }
        self.dispatches.push(Dispatch {
            kernel: P::KERNEL,
            params: bytemuck::bytes_of(params).to_vec(),
            workgroups,
            buffers: buffers.to_vec(),
        });
    }

    /// Asks for the content of a buffer after the last kernel.
    pub fn download(&mut self, buffer: BufferId) -> DownloadId {
        self.downloads.push(buffer);
        DownloadId(self.downloads.len() - 1)
    }
}

/// What came back: one vector of words a download.
pub struct Downloads(pub(crate) Vec<Vec<u32>>);

impl Downloads {
    /// Takes one download as typed values.
    pub fn take<T: Pod>(&mut self, id: DownloadId) -> Vec<T> {
        let words = std::mem::take(&mut self.0[id.0]);
        // Words and the 4-byte types have the same size and alignment, so this is a move, not a copy.
        bytemuck::allocation::try_cast_vec(words)
            .unwrap_or_else(|(_, words)| bytemuck::cast_slice(&words).to_vec())
    }
}

/// Bytes of any plain data as words, padded with zeros.
pub(crate) fn to_words<T: Pod>(data: &[T]) -> Vec<u32> {
    let bytes: &[u8] = bytemuck::cast_slice(data);
    let mut words = vec![0u32; bytes.len().div_ceil(4)];
    bytemuck::cast_slice_mut(&mut words)[..bytes.len()].copy_from_slice(bytes);
    words
}
