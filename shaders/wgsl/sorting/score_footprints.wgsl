// Detection: the best universal template at every channel and time (Pachitariu et al. 2024, Nature Methods 21:914:
// temporal shapes times Gaussian footprints, as published; no code of it; matched filters: Turin 1960, IRE Trans. Inf.
// Theory 6:311).
//
//     out[c, t] = max over sizes z and shapes s of sum_k shape[s, k] * sum_n weight[z, c, n] * x[neighbour[c, n], t + k],
//                 0 where that is not above the threshold, or where the shape would leave the window
//
// A workgroup handles 128 start samples of one centre channel (workgroup_id.y), one invocation each. Footprints come
// first: the channels around, weighted with four sizes side by side, stand in workgroup memory, and every shape is
// correlated with them there. Nothing but `x` and `out` is in device memory. All scores are computed: `stride` and
// `gate` are the twin's.
//
// x          [block, channel, time]          noise deviations
// shape      [shape, tap]                    unit norm
// neighbour  [channel, n_neighbours]         channels of a footprint, any where the weight is 0
// weight     [size, channel, n_neighbours]   unit norm over the footprint
// out        [block, channel, time]          noise deviations, written in full
//
// Limits: n_taps at most 256; 8 KiB of workgroup memory; 65,535 channels.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_shapes: u32,
    n_sizes: u32,
    n_neighbours: u32,
    n_taps: u32,
    threshold: f32,
    stride: u32,
    gate: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> shape: array<f32>;
@group(0) @binding(3) var<storage, read> neighbour: array<u32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

const LANES: u32 = 128u;
const MAX_TAPS: u32 = 256u;
const SPAN: u32 = 384u;

// Four sizes side by side, [LANES + MAX_TAPS].
var<workgroup> field: array<vec4<f32>, SPAN>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n_taps = min(params.n_taps, MAX_TAPS);
    let c = group.y;
    let first = group.x * LANES;
    let t = first + lane;
    let inside = t + n_taps <= params.n_samples;
    var best = 0.0;
    for (var z = 0u; z < params.n_sizes; z += 4u) {
        workgroupBarrier();
        for (var i = lane; i < LANES + n_taps; i += LANES) {
            let at = min(first + i, params.n_samples - 1u);
            var sum = vec4<f32>(0.0);
            for (var k = 0u; k < params.n_neighbours; k++) {
                let source = min(neighbour[c * params.n_neighbours + k], params.n_channels - 1u);
                let value = x[(group.z * params.n_channels + source) * params.n_samples + at];
                for (var j = 0u; j < min(4u, params.n_sizes - z); j++) {
                    sum[j] += weight[((z + j) * params.n_channels + c) * params.n_neighbours + k] * value;
                }
            }
            field[i] = sum;
        }
        workgroupBarrier();
        if inside {
            // Three shapes for one reading of the field; where there are fewer the last one again.
            for (var s = 0u; s < params.n_shapes; s += 3u) {
                let last = params.n_shapes - 1u;
                let shapes = vec3<u32>(s, min(s + 1u, last), min(s + 2u, last)) * params.n_taps;
                var sum0 = vec4<f32>(0.0);
                var sum1 = vec4<f32>(0.0);
                var sum2 = vec4<f32>(0.0);
                for (var k = 0u; k < n_taps; k++) {
                    let value = field[lane + k];
                    sum0 += value * shape[shapes.x + k];
                    sum1 += value * shape[shapes.y + k];
                    sum2 += value * shape[shapes.z + k];
                }
                let sum = max(sum0, max(sum1, sum2));
                best = max(best, max(max(sum.x, sum.y), max(sum.z, sum.w)));
            }
        }
    }
    if t < params.n_samples {
        out[(group.z * params.n_channels + c) * params.n_samples + t] = select(0.0, best, best > params.threshold);
    }
}
