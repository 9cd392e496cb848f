// Unpacking: what `pack_samples` packed, as floats again.
//
//     out[2 j]     = low half of packed[j], signed,  * step
//     out[2 j + 1] = high half of packed[j], signed, * step
//
// One invocation unpacks one word, then strides.
//
// packed  [n_words]    pairs of 16-bit integers
// out     [2 n_words]  values, written in full
//
// Limits: none beyond the binding size.

struct Params {
    n_words: u32,
    step: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> packed: array<u32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;

const LANES: u32 = 256u;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var i = group.x * LANES + lane; i < params.n_words; i += groups.x * LANES) {
        let word = packed[i];
        out[2u * i] = f32(i32(word << 16u) >> 16u) * params.step;
        out[2u * i + 1u] = f32(bitcast<i32>(word) >> 16u) * params.step;
    }
}
