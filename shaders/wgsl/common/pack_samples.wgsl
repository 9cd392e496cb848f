// Packing: values rounded to steps of 1 / scale, two in a word. What goes through this and `unpack_samples` takes half
// the room and comes out the same from a file as from memory.
//
//     q[i]   = clamp(round(x[i] * scale), -32767, 32767)
//     out[j] = q[2 j] in the low half, q[2 j + 1] in the high half
//
// One invocation packs one word, then strides.
//
// x    [2 n_words]  values
// out  [n_words]    pairs of 16-bit integers, written in full
//
// Limits: none beyond the binding size. Halves of a step go to the even neighbour, here as in the twin.

struct Params {
    n_words: u32,
    scale: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<u32>;

const LANES: u32 = 256u;
const LARGEST: f32 = 32767.0;

fn quantised(value: f32) -> u32 {
    return bitcast<u32>(i32(clamp(round(value * params.scale), -LARGEST, LARGEST))) & 0xffffu;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var i = group.x * LANES + lane; i < params.n_words; i += groups.x * LANES) {
        out[i] = quantised(x[2u * i]) | (quantised(x[2u * i + 1u]) << 16u);
    }
}
