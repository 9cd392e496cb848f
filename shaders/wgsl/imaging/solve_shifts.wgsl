// STUB
struct Params {
    n_frames: u32,
    height: u32,
    knot_rows: u32,
    knot_columns: u32,
    reach: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read> system: array<f32>;
@group(0) @binding(3) var<storage, read> start: array<f32>;
@group(0) @binding(4) var<storage, read_write> knots: array<f32>;
@group(0) @binding(5) var<storage, read_write> fit_of_frame: array<f32>;

@compute @workgroup_size(64)
fn main() {}
