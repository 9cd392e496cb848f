// Templates: the waveforms of the listed events added to their label's sum, in fixed point.
//
//     sums[label, j, t] += floor(clamp(x[neighbour[channel, j], sample - before + t]) * scale + 0.5)
//
// Integers make the sum the same in any order, so that templates do not depend on the device or on threads
// (docs/internals/decisions/004-fixed-point-sums.md). With a scale that is a power of two the product is exact and
// every device adds the same integers.
//
// A workgroup handles one event, then strides over the list; one invocation handles one sample of a channel at a time.
//
// x          [block, channel, time]     noise deviations
// events     [block, capacity, 4]       sample in the window, channel, label (0xffffffff: skipped), unused
// count      [block]                    events of a block
// neighbour  [channel, n_neighbours]    padded with 0xffffffff
// sums       [label, neighbour, tap]    noise deviations times scale, added to
//
// Limits: a sum stays below 2^31: 2^31 / (limit * scale) events of a label at least.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_neighbours: u32,
    n_taps: u32,
    before: u32,
    capacity: u32,
    scale: f32,
    limit: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> events: array<u32>;
@group(0) @binding(3) var<storage, read> count: array<u32>;
@group(0) @binding(4) var<storage, read> neighbour: array<u32>;
@group(0) @binding(5) var<storage, read_write> sums: array<atomic<i32>>;

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
    for (var entry = group.x; entry < n; entry += groups.x) {
        let at = (block * params.capacity + entry) * 4u;
        let label = events[at + 2u];
        if label == NONE {
            continue;
        }
        let channel = events[at + 1u];
        let start = i32(events[at]) - i32(params.before);
        let from_tap = u32(clamp(-start, 0, i32(params.n_taps)));
        let to_tap = u32(clamp(i32(params.n_samples) - start, i32(from_tap), i32(params.n_taps)));
        for (var j = 0u; j < params.n_neighbours; j++) {
            let c = neighbour[channel * params.n_neighbours + j];
            if c == NONE {
                continue;
            }
            let row = i32((block * params.n_channels + c) * params.n_samples) + start;
            let sum = (label * params.n_neighbours + j) * params.n_taps;
            for (var t = from_tap + lane; t < to_tap; t += LANES) {
                let value = clamp(x[u32(row + i32(t))], -params.limit, params.limit);
                let fixed = i32(floor(value * params.scale + 0.5));
                if fixed != 0 {
                    atomicAdd(&sums[sum + t], fixed);
                }
            }
        }
    }
}
