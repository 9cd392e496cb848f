// STUB
struct Params {
    n_frames: u32,
    height: u32,
    width: u32,
    pixel_type: u32,
    row_offset: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> raw: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main() {}
