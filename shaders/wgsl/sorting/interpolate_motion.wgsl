// Motion: the whitened field moved back to where the tissue was, a sparse matrix a block between channels
// (kriging; Steinmetz et al. 2021, Science 372:eabf4588).
//
//     out[c, t] = sum_k weight[block, c, k] * x[neighbour[c, k], t]
//
// A workgroup handles 256 samples of one channel, one invocation a sample: reads and writes are coalesced, and the
// weights are the same for the whole workgroup.
//
// x          [block, channel, time]           noise deviations
// neighbour  [channel, n_neighbours]          source channels, any where the weight is 0
// weight     [block, channel, n_neighbours]   shares
// out        [block, channel, time]           noise deviations, written in full
//
// Limits: none beyond the sizes of the bindings.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_neighbours: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> neighbour: array<u32>;
@group(0) @binding(3) var<storage, read> weight: array<f32>;
@group(0) @binding(4) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = group.x * 256u + lane;
    if t >= params.n_samples {
        return;
    }
    let c = group.y;
    let base = group.z * params.n_channels;
    let entries = c * params.n_neighbours;
    let weights = (base + c) * params.n_neighbours;
    var sum = 0.0;
    for (var k = 0u; k < params.n_neighbours; k++) {
        let w = weight[weights + k];
        if w != 0.0 {
            sum += w * x[(base + neighbour[entries + k]) * params.n_samples + t];
        }
    }
    out[(base + c) * params.n_samples + t] = sum;
}
