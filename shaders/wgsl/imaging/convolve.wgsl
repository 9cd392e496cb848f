// Network: one unit, a convolution with the batch norm and activation before it and the additions after it.
//
//     out = bias + addend + sum over input channels and taps of weight * relu(factor * x + term)
//
// Batch norm and activation come before the padding, so beyond the edge the sum sees zeros. The layers are those of
// Cellpose's CPnet (Stringer et al. 2021, Nature Methods 18:100).
//
// This is an implicit matrix product: a workgroup of 192 invocations handles 16 rows of 32 pixels and 12 output channels
// of one image (workgroup_id.z). Four input channels at a time, the tile with its border and the weights are brought into
// workgroup memory, activated on the way. An invocation sums 8 pixels below each other for 4 output channels, 32 sums in
// registers: a column of taps reads 10 pixels and 3 vectors of weights for 96 multiply-adds, so that arithmetic, not
// memory, is the limit. Neighbouring invocations are neighbouring pixels: no bank conflicts, and coalesced reads and
// writes; the weights are the same for a whole subgroup. The loops over a column's taps are written out, since a driver
// that does not unroll them would put the sums into memory.
//
// x       [image, in_channel, y, x]            half the size along both axes when `upsample` is 1
// weight  [out_channel, in_channel, kernel, kernel]
// bias    [out_channel]
// affine  factors from affine_offset + image * affine_stride on, one an input channel; terms affine_gap further on
// addend  [image, out_channel, y, x]           not read when `add` is 0
// out     [image, out_channel, y, x]           written in full
//
// Limits: kernels of 1 or 3 pixels, even sizes when `upsample` is 1; 11.3 KiB of workgroup memory.

