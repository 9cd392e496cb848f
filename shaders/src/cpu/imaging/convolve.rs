//! Twin of `wgsl/imaging/convolve.wgsl`: one unit of the network.
//!
//! Batch norm and activation are applied as the input is copied into a frame of zeros (they come before the padding), then
//! the convolution runs directly over rows of 16 pixels and a few output channels at a time, whose sums stay in registers:
//! no matrix of patches is ever written. This twin fuses multiplications and additions where the processor can: a network has no exact
//! answer, and twice the speed is worth the last bit (docs/internals/decisions/007-the-network-fuses.md).

use multiversion::target::target_cfg_f;
#[cfg(target_arch = "x86_64")]
use pulp::{Simd, WithSimd};

use crate::{
    cpu::{Buffer, params},
    layout::ConvolveParams,
};

/// Pixels of a row that are summed side by side.
const PIXELS: usize = 16;
/// Output channels that are summed side by side: with two registers of pixels each they fill the register file.
const CHANNELS: usize = 6;
/// The same where a register holds all 16 pixels and there are 32 registers (AVX-512).
const WIDE_CHANNELS: usize = 12;

/// `x` `[image, in_channel, y, x]` to `out` `[image, out_channel, y, x]`:
/// `out = bias + addend + sum of weight * relu(factor * x + term)`, zero beyond the edge.
///
/// `weight` `[out_channel, in_channel, kernel, kernel]`; the factor of channel c of image i is
/// `affine[affine_offset + i * affine_stride + c]`, its term `affine_gap` further on; `addend` has the shape of `out` or is not read.
pub fn convolve(
    p: &ConvolveParams,
    x: &[f32],
    weight: &[f32],
    bias: &[f32],
    affine: &[f32],
    addend: &[f32],
    out: &mut [f32],
) {
    let (height, width) = (p.height as usize, p.width as usize);
    let (inputs, outputs) = (p.in_channels as usize, p.out_channels as usize);
    let scale = if p.upsample == 0 { 1 } else { 2 };
    let in_pixels = (height / scale) * (width / scale);
    let frame = Frame::new(height, width, inputs, p.kernel as usize);
    let mut padded = vec![0.0f32; (height + 2 * frame.border) * frame.row];
    for image in 0..p.n_images as usize {
        for channel in 0..inputs {
            let at = (p.affine_offset + p.affine_stride * image as u32) as usize + channel;
            let from = (image * inputs + channel) * in_pixels;
            activate(
                &x[from..from + in_pixels],
                affine[at],
                affine[at + p.affine_gap as usize],
                p.relu != 0,
                scale,
                &frame,
                channel,
                &mut padded,
            );
        }
        let from = image * outputs * height * width;
        let out = &mut out[from..from + outputs * height * width];
        for (channel, plane) in out.chunks_exact_mut(height * width).enumerate() {
            if p.add != 0 {
                let addend = &addend[from + channel * height * width..][..height * width];
                for (out, addend) in plane.iter_mut().zip(addend) {
                    *out = bias[channel] + addend;
                }
            } else {
                plane.fill(bias[channel]);
            }
        }
        let size = Size {
            height,
            width,
            inputs,
            outputs,
        };
        if p.kernel == 1 {
            sum_rows::<1>(&frame, &size, &padded, weight, out);
        } else {
            sum_rows::<3>(&frame, &size, &padded, weight, out);
        }
    }
}

/// The input with its border, `[row, channel, column]`: what a sum needs lies close together.
struct Frame {
    height: usize,
    width: usize,
    border: usize,
    /// Values from one channel of a row to the next.
    pitch: usize,
    /// Values from one row to the next.
    row: usize,
}

impl Frame {
    fn new(height: usize, width: usize, inputs: usize, kernel: usize) -> Self {
        let border = kernel / 2;
        let pitch = width.next_multiple_of(PIXELS) + 2 * border;
        Self {
            height,
            width,
            border,
            pitch,
            row: inputs * pitch,
        }
    }
}

struct Size {
    height: usize,
    width: usize,
    inputs: usize,
    outputs: usize,
}

