//! somata's compute kernels: WGSL text, their native twins and the layouts that both share.
//!
//! A kernel is one stem. `wgsl/AREA/STEM.wgsl` is what a GPU runs, `src/cpu/AREA/STEM.rs` is the twin that a
//! processor runs (for users without a GPU, and as the reference in parity tests), and the struct that travels as
//! the uniform is in [`layout`]. This crate knows no GPU API: the engine's executors do.
//!
//! Conventions shared by all kernels:
//! - binding 0 is the uniform `params`; the storage bindings follow in the order of the twin's arguments;
//! - data of several blocks travel together; the block is `workgroup_id.z`;
//! - buffers are 32-bit words; sample windows are `[block, time, channel]` before whitening and
//!   `[block, channel, time]` after it.

pub mod cpu;
pub mod layout;

/// How a kernel uses one storage binding.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BindingAccess {
    /// Only read.
    Read,
    /// Read and written.
    ReadWrite,
}

/// One storage binding, as reflected from the WGSL.
#[derive(Clone, Copy, Debug)]
pub struct BindingInfo {
    /// Its name in the WGSL.
    pub name: &'static str,
    /// Whether the kernel writes it.
    pub access: BindingAccess,
}

/// The WGSL of one kernel with what the build reflected from it.
#[derive(Clone, Copy, Debug)]
pub struct KernelSource {
    /// Folder: `common`, `sorting` or `imaging`.
    pub area: &'static str,
    /// Name of the kernel, in every folder.
    pub stem: &'static str,
    /// The shader text.
    pub wgsl: &'static str,
    /// Invocations of a workgroup along x, y and z.
    pub workgroup_size: [u32; 3],
    /// Bytes of the uniform at binding 0.
    pub params_size: u32,
    /// Storage bindings, from binding 1 on.
    pub bindings: &'static [BindingInfo],
}

include!(concat!(env!("OUT_DIR"), "/sources.rs"));

/// The WGSL of every kernel.
pub fn sources() -> &'static [KernelSource] {
    SOURCES
}

/// A kernel: what a stage names when it dispatches.
pub struct Kernel {
    /// Folder: `common`, `sorting` or `imaging`.
    pub area: &'static str,
    /// Name of the kernel, in every folder.
    pub stem: &'static str,
    /// The native twin, taking the uniform's bytes and the storage bindings in WGSL order.
    pub cpu: fn(&[u8], &mut [cpu::Buffer<'_>]),
}

impl Kernel {
    /// The WGSL of this kernel.
    ///
    /// # Panics
    /// When no WGSL file has this stem; a test makes sure that every kernel has one.
    pub fn source(&self) -> &'static KernelSource {
        SOURCES
            .iter()
            .find(|source| source.stem == self.stem && source.area == self.area)
            .unwrap_or_else(|| panic!("kernel `{}` has no WGSL", self.stem))
    }
}

/// The uniform of a kernel: knows its kernel and how many workgroups its sizes need.
pub trait KernelParams: bytemuck::Pod {
    /// The kernel that takes these parameters.
    const KERNEL: &'static Kernel;
    /// Workgroups along x, y and z; z is the block.
    fn workgroups(&self) -> [u32; 3];
}
