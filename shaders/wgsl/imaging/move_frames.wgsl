// STUB
struct Params {
    n_frames: u32,
    height: u32,
    width: u32,
    knot_rows: u32,
    knot_columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frames: array<f32>;
@group(0) @binding(2) var<storage, read> knots: array<f32>;
@group(0) @binding(3) var<storage, read> reference: array<f32>;
@group(0) @binding(4) var<storage, read_write> moved: array<f32>;
@group(0) @binding(5) var<storage, read_write> spans: array<u32>;

@compute @workgroup_size(64)
fn main() {}
