// Decoding: raw frames to microvolts, the first thing that happens to a recording.
//
//     out[t, c] = value(raw, t, select[c]) * gain_uv[c] - offset_uv[c],   0 where that is not finite
//
// One invocation handles one sample of one kept channel, then strides over the window, so that a window of any
// length fits into 65,535 workgroups.
//
// raw         [block, block_words]   words as read from the file; frames [time, file channel], little-endian
// select      [channel]              file channel of each kept channel
// gain_uv     [channel]              µV a step
// offset_uv   [channel]              µV
// out         [block, time, channel] µV, written in full
// not_finite  [1]                    count of replaced values, added to; zero at the start
//
// Limits: none beyond the binding size. Not-a-number is tested on the bits: a compiler may assume that a float is
// finite, but not that an integer is small.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_file_channels: u32,
    n_channels: u32,
    sample_type: u32,
    block_words: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read> select: array<u32>;
@group(0) @binding(3) var<storage, read> gain_uv: array<f32>;
@group(0) @binding(4) var<storage, read> offset_uv: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;
@group(0) @binding(6) var<storage, read_write> not_finite: array<atomic<u32>>;

const LANES: u32 = 256u;
const I16: u32 = 0u;
const U16: u32 = 1u;
const I32: u32 = 2u;
const EXPONENT: u32 = 0x7f800000u;
// Larger values, uV, count as not finite.
const LARGEST_UV: f32 = 1e9;

fn is_finite(bits: u32) -> bool {
    return (bits & EXPONENT) != EXPONENT;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = params.n_samples * params.n_channels;
    let raw_base = group.z * params.block_words;
    for (var i = group.x * LANES + lane; i < n; i += groups.x * LANES) {
        let t = i / params.n_channels;
        let c = i - t * params.n_channels;
        let at = t * params.n_file_channels + select[c];
        var value = 0.0;
        var finite = true;
        if params.sample_type <= U16 {
            let half = raw[raw_base + at / 2u] >> (16u * (at & 1u));
            if params.sample_type == I16 {
                value = f32(i32(half << 16u) >> 16u);
            } else {
                value = f32(half & 0xffffu);
            }
        } else {
            let word = raw[raw_base + at];
            if params.sample_type == I32 {
                value = f32(bitcast<i32>(word));
            } else {
                finite = is_finite(word);
                value = bitcast<f32>(select_word(word, finite));
            }
        }
        var result = value * gain_uv[c] - offset_uv[c];
        let usable = finite && is_finite(bitcast<u32>(result)) && abs(result) <= LARGEST_UV;
        if params.sample_type > I32 && !usable {
            result = 0.0;
            atomicAdd(&not_finite[0], 1u);
        }
        out[group.z * n + i] = result;
    }
}

// The word, or the bits of 0 when it is not a finite float.
fn select_word(word: u32, finite: bool) -> u32 {
    if finite {
        return word;
    }
    return 0u;
}
