// STUB
struct Params {
    n_frames: u32,
    rows: u32,
    columns: u32,
    max_y: u32,
    max_x: u32,
    shrink: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> correlation: array<f32>;
@group(0) @binding(2) var<storage, read_write> shifts: array<f32>;

@compute @workgroup_size(64)
fn main() {}
