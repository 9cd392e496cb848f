// Detection, second half: the best universal template at every channel and time (Pachitariu et al. 2024, Nature
// Methods 21:914: temporal shapes times Gaussian footprints, as published; no code of it).
//
//     out[c, t] = max over sizes z and shapes s of sum_k weight[z, c, k] * conv[neighbour[c, k], s, t],  at least 0
//
// A workgroup handles 128 samples of one centre channel (workgroup_id.y), one invocation each. Weights of four sizes
// and the list of neighbours stand in workgroup memory: a value of `conv`, read coalesced, serves four sizes.
//
// conv       [block, channel, shape, time]   noise deviations
// neighbour  [channel, n_neighbours]         channels of a footprint, any where the weight is 0
// weight     [size, channel, n_neighbours]   unit norm over the footprint
// out        [block, channel, time]          noise deviations, written in full
//
// Limits: n_neighbours at most 256; 5 KiB of workgroup memory; 65,535 channels.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_shapes: u32,
    n_sizes: u32,
    n_neighbours: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> conv: array<f32>;
@group(0) @binding(2) var<storage, read> neighbour: array<u32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

const LANES: u32 = 128u;
const MAX_NEIGHBOURS: u32 = 256u;

// Four sizes side by side.
var<workgroup> weights: array<vec4<f32>, MAX_NEIGHBOURS>;
// Where a neighbour's rows begin in `conv`.
var<workgroup> rows: array<u32, MAX_NEIGHBOURS>;

@compute @workgroup_size(128)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n_neighbours = min(params.n_neighbours, MAX_NEIGHBOURS);
    let c = group.y;
    let t = group.x * LANES + lane;
    let t_inside = min(t, params.n_samples - 1u);
    var best = 0.0;
    for (var z = 0u; z < params.n_sizes; z += 4u) {
        workgroupBarrier();
        for (var k = lane; k < n_neighbours; k += LANES) {
            var quad = vec4<f32>(0.0);
            for (var i = 0u; i < min(4u, params.n_sizes - z); i++) {
                quad[i] = weight[((z + i) * params.n_channels + c) * params.n_neighbours + k];
            }
            weights[k] = quad;
            let source = min(neighbour[c * params.n_neighbours + k], params.n_channels - 1u);
            rows[k] = (group.z * params.n_channels + source) * params.n_shapes * params.n_samples;
        }
        workgroupBarrier();
        for (var s = 0u; s < params.n_shapes; s++) {
            var sum = vec4<f32>(0.0);
            for (var k = 0u; k < n_neighbours; k++) {
                sum += conv[rows[k] + s * params.n_samples + t_inside] * weights[k];
            }
            best = max(best, max(max(sum.x, sum.y), max(sum.z, sum.w)));
        }
    }
    if t < params.n_samples {
        out[(group.z * params.n_channels + c) * params.n_samples + t] = best;
    }
}
