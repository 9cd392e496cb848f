// Network: half the resolution, by the largest of every 2 by 2 pixels.
//
//     out[y, x] = max of x[2 y .. 2 y + 2, 2 x .. 2 x + 2]
//
// One invocation handles one pixel of the output of one channel of one image (workgroup_id.z), then strides over the
// plane. Neighbouring invocations read neighbouring pairs of two rows.
//
// x    [image and channel, 2 height, 2 width]
// out  [image and channel, height, width]      written in full
//
// Limits: 65,535 images times channels.

struct Params {
    n_images: u32,
    height: u32,
    width: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

const LANES: u32 = 256u;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = params.height * params.width;
    for (var i = group.x * LANES + lane; i < n; i += groups.x * LANES) {
        let row = i / params.width;
        let upper = 4u * (group.z * n + row * params.width) + 2u * (i - row * params.width);
        let lower = upper + 2u * params.width;
        out[group.z * n + i] = max(max(x[upper], x[upper + 1u]), max(x[lower], x[lower + 1u]));
    }
}
