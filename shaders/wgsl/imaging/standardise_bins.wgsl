// Summary images: bins in units of their noise, in place.
//
//     bins[p] = (bins[p] - mean[p]) * inverse_noise[p]
//
// One invocation handles one pixel of one bin (workgroup_id.z), then strides over the image.
//
// mean           [y, x]       the movie's unit
// inverse_noise  [y, x]       1 / the movie's unit; 0 makes a pixel absent
// bins           [bin, y, x]  the movie's unit before, noise deviations after
//
// Limits: 65,535 bins.

struct Params {
    n_bins: u32,
    n_pixels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> inverse_noise: array<f32>;
@group(0) @binding(3) var<storage, read_write> bins: array<f32>;

const LANES: u32 = 256u;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let base = group.z * params.n_pixels;
    for (var i = group.x * LANES + lane; i < params.n_pixels; i += groups.x * LANES) {
        bins[base + i] = (bins[base + i] - mean[i]) * inverse_noise[i];
    }
}
