// STUB
struct Params {
    n_blocks: u32,
    block_frames: u32,
    bin_frames: u32,
    n_frames: u32,
    height: u32,
    width: u32,
    min_correlation: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> moved: array<f32>;
@group(0) @binding(2) var<storage, read> spans: array<u32>;
@group(0) @binding(3) var<storage, read> fit_of_frame: array<f32>;
@group(0) @binding(4) var<storage, read> reference: array<f32>;
@group(0) @binding(5) var<storage, read_write> bins: array<f32>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64)
fn main() {}
