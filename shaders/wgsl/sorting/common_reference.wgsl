// Common median reference: from every sample the median over the channels of its group (shank) is subtracted.
//
// The median of an even count is the mean of the two values in the middle. It is exact: floats are mapped to integers
// of the same order and the one of the wanted rank is built from the highest bits down, two bits a pass over the
// channels, by counting how many values are smaller than each candidate.
//
// A workgroup handles eight samples of one group; workgroup_id.y is the group. Eight invocations share a sample: each
// counts an eighth of the channels. Sixteen passes read the values from workgroup memory, where a group of up to 424
// channels is put first, channel beside channel; those of a larger group are read from device memory in every pass.
//
// group_start    [group + 1]             the channels of group g are group_channel[group_start[g]..group_start[g + 1]]
// group_channel  [entry]                 channel; a channel is in one group at most
// x              [block, time, channel]  µV, changed in place
//
// Limits: 65,535 groups; 15 KiB of workgroup memory.

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

const SAMPLES: u32 = 8u;
const LANES: u32 = 64u;
// Invocations of a sample.
const PART: u32 = 8u;
// Values of a sample that are held. A remainder of 8 by 32 puts the eight samples in different banks.
const HELD: u32 = 424u;
const SIGN: u32 = 0x80000000u;

// Keys, [sample, HELD].
var<workgroup> held: array<u32, 3392>;
// What each invocation counted in a pass.
var<workgroup> counted: array<vec3<u32>, LANES>;

// An integer whose order among integers is the order of the float among floats.
fn to_key(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    return bits ^ select(SIGN, 0xffffffffu, (bits & SIGN) != 0u);
}

fn from_key(key: u32) -> f32 {
    return bitcast<f32>(key ^ select(0xffffffffu, SIGN, (key & SIGN) != 0u));
}

// The key of a value: where it is held, or of the entry in a row of samples.
fn key_of(is_held: bool, place: u32, row: u32, entry: u32) -> u32 {
    if is_held {
        return held[place];
    }
    return to_key(x[row + group_channel[entry]]);
}

// Sum of what the invocations of one sample counted.
fn counted_of(sample: u32) -> vec3<u32> {
    var sum = vec3<u32>(0u);
    for (var k = 0u; k < PART; k++) {
        sum += counted[sample * PART + k];
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let start = group_start[group.y];
    let n = group_start[group.y + 1u] - start;
    if n == 0u {
        return;
    }
    let first = group.x * SAMPLES;
    let is_held = n <= HELD;
    if is_held {
        for (var i = lane; i < SAMPLES * n; i += LANES) {
            // Samples beyond the window: any value, which nobody sees.
            let t = min(first + i / n, params.n_samples - 1u);
            let at = (group.z * params.n_samples + t) * params.n_channels + group_channel[start + i % n];
            held[i / n * HELD + i % n] = to_key(x[at]);
        }
    }
    workgroupBarrier();

    let sample = lane / PART;
    let part = lane % PART;
    let t = min(first + sample, params.n_samples - 1u);
    let row = (group.z * params.n_samples + t) * params.n_channels;
    let rank = (n - 1u) / 2u;

    // The key of the value with this rank: the largest that has at most `rank` keys below it.
    var key = 0u;
    for (var bits = 32u; bits > 0u; bits -= 2u) {
        let one = 1u << (bits - 2u);
        let candidates = vec3<u32>(key + one, key + 2u * one, key + 3u * one);
        var below = vec3<u32>(0u);
        for (var i = part; i < n; i += PART) {
            let other = key_of(is_held, sample * HELD + i, row, start + i);
            below += select(vec3<u32>(0u), vec3<u32>(1u), vec3<u32>(other) < candidates);
        }
        counted[lane] = below;
        workgroupBarrier();
        below = counted_of(sample);
        workgroupBarrier();
        if below.z <= rank {
            key = candidates.z;
        } else if below.y <= rank {
            key = candidates.y;
        } else if below.x <= rank {
            key = candidates.x;
        }
    }

    // The value after it: the same one again, or the smallest above.
    var at_most = 0u;
    var above = 0xffffffffu;
    for (var i = part; i < n; i += PART) {
        let other = key_of(is_held, sample * HELD + i, row, start + i);
        if other <= key {
            at_most++;
        } else {
            above = min(above, other);
        }
    }
    counted[lane] = vec3<u32>(at_most, above, 0u);
    workgroupBarrier();
    at_most = 0u;
    for (var k = 0u; k < PART; k++) {
        let other = counted[sample * PART + k];
        at_most += other.x;
        above = min(above, other.y);
    }
    var median = from_key(key);
    if n % 2u == 0u && at_most == n / 2u {
        median = 0.5 * (median + from_key(above));
    }
    if first + sample < params.n_samples {
        for (var i = part; i < n; i += PART) {
            x[row + group_channel[start + i]] -= median;
        }
    }
}
