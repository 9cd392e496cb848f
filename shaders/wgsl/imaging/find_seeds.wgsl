// STUB
struct Params {
    height: u32,
    width: u32,
    min_count: u32,
    radius: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> histogram: array<u32>;
@group(0) @binding(2) var<storage, read_write> seeds: array<u32>;

@compute @workgroup_size(64)
fn main() {}
