// STUB
struct Params {
    n_traces: u32,
    n_frames: u32,
    n_taps: u32,
    sweeps: u32,
    full_every: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> traces: array<f32>;
@group(0) @binding(2) var<storage, read> response: array<f32>;
@group(0) @binding(3) var<storage, read> penalty: array<f32>;
@group(0) @binding(4) var<storage, read_write> spikes: array<f32>;
@group(0) @binding(5) var<storage, read_write> residual: array<f32>;

@compute @workgroup_size(64)
fn main() {}
