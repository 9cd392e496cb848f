// Decoding: raw frames of any pixel type to f32, the first thing that happens to a movie.
//
//     out[y, x] = raw[y, x + row_offset] on odd rows, raw[y, x] on even ones
//
// A resonant scanner sweeps odd rows backwards; a wrong delay shows as odd rows that lie a little to one side. The whole
// part of the offset is a copy; a fraction is a cubic interpolation along the row (Keys 1981, IEEE Trans. ASSP 29:1153,
// a = -1/2), the ends of the row repeated. A value that is not finite becomes 0.
//
// One invocation handles one pixel of one frame (workgroup_id.z), then strides over the frame. Neighbouring invocations
// read neighbouring pixels, four of them on odd rows, which are in the cache by then.
//
// raw  [frame, y, x]  pixels as read from the file, little-endian, without a gap between frames
// out  [frame, y, x]  the file's unit, written in full
//
// Limits: 65,535 frames. Not-a-number is tested on the bits: a compiler may assume that a float is finite, but not that
// an integer is small.

struct Params {
    n_frames: u32,
    height: u32,
    width: u32,
    pixel_type: u32,
    row_offset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

const LANES: u32 = 256u;
const I16: u32 = 0u;
const U16: u32 = 1u;
const I32: u32 = 2u;
const F32: u32 = 3u;
const U8: u32 = 4u;
const I8: u32 = 5u;
const EXPONENT: u32 = 0x7f800000u;
// Larger values count as not finite.
const LARGEST: f32 = 1e9;

// Pixel number `at` of all frames.
fn pixel(at: u32) -> f32 {
    if params.pixel_type == I16 || params.pixel_type == U16 {
        let half = raw[at / 2u] >> (16u * (at & 1u));
        if params.pixel_type == I16 {
            return f32(i32(half << 16u) >> 16u);
        }
        return f32(half & 0xffffu);
    }
    if params.pixel_type == U8 || params.pixel_type == I8 {
        let byte = raw[at / 4u] >> (8u * (at & 3u));
        if params.pixel_type == I8 {
            return f32(i32(byte << 24u) >> 24u);
        }
        return f32(byte & 0xffu);
    }
    let word = raw[at];
    if params.pixel_type == F32 {
        if (word & EXPONENT) == EXPONENT || abs(bitcast<f32>(word)) > LARGEST {
            return 0.0;
        }
        return bitcast<f32>(word);
    }
    if params.pixel_type == I32 {
        return f32(bitcast<i32>(word));
    }
    return f32(word);
}

// Value of a row between its pixels: column `x` and the offset from it, whole and fraction.
fn interpolated(row: u32, x: u32, whole: i32, t: f32) -> f32 {
    let last = i32(params.width) - 1;
    let at = vec4<i32>(i32(x) + whole) + vec4<i32>(-1, 0, 1, 2);
    let column = vec4<u32>(clamp(at, vec4<i32>(0), vec4<i32>(last)));
    let a = pixel(row + column.x) * (((-0.5 * t + 1.0) * t - 0.5) * t);
    let b = pixel(row + column.y) * ((1.5 * t - 2.5) * t * t + 1.0);
    let c = pixel(row + column.z) * (((-1.5 * t + 2.0) * t + 0.5) * t);
    let d = pixel(row + column.w) * ((0.5 * t - 0.5) * t * t);
    return (a + b) + (c + d);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = params.height * params.width;
    let base = group.z * n;
    let whole = floor(params.row_offset);
    let fraction = params.row_offset - whole;
    // A row further on, all pixels are its end.
    let furthest = f32(params.width) + 2.0;
    let whole_columns = i32(clamp(whole, -furthest, furthest));
    for (var i = group.x * LANES + lane; i < n; i += groups.x * LANES) {
        let y = i / params.width;
        if params.row_offset == 0.0 || (y & 1u) == 0u {
            out[base + i] = pixel(base + i);
        } else {
            let row = y * params.width;
            out[base + i] = interpolated(base + row, i - row, whole_columns, fraction);
        }
    }
}
