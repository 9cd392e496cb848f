// STUB
struct Params {
    n_bins: u32,
    n_pixels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> mean: array<f32>;
@group(0) @binding(2) var<storage, read> inverse_noise: array<f32>;
@group(0) @binding(3) var<storage, read_write> bins: array<f32>;

@compute @workgroup_size(64)
fn main() {}
