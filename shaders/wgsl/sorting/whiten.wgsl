// Whitening: a sparse matrix a block applied to every sample (local ZCA; Yger et al. 2018, eLife 7:e34518). When the
// tissue moved, the block's matrix has the interpolation of the motion folded in.
//
//     out[c, t] = sum_k weight[matrix_of_block, c, k] * x[t, neighbour[c, k]]
//
// The kernel also turns the data: channels lie side by side before it, samples after it. A workgroup handles 32
// samples of 32 channels. One invocation sums four samples of one channel, so that a weight is read once for four;
// neighbouring invocations are neighbouring channels, whose sources share cache lines. The results are turned in
// workgroup memory, so that the writes are coalesced as well.
//
// x                [block, time, channel]         µV
// neighbour        [channel, n_neighbours]        source channels, any where the weight is 0
// weight           [matrix, channel, n_neighbours] noise deviations a µV
// matrix_of_block  [block]                        which matrix a block takes
// out              [block, channel, time]         noise deviations, written in full
//
// Limits: 4.2 KiB of workgroup memory.

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
@group(0) @binding(4) var<storage, read> matrix_of_block: array<u32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

// Samples and channels of a tile; one more column keeps the turned accesses in different memory banks.
const TILE: u32 = 32u;
const PITCH: u32 = 33u;
const ROWS: u32 = 8u;

var<workgroup> tile: array<f32, 1056>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let column = lane % TILE;
    let row = lane / TILE;
    let first_t = group.x * TILE;
    let first_c = group.y * TILE;
    let base = group.z * params.n_samples * params.n_channels;

    let c = min(first_c + column, params.n_channels - 1u);
    let entries = c * params.n_neighbours;
    let weights = matrix_of_block[group.z] * params.n_channels * params.n_neighbours + entries;
    let t = vec4<u32>(first_t + row) + vec4<u32>(0u, ROWS, 2u * ROWS, 3u * ROWS);
    // Samples beyond the window are computed from its last one and never written.
    let at = base + min(t, vec4<u32>(params.n_samples - 1u)) * params.n_channels;
    var sum = vec4<f32>(0.0);
    for (var k = 0u; k < params.n_neighbours; k++) {
        let w = weight[weights + k];
        if w != 0.0 {
            let source = at + neighbour[entries + k];
            sum += w * vec4<f32>(x[source.x], x[source.y], x[source.z], x[source.w]);
        }
    }
    for (var i = 0u; i < 4u; i++) {
        tile[column * PITCH + row + i * ROWS] = sum[i];
    }
    workgroupBarrier();
    let out_t = first_t + column;
    for (var i = 0u; i < 4u; i++) {
        let out_c = first_c + row + i * ROWS;
        if out_t < params.n_samples && out_c < params.n_channels {
            out[base + out_c * params.n_samples + out_t] = tile[(row + i * ROWS) * PITCH + column];
        }
    }
}
