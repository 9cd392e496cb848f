// Features: what clustering sees of a spike, the temporal components on the channels around it.
//
//     out[e, j, k] = sum_t x[neighbour[channel_e, j], sample_e - before + t] * basis[k, t]   (0 outside the window)
//
// `before` is in two's complement: negative when the events are starts of templates rather than troughs.
//
// A workgroup handles one event, then strides over the list; one invocation handles one pair of channel and component
// at a time. Invocations of one channel read the same samples.
//
// x          [block, channel, time]                     noise deviations
// events     [block, capacity, 4]                       sample in the window, channel, two words that are not read
// count      [block]                                    events of a block
// neighbour  [channel, n_neighbours]                    padded with 0xffffffff, whose features are 0
// basis      [component, tap]                           unit norm
// out        [block, capacity, neighbour, component]    noise deviations; listed events only
//
// Limits: none beyond the binding size.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_neighbours: u32,
    n_components: u32,
    n_taps: u32,
    before: u32,
    capacity: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> events: array<u32>;
@group(0) @binding(3) var<storage, read> count: array<u32>;
@group(0) @binding(4) var<storage, read> neighbour: array<u32>;
@group(0) @binding(5) var<storage, read> basis: array<f32>;
@group(0) @binding(6) var<storage, read_write> out: array<f32>;

const LANES: u32 = 64u;
const NONE: u32 = 0xffffffffu;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = group.z;
    let n = min(count[block], params.capacity);
    let values = params.n_neighbours * params.n_components;
    for (var entry = group.x; entry < n; entry += groups.x) {
        let at = block * params.capacity + entry;
        let channel = events[at * 4u + 1u];
        let start = i32(events[at * 4u]) - i32(params.before);
        let from_tap = u32(clamp(-start, 0, i32(params.n_taps)));
        let to_tap = u32(clamp(i32(params.n_samples) - start, i32(from_tap), i32(params.n_taps)));
        for (var i = lane; i < values; i += LANES) {
            let j = i / params.n_components;
            let k = i - j * params.n_components;
            let c = neighbour[channel * params.n_neighbours + j];
            var sum = 0.0;
            if c != NONE {
                let row = i32((block * params.n_channels + c) * params.n_samples) + start;
                for (var t = from_tap; t < to_tap; t++) {
                    sum += x[u32(row + i32(t))] * basis[k * params.n_taps + t];
                }
            }
            out[at * values + i] = sum;
        }
    }
}
