// STUB
struct Params {
    n_images: u32,
    height: u32,
    width: u32,
    in_channels: u32,
    out_channels: u32,
    kernel: u32,
    upsample: u32,
    relu: u32,
    add: u32,
    affine_offset: u32,
    affine_gap: u32,
    affine_stride: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
@group(0) @binding(3) var<storage, read> bias: array<f32>;
@group(0) @binding(4) var<storage, read> affine: array<f32>;
@group(0) @binding(5) var<storage, read> addend: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main() {}