/// Weights as `[block of BLOCK outputs, in_channel, tap, BLOCK]`, zero where there is no such output.
fn pack<const BLOCK: usize>(
    weight: &[f32],
    inputs: usize,
    outputs: usize,
    taps: usize,
) -> Vec<f32> {
    let blocks = outputs.div_ceil(BLOCK);
    let mut packed = vec![0.0; blocks * inputs * taps * BLOCK];
    for output in 0..outputs {
        let (block, lane) = (output / BLOCK, output % BLOCK);
        for k in 0..inputs * taps {
            packed[(block * inputs * taps + k) * BLOCK + lane] = weight[output * inputs * taps + k];
        }
    }
    packed
}

#[multiversion::multiversion(targets("x86_64+avx2"))]
fn activate(
    x: &[f32],
    factor: f32,
    term: f32,
    relu: bool,
    scale: usize,
    frame: &Frame,
    channel: usize,
    padded: &mut [f32],
) {
    let width = frame.width / scale;
    let low = if relu { 0.0 } else { f32::NEG_INFINITY };
    for y in 0..frame.height {
        let row = &x[y / scale * width..(y / scale + 1) * width];
        let start = (y + frame.border) * frame.row + channel * frame.pitch + frame.border;
        let target = &mut padded[start..start + frame.width];
        if scale == 1 {
            for (target, value) in target.iter_mut().zip(row) {
                *target = (value * factor + term).max(low);
            }
        } else {
            for (pair, value) in target.chunks_exact_mut(2).zip(row) {
                pair.fill((value * factor + term).max(low));
            }
        }
    }
}

/// The widest way that the processor has. With registers of 8 pixels the compiler would put channels side by side and turn them around at
/// every step, at a quarter of the speed, so there the vectors are written out.
fn sum_rows<const KERNEL: usize>(
    frame: &Frame,
    size: &Size,
    padded: &[f32],
    weight: &[f32],
    out: &mut [f32],
) {
    #[cfg(target_arch = "x86_64")]
    if (KERNEL == 1 || !std::is_x86_feature_detected!("avx512f"))
        && let Some(simd) = pulp::x86::V3::try_new()
    {
        let packed = pack::<CHANNELS>(weight, size.inputs, size.outputs, KERNEL * KERNEL);
        Simd::vectorize(
            simd,
            Rows::<KERNEL> {
                frame,
                size,
                padded,
                packed: &packed,
                out,
            },
        );
        return;
    }
    run_rows::<KERNEL>(frame, size, padded, weight, out);
}

/// [`rows`] with two vectors of pixels for each of [`CHANNELS`] outputs.
#[cfg(target_arch = "x86_64")]
struct Rows<'a, const KERNEL: usize> {
    frame: &'a Frame,
    size: &'a Size,
    padded: &'a [f32],
    /// Weights as of [`pack`].
    packed: &'a [f32],
    out: &'a mut [f32],
}

#[cfg(target_arch = "x86_64")]
impl<const KERNEL: usize> WithSimd for Rows<'_, KERNEL> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        const { assert!(PIXELS == 16) };
        debug_assert_eq!(2 * S::F32_LANES, PIXELS);
        let (size, frame) = (self.size, self.frame);
        let taps = KERNEL * KERNEL * CHANNELS;
        for y in 0..size.height {
            for x in (0..size.width).step_by(PIXELS) {
                let n = PIXELS.min(size.width - x);
                let start = y * frame.row + x;
                for (block, weights) in self.packed.chunks_exact(size.inputs * taps).enumerate() {
                    let mut sums = [[simd.splat_f32s(0.0); 2]; CHANNELS];
                    for (input, weights) in weights.chunks_exact(taps).enumerate() {
                        for ky in 0..KERNEL {
                            let start = start + input * frame.pitch + ky * frame.row;
                            let row = &self.padded[start..start + PIXELS + KERNEL - 1];
                            for kx in 0..KERNEL {
                                let values = S::as_simd_f32s(&row[kx..kx + PIXELS]).0;
                                let at = (ky * KERNEL + kx) * CHANNELS;
                                let weights = &weights[at..at + CHANNELS];
                                for (sums, &weight) in sums.iter_mut().zip(weights) {
                                    let weight = simd.splat_f32s(weight);
                                    sums[0] = simd.mul_add_f32s(weight, values[0], sums[0]);
                                    sums[1] = simd.mul_add_f32s(weight, values[1], sums[1]);
                                }
                            }
                        }
                    }
                    for (lane, sums) in sums.iter().enumerate() {
                        let channel = block * CHANNELS + lane;
                        if channel >= size.outputs {
                            break;
                        }
                        let mut row = [0.0f32; PIXELS];
                        S::as_mut_simd_f32s(&mut row).0.copy_from_slice(sums);
                        let at = (channel * size.height + y) * size.width + x;
                        for (out, sum) in self.out[at..at + n].iter_mut().zip(row) {
                            *out += sum;
                        }
                    }
                }
            }
        }
    }
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl+avx2+fma"))]
fn run_rows<const KERNEL: usize>(
    frame: &Frame,
    size: &Size,
    padded: &[f32],
    weight: &[f32],
    out: &mut [f32],
) {
    if target_cfg_f!(target_feature = "avx512f") {
        rows::<KERNEL, WIDE_CHANNELS, true>(frame, size, padded, weight, out);
    } else {
        rows::<KERNEL, CHANNELS, false>(frame, size, padded, weight, out);
    }
}