struct Params {
    n_images: u32,
    height: u32,
    width: u32,
    in_channels: u32,
    out_channels: u32,
    kernel: u32,
    upsample: u32,
    relu: u32,
    add: u32,
    affine_offset: u32,
    affine_gap: u32,
    affine_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> affine: array<f32>;
@group(0) @binding(5) var<storage, read> addend: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

const LANES: u32 = 192u;
// Pixels and output channels of a workgroup: CONVOLVE_TILE in layout/imaging.rs.
const COLUMNS: u32 = 32u;
const ROWS: u32 = 16u;
const CHANNELS: u32 = 12u;
// Pixels of an invocation, one below the other, and invocations of one group of output channels.
const RUN: u32 = 8u;
const RUNS: u32 = 64u;
// Groups of 4 output channels.
const QUADS: u32 = 3u;
// Input channels that are brought in together.
const CHUNK: u32 = 4u;
// The tile with a border of one pixel; 8 rows are 16 banks apart from the next 8.
const PITCH: u32 = 34u;
const PLANE: u32 = 612u;
// Taps of a kernel at most.
const TAPS: u32 = 9u;

var<workgroup> pixels: array<f32, 2448>;
// [channel of the chunk, tap, quad]
var<workgroup> weights: array<vec4<f32>, 108>;

// Sums of the invocation's pixels: 4 output channels each.
var<private> s0: vec4<f32>;
var<private> s1: vec4<f32>;
var<private> s2: vec4<f32>;
var<private> s3: vec4<f32>;
var<private> s4: vec4<f32>;
var<private> s5: vec4<f32>;
var<private> s6: vec4<f32>;
var<private> s7: vec4<f32>;

// Input channel `channel` at (y, x), activated; zero beyond the edge.
fn activated(image: u32, channel: u32, y: i32, column: i32) -> f32 {
    if y < 0 || column < 0 || y >= i32(params.height) || column >= i32(params.width) {
        return 0.0;
    }
    let scale = params.upsample;
    let width = params.width >> scale;
    let plane = (params.height >> scale) * width;
    let value = x[(image * params.in_channels + channel) * plane + (u32(y) >> scale) * width + (u32(column) >> scale)];
    let entry = params.affine_offset + image * params.affine_stride + channel;
    let normed = value * affine[entry] + affine[entry + params.affine_gap];
    return select(normed, max(normed, 0.0), params.relu != 0u);
}

// Brings the tile of `n` input channels from `first` on into workgroup memory; its corner is (top, left), border included.
fn bring_pixels(lane: u32, image: u32, first: u32, n: u32, top: i32, left: i32) {
    let border = params.kernel / 2u;
    let across = COLUMNS + 2u * border;
    let plane = (ROWS + 2u * border) * across;
    for (var item = lane; item < n * plane; item += LANES) {
        let channel = item / plane;
        let rest = item - channel * plane;
        let row = rest / across;
        let column = rest - row * across;
        pixels[channel * PLANE + row * PITCH + column] =
            activated(image, first + channel, top + i32(row), left + i32(column));
    }
}

// The weight of a tap; zero where there is no such output channel.
fn weight_of(output: u32, input: u32, tap: u32, taps: u32) -> f32 {
    if output >= params.out_channels {
        return 0.0;
    }
    return weight[(output * params.in_channels + input) * taps + tap];
}

// Brings the weights of `n` input channels from `first` on for the output channels from `output` on; 4 an invocation.
fn bring_weights(lane: u32, output: u32, first: u32, n: u32) {
    let taps = params.kernel * params.kernel;
    // Neighbouring invocations take neighbouring taps.
    let tap = lane % taps;
    let channel = (lane / taps) % CHUNK;
    let quad = lane / (taps * CHUNK);
    if channel < n && quad < QUADS {
        let from_output = output + 4u * quad;
        weights[(channel * TAPS + tap) * QUADS + quad] = vec4<f32>(
            weight_of(from_output, first + channel, tap, taps),
            weight_of(from_output + 1u, first + channel, tap, taps),
            weight_of(from_output + 2u, first + channel, tap, taps),
            weight_of(from_output + 3u, first + channel, tap, taps),
        );
    }
}

// Adds one column of taps of a 3 by 3 kernel: pixel `at` is that above the invocation's first.
fn add_column(at: u32, tap: u32) {
    let w0 = weights[tap];
    let w1 = weights[tap + 3u * QUADS];
    let w2 = weights[tap + 6u * QUADS];
    let p0 = pixels[at];
    let p1 = pixels[at + PITCH];
    let p2 = pixels[at + 2u * PITCH];
    let p3 = pixels[at + 3u * PITCH];
    let p4 = pixels[at + 4u * PITCH];
    let p5 = pixels[at + 5u * PITCH];
    let p6 = pixels[at + 6u * PITCH];
    let p7 = pixels[at + 7u * PITCH];
    let p8 = pixels[at + 8u * PITCH];
    let p9 = pixels[at + 9u * PITCH];
    s0 += w0 * p0;
    s1 += w0 * p1;
    s2 += w0 * p2;
    s3 += w0 * p3;
    s4 += w0 * p4;
    s5 += w0 * p5;
    s6 += w0 * p6;
    s7 += w0 * p7;
    s0 += w1 * p1;
    s1 += w1 * p2;
    s2 += w1 * p3;
    s3 += w1 * p4;
    s4 += w1 * p5;
    s5 += w1 * p6;
    s6 += w1 * p7;
    s7 += w1 * p8;
    s0 += w2 * p2;
    s1 += w2 * p3;
    s2 += w2 * p4;
    s3 += w2 * p5;
    s4 += w2 * p6;
    s5 += w2 * p7;
    s6 += w2 * p8;
    s7 += w2 * p9;
}

// Adds the one tap of a 1 by 1 kernel.
fn add_pixel(at: u32, tap: u32) {
    let w = weights[tap];
    s0 += w * pixels[at];
    s1 += w * pixels[at + PITCH];
    s2 += w * pixels[at + 2u * PITCH];
    s3 += w * pixels[at + 3u * PITCH];
    s4 += w * pixels[at + 4u * PITCH];
    s5 += w * pixels[at + 5u * PITCH];
    s6 += w * pixels[at + 6u * PITCH];
    s7 += w * pixels[at + 7u * PITCH];
}

// Writes the sums of one pixel, if it is in the image.
fn write_pixel(image: u32, output: u32, y: u32, column: u32, sums: vec4<f32>) {
    if y >= params.height || column >= params.width {
        return;
    }
    let plane = params.height * params.width;
    for (var k = 0u; k < min(4u, params.out_channels - output); k++) {
        let at = (image * params.out_channels + output + k) * plane + y * params.width + column;
        var value = bias[output + k];
        if params.add != 0u {
            value += addend[at];
        }
        out[at] = value + sums[k];
    }
}

@compute @workgroup_size(192)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let image = group.z;
    let tiles_x = (params.width + COLUMNS - 1u) / COLUMNS;
    let top = group.x / tiles_x * ROWS;
    let left = group.x % tiles_x * COLUMNS;
    let first_output = group.y * CHANNELS;
    let border = i32(params.kernel / 2u);
    // The invocation's pixels and output channels.
    let quad = lane / RUNS;
    let column = lane % COLUMNS;
    let row = (lane % RUNS) / COLUMNS * RUN;
    s0 = vec4<f32>(0.0);
    s1 = vec4<f32>(0.0);
    s2 = vec4<f32>(0.0);
    s3 = vec4<f32>(0.0);
    s4 = vec4<f32>(0.0);
    s5 = vec4<f32>(0.0);
    s6 = vec4<f32>(0.0);
    s7 = vec4<f32>(0.0);
    for (var first = 0u; first < params.in_channels; first += CHUNK) {
        let n = min(CHUNK, params.in_channels - first);
        bring_pixels(lane, image, first, n, i32(top) - border, i32(left) - border);
        bring_weights(lane, first_output, first, n);
        workgroupBarrier();
        for (var channel = 0u; channel < n; channel++) {
            let at = channel * PLANE + row * PITCH + column;
            let tap = channel * TAPS * QUADS + quad;
            if params.kernel == 3u {
                add_column(at, tap);
                add_column(at + 1u, tap + QUADS);
                add_column(at + 2u, tap + 2u * QUADS);
            } else {
                add_pixel(at, tap);
            }
        }
        workgroupBarrier();
    }
    let output = first_output + 4u * quad;
    if output < params.out_channels {
        write_pixel(image, output, top + row, left + column, s0);
        write_pixel(image, output, top + row + 1u, left + column, s1);
        write_pixel(image, output, top + row + 2u, left + column, s2);
        write_pixel(image, output, top + row + 3u, left + column, s3);
        write_pixel(image, output, top + row + 4u, left + column, s4);
        write_pixel(image, output, top + row + 5u, left + column, s5);
        write_pixel(image, output, top + row + 6u, left + column, s6);
        write_pixel(image, output, top + row + 7u, left + column, s7);
    }
}
