// Masks: how many pixels end at every pixel.
//
//     histogram[ends[i]] += 1
//
// One invocation handles one end, then strides over the list. Counts are integers, so their order does not matter.
//
// ends       [point]  pixel numbers; those beyond the image are left out
// histogram  [y, x]   added to
//
// Limits: none beyond the binding size.

struct Params {
    n_points: u32,
    n_pixels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ends: array<u32>;
@group(0) @binding(2) var<storage, read_write> histogram: array<atomic<u32>>;

const LANES: u32 = 256u;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var i = group.x * LANES + lane; i < params.n_points; i += groups.x * LANES) {
        let end = ends[i];
        if end < params.n_pixels {
            atomicAdd(&histogram[end], 1u);
        }
    }
}
