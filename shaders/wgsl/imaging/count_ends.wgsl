// STUB
struct Params {
    n_points: u32,
    n_pixels: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> ends: array<u32>;
@group(0) @binding(2) var<storage, read_write> histogram: array<u32>;

@compute @workgroup_size(64)
fn main() {}
