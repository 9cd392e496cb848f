//! Twin of `wgsl/common/unpack_samples.wgsl`: packed values as floats again.

use crate::{
    cpu::{Buffer, params},
    layout::UnpackSamplesParams,
};

/// `out[2 j]`, `out[2 j + 1]`: the halves of `packed[j]`, signed, times `step`.
pub fn unpack_samples(p: &UnpackSamplesParams, packed: &[u32], out: &mut [f32]) {
    let n = p.n_words as usize;
    unpack(
        bytemuck::cast_slice(&packed[..n]),
        p.step,
        &mut out[..2 * n],
    );
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw", "x86_64+avx2"))]
fn unpack(packed: &[i16], step: f32, out: &mut [f32]) {
    for (out, &value) in out.iter_mut().zip(packed) {
        *out = f32::from(value) * step;
    }
}

/// Binding order: packed, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [packed, out] = buffers else {
        panic!("unpack_samples takes 2 bindings")
    };
    unpack_samples(&params(bytes), packed.u32(), out.f32_mut());
}
