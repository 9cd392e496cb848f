// High-pass: third-order Butterworth, forward then backward over the window, so sixth order and no phase
// (Gustafsson 1996, IEEE Trans. Signal Processing 44:988).
//
//     y = b0 v + s1;  s1 = b1 v - a1 y + s2;  s2 = b2 v - a2 y        one biquad,
//     z = c0 y + s3;  s3 = c1 y - d1 z                                one first-order section
//
// in transposed direct form II, where v is the sample less the first sample of the pass: a constant offset makes no
// transient. One invocation handles one channel of one block, since a recursive filter is sequential in time;
// neighbouring invocations are neighbouring channels, so that every step reads and writes whole cache lines.
//
// x  [block, time, channel]  µV, filtered in place
//
// Limits: none beyond the binding size. The card is kept busy by blocks that travel together.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    b0: f32,
    b1: f32,
    b2: f32,
    a1: f32,
    a2: f32,
    c0: f32,
    c1: f32,
    d1: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;

const LANES: u32 = 64u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = group.x * LANES + lane;
    if c >= params.n_channels || params.n_samples == 0u {
        return;
    }
    let base = group.z * params.n_samples * params.n_channels + c;
    for (var backward = 0u; backward < 2u; backward++) {
        let first = select(0u, params.n_samples - 1u, backward == 1u);
        let origin = x[base + first * params.n_channels];
        var s1 = 0.0;
        var s2 = 0.0;
        var s3 = 0.0;
        for (var step = 0u; step < params.n_samples; step++) {
            let t = select(step, params.n_samples - 1u - step, backward == 1u);
            let at = base + t * params.n_channels;
            let v = x[at] - origin;
            let y = params.b0 * v + s1;
            s1 = params.b1 * v - params.a1 * y + s2;
            s2 = params.b2 * v - params.a2 * y;
            let z = params.c0 * y + s3;
            s3 = params.c1 * y - params.d1 * z;
            x[at] = z;
        }
    }
}
