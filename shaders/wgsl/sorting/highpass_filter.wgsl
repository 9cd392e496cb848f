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

// What the two sections remember.
struct State {
    s1: f32,
    s2: f32,
    s3: f32,
}

// One step of both sections.
fn filtered(state: ptr<function, State>, v: f32) -> f32 {
    let y = params.b0 * v + (*state).s1;
    (*state).s1 = params.b1 * v - params.a1 * y + (*state).s2;
    (*state).s2 = params.b2 * v - params.a2 * y;
    let z = params.c0 * y + (*state).s3;
    (*state).s3 = params.c1 * y - params.d1 * z;
    return z;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = group.x * LANES + lane;
    let n = params.n_samples;
    if c >= params.n_channels || n == 0u {
        return;
    }
    let base = group.z * n * params.n_channels + c;
    for (var backward = 0u; backward < 2u; backward++) {
        var state = State(0.0, 0.0, 0.0);
        let origin = x[base + select(0u, n - 1u, backward == 1u) * params.n_channels];
        // Four samples a turn: their reads do not wait for each other. Steps beyond the end read the last sample
        // again and write nothing.
        for (var first = 0u; first < n; first += 4u) {
            let step = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(n - 1u));
            let at = base + select(step, (n - 1u) - step, vec4<bool>(backward == 1u)) * params.n_channels;
            let v = vec4<f32>(x[at.x], x[at.y], x[at.z], x[at.w]) - origin;
            let z0 = filtered(&state, v.x);
            let z1 = filtered(&state, v.y);
            let z2 = filtered(&state, v.z);
            let z3 = filtered(&state, v.w);
            x[at.x] = z0;
            if first + 1u < n {
                x[at.y] = z1;
            }
            if first + 2u < n {
                x[at.z] = z2;
            }
            if first + 3u < n {
                x[at.w] = z3;
            }
        }
    }
}
