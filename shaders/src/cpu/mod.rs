//! The native twins: one file a kernel, in the same folders as the WGSL.
//!
//! Each file has an inner function on typed slices, which tests and stages can call, and a `run` that takes the
//! binding list in WGSL order, which the executor calls. The inner functions are vectorised over independent
//! outputs and never use fused multiply-add, so the same bits come out whatever the vector width of the processor
//! (docs/internals/decisions/003-no-fma-on-cpu.md).
#![allow(
    clippy::too_many_arguments,
    reason = "a twin takes the binding list of its shader, one argument each"
)]

pub mod common;
pub mod imaging;
pub mod sorting;

/// One storage binding as the executor hands it to a twin: 32-bit words.
pub enum Buffer<'a> {
    /// A binding that the kernel only reads.
    Read(&'a [u32]),
    /// A binding that the kernel reads and writes.
    ReadWrite(&'a mut [u32]),
}

impl Buffer<'_> {
    /// The words as `f32`, to read.
    pub fn f32(&self) -> &[f32] {
        bytemuck::cast_slice(self.u32())
    }
    /// The words as `i32`, to read.
    pub fn i32(&self) -> &[i32] {
        bytemuck::cast_slice(self.u32())
    }
    /// The words as they are, to read.
    pub fn u32(&self) -> &[u32] {
        match self {
            Buffer::Read(words) => words,
            Buffer::ReadWrite(words) => words,
        }
    }
    /// The words as `f32`, to write.
    ///
    /// # Panics
    /// When the binding is read-only: the twin and its shader disagree.
    pub fn f32_mut(&mut self) -> &mut [f32] {
        bytemuck::cast_slice_mut(self.u32_mut())
    }
    /// The words as `i32`, to write.
    ///
    /// # Panics
    /// When the binding is read-only.
    pub fn i32_mut(&mut self) -> &mut [i32] {
        bytemuck::cast_slice_mut(self.u32_mut())
    }
    /// The words as they are, to write.
    ///
    /// # Panics
    /// When the binding is read-only.
    pub fn u32_mut(&mut self) -> &mut [u32] {
        match self {
            Buffer::Read(_) => panic!("a twin writes to a binding that its shader only reads"),
            Buffer::ReadWrite(words) => words,
        }
    }
}

/// The uniform's bytes as the struct that they are.
pub(crate) fn params<P: bytemuck::AnyBitPattern>(bytes: &[u8]) -> P {
    bytemuck::pod_read_unaligned(bytes)
}
