// Common median reference: from every sample the median over the channels of its group (shank) is subtracted.
//
// The median of an even count is the mean of the two values in the middle. It is exact: floats are mapped to integers
// of the same order and the one of the wanted rank is built from the highest bits down, two bits a pass over the
// channels, by counting how many values are smaller than each candidate. Sixteen passes over values that stay in the
// cache need no memory of their own, whatever the number of channels.
//
// One invocation handles one sample of one group; workgroup_id.y is the group.
//
// group_start    [group + 1]             the channels of group g are group_channel[group_start[g]..group_start[g + 1]]
// group_channel  [entry]                 channel; a channel is in one group at most
// x              [block, time, channel]  µV, changed in place
//
// Limits: 65,535 groups.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_groups: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> group_start: array<u32>;
@group(0) @binding(2) var<storage, read> group_channel: array<u32>;
@group(0) @binding(3) var<storage, read_write> x: array<f32>;

const LANES: u32 = 64u;
const SIGN: u32 = 0x80000000u;

// An integer whose order among integers is the order of the float among floats.
fn to_key(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    return bits ^ select(SIGN, 0xffffffffu, (bits & SIGN) != 0u);
}

fn from_key(key: u32) -> f32 {
    return bitcast<f32>(key ^ select(0xffffffffu, SIGN, (key & SIGN) != 0u));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = group.x * LANES + lane;
    let start = group_start[group.y];
    let end = group_start[group.y + 1u];
    if t >= params.n_samples || start >= end {
        return;
    }
    let row = (group.z * params.n_samples + t) * params.n_channels;
    let n = end - start;
    let rank = (n - 1u) / 2u;

    // The key of the value with this rank: the largest that has at most `rank` keys below it.
    var key = 0u;
    for (var bits = 32u; bits > 0u; bits -= 2u) {
        let one = 1u << (bits - 2u);
        let first = key + one;
        let second = first + one;
        let third = second + one;
        var below = vec3<u32>(0u);
        for (var i = start; i < end; i++) {
            let other = to_key(x[row + group_channel[i]]);
            below += select(vec3<u32>(0u), vec3<u32>(1u), vec3<u32>(other) < vec3<u32>(first, second, third));
        }
        if below.z <= rank {
            key = third;
        } else if below.y <= rank {
            key = second;
        } else if below.x <= rank {
            key = first;
        }
    }

    // The value after it: the same one again, or the smallest above.
    var median = from_key(key);
    if n % 2u == 0u {
        var at_most = 0u;
        var above = 0xffffffffu;
        for (var i = start; i < end; i++) {
            let other = to_key(x[row + group_channel[i]]);
            if other <= key {
                at_most++;
            } else {
                above = min(above, other);
            }
        }
        if at_most == n / 2u {
            median = 0.5 * (median + from_key(above));
        }
    }
    for (var i = start; i < end; i++) {
        x[row + group_channel[i]] -= median;
    }
}
