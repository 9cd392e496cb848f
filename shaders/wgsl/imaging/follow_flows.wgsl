// STUB
struct Params {
    height: u32,
    width: u32,
    n_points: u32,
    steps: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> flow: array<f32>;
@group(0) @binding(2) var<storage, read> points: array<u32>;
@group(0) @binding(3) var<storage, read_write> ends: array<u32>;

@compute @workgroup_size(64)
fn main() {}
