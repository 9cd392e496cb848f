// STUB
struct Params {
    n_frames: u32,
    height: u32,
    width: u32,
    shrink: u32,
    rows: u32,
    columns: u32,
    low: f32,
    high: f32,
    zero: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frames: array<f32>;
@group(0) @binding(2) var<storage, read> taper: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

@compute @workgroup_size(64)
fn main() {}
