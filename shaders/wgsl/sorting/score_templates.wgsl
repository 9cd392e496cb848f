// Matching, scores: the inner product of every unit's template with the data at every start sample.
//
//     out[u, t] = sum_r sum_l temporal[u, r, l] * p[r, t + l],   p[r, t] = sum_i spatial[i, r] * x[channel[i], t]
//
// over the entries i of the unit; 0 where the template would leave the window. Templates are low rank (a few spatial
// times temporal components, by singular values), so the sum over channels is done once for all taps.
//
// A workgroup handles 128 start samples of one unit (workgroup_id.y). First it projects its samples and the tail of a
// template onto the spatial components, coalesced along time, into workgroup memory; then one invocation correlates
// one start sample with the temporal components. The components stand side by side in a vec4.
//
// x              [block, channel, time]  noise deviations
// channel_start  [unit + 1]              the entries of unit u are channel_start[u]..channel_start[u + 1]
// channel        [entry]                 channel
// spatial        [entry, rank]           spatial components
// temporal       [unit, rank, tap]       temporal components
// out            [block, unit, time]     noise deviations times the template's norm, written in full
//
// Limits: n_taps at most 256, rank at most 4; 10 KiB of workgroup memory; 65,535 units.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_units: u32,
    n_taps: u32,
    rank: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> channel_start: array<u32>;
@group(0) @binding(3) var<storage, read> channel: array<u32>;
@group(0) @binding(4) var<storage, read> spatial: array<f32>;
@group(0) @binding(5) var<storage, read> temporal: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

const LANES: u32 = 128u;
const MAX_TAPS: u32 = 256u;

var<workgroup> projected: array<vec4<f32>, 384>;
var<workgroup> taps: array<vec4<f32>, MAX_TAPS>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n_taps = min(params.n_taps, MAX_TAPS);
    let rank = min(params.rank, 4u);
    let unit = group.y;
    let first = group.x * LANES;
    let base = group.z * params.n_channels * params.n_samples;

    // An invocation projects at most three samples: 128 + 255 of them.
    let at = vec3<u32>(first + lane) + vec3<u32>(0u, LANES, 2u * LANES);
    let at_inside = base + min(at, vec3<u32>(params.n_samples - 1u));
    let n_reads = min((LANES + n_taps - 1u + LANES - 1u) / LANES, 3u);
    var sum0 = vec4<f32>(0.0);
    var sum1 = vec4<f32>(0.0);
    var sum2 = vec4<f32>(0.0);
    for (var i = channel_start[unit]; i < channel_start[unit + 1u]; i++) {
        var w = vec4<f32>(0.0);
        for (var r = 0u; r < rank; r++) {
            w[r] = spatial[i * rank + r];
        }
        let row = channel[i] * params.n_samples;
        sum0 += w * x[row + at_inside.x];
        sum1 += w * x[row + at_inside.y];
        if n_reads > 2u {
            sum2 += w * x[row + at_inside.z];
        }
    }
    projected[lane] = sum0;
    projected[LANES + lane] = sum1;
    projected[2u * LANES + lane] = sum2;
    for (var l = lane; l < n_taps; l += LANES) {
        var quad = vec4<f32>(0.0);
        for (var r = 0u; r < rank; r++) {
            quad[r] = temporal[(unit * rank + r) * n_taps + l];
        }
        taps[l] = quad;
    }
    workgroupBarrier();

    let t = first + lane;
    if t < params.n_samples {
        var sum = 0.0;
        if t + n_taps <= params.n_samples {
            for (var l = 0u; l < n_taps; l++) {
                sum += dot(taps[l], projected[lane + l]);
            }
        }
        out[(group.z * params.n_units + unit) * params.n_samples + t] = sum;
    }
}
