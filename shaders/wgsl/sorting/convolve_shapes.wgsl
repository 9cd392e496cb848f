// Detection, first half: every channel correlated with every temporal shape (matched filters; Turin 1960, IRE Trans.
// Inf. Theory 6:311).
//
//     out[c, s, t] = sum_k x[c, t + k] * shape[s, k],   0 where the shape would leave the window
//
// A workgroup handles 256 start samples of one channel (workgroup_id.y) for all shapes. It loads its samples and the
// tail of a shape once into workgroup memory, then takes four shapes at a time, so that a sample that is read from
// there serves four products. One invocation handles one start sample.
//
// x      [block, channel, time]         noise deviations
// shape  [shape, tap]                   unit norm
// out    [block, channel, shape, time]  noise deviations, written in full
//
// Limits: n_taps at most 256; 6 KiB of workgroup memory; 65,535 channels.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_shapes: u32,
    n_taps: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> shape: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const LANES: u32 = 256u;
const MAX_TAPS: u32 = 256u;

var<workgroup> tile: array<f32, 512>;
// Four shapes side by side.
var<workgroup> taps: array<vec4<f32>, MAX_TAPS>;

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let n_taps = min(params.n_taps, MAX_TAPS);
    let first = group.x * LANES;
    let channel = group.z * params.n_channels + group.y;
    for (var i = lane; i < LANES + n_taps; i += LANES) {
        var value = 0.0;
        if first + i < params.n_samples {
            value = x[channel * params.n_samples + first + i];
        }
        tile[i] = value;
    }
    let t = first + lane;
    let inside = t + n_taps <= params.n_samples;
    for (var s = 0u; s < params.n_shapes; s += 4u) {
        workgroupBarrier();
        if lane < n_taps {
            var quad = vec4<f32>(0.0);
            for (var i = 0u; i < min(4u, params.n_shapes - s); i++) {
                quad[i] = shape[(s + i) * n_taps + lane];
            }
            taps[lane] = quad;
        }
        workgroupBarrier();
        var sum = vec4<f32>(0.0);
        for (var k = 0u; k < n_taps; k++) {
            sum += tile[lane + k] * taps[k];
        }
        sum = select(vec4<f32>(0.0), sum, inside);
        if t < params.n_samples {
            for (var i = 0u; i < min(4u, params.n_shapes - s); i++) {
                out[(channel * params.n_shapes + s + i) * params.n_samples + t] = sum[i];
            }
        }
    }
}
