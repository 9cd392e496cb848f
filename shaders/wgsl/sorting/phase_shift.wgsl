// Sample-skew correction: sub-sample delays of multiplexed converters undone.
//
//     out[t, c] = sum_k taps[c, k] * x[t + k - n_taps / 2, c]      (times clamped to the window)
//
// Each channel has its own short windowed-sinc filter (Crochiere and Rabiner 1983, Multirate Digital Signal
// Processing); the host makes the taps. One invocation handles one sample of one channel, then strides over the
// window; neighbouring invocations are neighbouring channels, which lie side by side.
//
// x     [block, time, channel]  µV
// taps  [channel, tap]          weights without unit, n_taps odd
// out   [block, time, channel]  µV, written in full
//
// Limits: none beyond the binding size.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_taps: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> taps: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const LANES: u32 = 256u;

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = params.n_samples * params.n_channels;
    let base = group.z * n;
    let half = i32(params.n_taps / 2u);
    let last = i32(params.n_samples) - 1;
    for (var i = group.x * LANES + lane; i < n; i += groups.x * LANES) {
        let t = i / params.n_channels;
        let c = i - t * params.n_channels;
        var sum = 0.0;
        for (var k = 0u; k < params.n_taps; k++) {
            let source = u32(clamp(i32(t + k) - half, 0, last));
            sum += taps[c * params.n_taps + k] * x[base + source * params.n_channels + c];
        }
        out[base + i] = sum;
    }
}
