//! Twin of `wgsl/common/pack_samples.wgsl`: values rounded to steps, two in a word.

use crate::{
    cpu::{Buffer, params},
    layout::PackSamplesParams,
};

/// Largest packed value.
const LARGEST: f32 = 32_767.0;
/// A float of this size has steps of 1: adding it rounds, halves to even, and leaves the integer in the lowest bits.
const ROUND: f32 = 12_582_912.0;

/// `out[j]`: `x[2 j]` and `x[2 j + 1]` times `scale`, rounded, halves to even, and kept within ±32,767.
pub fn pack_samples(p: &PackSamplesParams, x: &[f32], out: &mut [u32]) {
    let n = p.n_words as usize;
    pack(
        &x[..2 * n],
        p.scale,
        bytemuck::cast_slice_mut(&mut out[..n]),
    );
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw", "x86_64+avx2"))]
fn pack(x: &[f32], scale: f32, out: &mut [i16]) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = ((x * scale).clamp(-LARGEST, LARGEST) + ROUND).to_bits() as i16;
    }
}

/// Binding order: x, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, out] = buffers else {
        panic!("pack_samples takes 2 bindings")
    };
    pack_samples(&params(bytes), x.f32(), out.u32_mut());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_to_even_and_stays_in_range() {
        let x = [0.5, 1.5, -0.5, -2.5, 0.75, -0.75, 1e9, -1e9];
        let mut out = [0u32; 4];
        let params = PackSamplesParams {
            n_words: 4,
            scale: 1.0,
        };
        pack_samples(&params, &x, &mut out);
        let found: &[i16] = bytemuck::cast_slice(&out);
        assert_eq!(found, [0, 2, 0, -2, 1, -1, 32_767, -32_767]);
    }
}
