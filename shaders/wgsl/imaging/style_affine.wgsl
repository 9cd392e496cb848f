// Network: the style of an image, and what it adds before the units on the way up.
//
//     style      = mean of the deepest features over the image, scaled to unit length     (Stringer et al. 2021)
//     affine     = factor[row],  factor[row] * (weight[row] . style + bias[row]) + term[row]
//
// A unit that takes the style computes relu(factor * (x + W style + c) + term); with the batch norm's factor and term that
// is one factor and one term a channel, which is what is written here for all units at once.
//
// A workgroup handles one image (workgroup_id.z). Teams of 32 invocations take a channel, then a row of the table at a
// time: the members read neighbouring words and their sums are added in a tree.
//
// deepest  [image, channel, n_pixels]   features
// table    [row, channel] weights, then [row] biases, [row] factors and [row] terms of the batch norms
// affine   [image, 2, row]              factors, then terms; written in full
//
// Limits: 2048 channels; 65,535 images; 9.1 KiB of workgroup memory.

struct Params {
    n_images: u32,
    channels: u32,
    n_pixels: u32,
    n_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> deepest: array<f32>;
@group(0) @binding(2) var<storage, read> table: array<f32>;
@group(0) @binding(3) var<storage, read_write> affine: array<f32>;

const LANES: u32 = 256u;
// Invocations that sum together.
const TEAM: u32 = 32u;
const TEAMS: u32 = 8u;
// MAX_STYLE_CHANNELS in layout/imaging.rs.
const MAX_CHANNELS: u32 = 2048u;

var<workgroup> style: array<f32, MAX_CHANNELS>;
var<workgroup> lane_sum: array<f32, LANES>;

// Sum of the values of `size` neighbouring invocations; only the first of them gets it. All invocations take part.
fn sum_of(lane: u32, value: f32, size: u32) -> f32 {
    lane_sum[lane] = value;
    workgroupBarrier();
    for (var half = size / 2u; half > 0u; half /= 2u) {
        if lane % size < half {
            lane_sum[lane] += lane_sum[lane + half];
        }
        workgroupBarrier();
    }
    return lane_sum[lane];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let member = lane % TEAM;
    let team = lane / TEAM;
    for (var first = 0u; first < params.channels; first += TEAMS) {
        let channel = first + team;
        var share = 0.0;
        if channel < params.channels {
            let plane = (group.z * params.channels + channel) * params.n_pixels;
            for (var i = member; i < params.n_pixels; i += TEAM) {
                share += deepest[plane + i];
            }
        }
        let sum = sum_of(lane, share, TEAM);
        if channel < params.channels && member == 0u {
            style[channel] = sum / f32(params.n_pixels);
        }
    }
    workgroupBarrier();
    var square = 0.0;
    for (var channel = lane; channel < params.channels; channel += LANES) {
        square += style[channel] * style[channel];
    }
    _ = sum_of(lane, square, LANES);
    let norm = sqrt(lane_sum[0]);
    if norm > 0.0 {
        for (var channel = lane; channel < params.channels; channel += LANES) {
            style[channel] /= norm;
        }
    }
    workgroupBarrier();

    let biases = params.n_rows * params.channels;
    let factors = biases + params.n_rows;
    let terms = factors + params.n_rows;
    for (var first = 0u; first < params.n_rows; first += TEAMS) {
        let row = first + team;
        var share = 0.0;
        if row < params.n_rows {
            for (var channel = member; channel < params.channels; channel += TEAM) {
                share += table[row * params.channels + channel] * style[channel];
            }
        }
        let product = sum_of(lane, share, TEAM);
        if row < params.n_rows && member == 0u {
            let factor = table[factors + row];
            let out = 2u * group.z * params.n_rows + row;
            affine[out] = factor;
            affine[out + params.n_rows] = factor * (product + table[biases + row]) + table[terms + row];
        }
    }
}