/// Adds the convolution to `out`: every row, every 16 pixels, every block of output channels.
#[inline(always)]
fn rows<const KERNEL: usize, const BLOCK: usize, const FUSED: bool>(
    frame: &Frame,
    size: &Size,
    padded: &[f32],
    weight: &[f32],
    out: &mut [f32],
) {
    let packed = pack::<BLOCK>(weight, size.inputs, size.outputs, KERNEL * KERNEL);
    let block_words = size.inputs * KERNEL * KERNEL * BLOCK;
    for y in 0..size.height {
        for x in (0..size.width).step_by(PIXELS) {
            let n = PIXELS.min(size.width - x);
            for (block, weights) in packed.chunks_exact(block_words).enumerate() {
                let mut sums = [[0.0f32; PIXELS]; BLOCK];
                let start = y * frame.row + x;
                tile::<KERNEL, BLOCK, FUSED>(&padded[start..], frame, weights, &mut sums);
                for (lane, sums) in sums.iter().enumerate() {
                    let channel = block * BLOCK + lane;
                    if channel >= size.outputs {
                        break;
                    }
                    let at = (channel * size.height + y) * size.width + x;
                    let target = &mut out[at..at + n];
                    for (out, sum) in target.iter_mut().zip(sums) {
                        *out += sum;
                    }
                }
            }
        }
    }
}

/// Sums over all input channels and taps for 16 pixels and a block of output channels.
#[inline(always)]
fn tile<const KERNEL: usize, const BLOCK: usize, const FUSED: bool>(
    padded: &[f32],
    frame: &Frame,
    weights: &[f32],
    sums: &mut [[f32; PIXELS]; BLOCK],
) {
    let mut local = *sums;
    for (input, weights) in weights.chunks_exact(KERNEL * KERNEL * BLOCK).enumerate() {
        for ky in 0..KERNEL {
            let start = input * frame.pitch + ky * frame.row;
            let row = &padded[start..start + PIXELS + KERNEL - 1];
            for kx in 0..KERNEL {
                let values: &[f32; PIXELS] = row[kx..kx + PIXELS].try_into().expect("a tile");
                let at = (ky * KERNEL + kx) * BLOCK;
                let weights: &[f32; BLOCK] = weights[at..at + BLOCK].try_into().expect("a block");
                for lane in 0..BLOCK {
                    for i in 0..PIXELS {
                        local[lane][i] = if FUSED {
                            weights[lane].mul_add(values[i], local[lane][i])
                        } else {
                            weights[lane] * values[i] + local[lane][i]
                        };
                    }
                }
            }
        }
    }
    *sums = local;
}

/// Binding order: x, weight, bias, affine, addend, out.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [x, weight, bias, affine, addend, out] = buffers else {
        panic!("convolve takes 6 bindings")
    };
    convolve(
        &params(bytes),
        x.f32(),
        weight.f32(),
        bias.f32(),
        affine.f32(),
        addend.f32(),
        out.f32_mut(),
    );
}
