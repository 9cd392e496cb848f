// Residual: the listed spikes are taken out of the whitened data.
//
//     x[channel[i], start + l] -= amplitude * waveform[i, l]   for every spike and every entry i of its unit
//
// One invocation handles one sample of one channel (workgroup_id.y): it looks up the spikes that reach its sample and
// subtracts them in the order of the list, so no two invocations write to one place and the result has one order. The
// lookup is a binary search, since the list is sorted by start sample.
//
// x              [block, channel, time]  noise deviations, changed in place
// spikes         [block, capacity, 4]    from match_templates, sorted: start sample, unit, amplitude (bits), gain
// count          [block]                 spikes of a block
// channel_start  [unit + 1]              the entries of unit u are channel_start[u]..channel_start[u + 1]
// channel        [entry]                 channel
// waveform       [entry, tap]            noise deviations
//
// Limits: the list is sorted by start sample; 65,535 channels.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_units: u32,
    n_taps: u32,
    capacity: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<storage, read> spikes: array<u32>;
@group(0) @binding(3) var<storage, read> count: array<u32>;
@group(0) @binding(4) var<storage, read> channel_start: array<u32>;
@group(0) @binding(5) var<storage, read> channel: array<u32>;
@group(0) @binding(6) var<storage, read> waveform: array<f32>;

const LANES: u32 = 64u;

// First entry of the block's list that starts at `time` or later.
fn first_from(list: u32, n: u32, time: u32) -> u32 {
    var low = 0u;
    var high = n;
    while low < high {
        let middle = (low + high) / 2u;
        if spikes[list + middle * 4u] < time {
            low = middle + 1u;
        } else {
            high = middle;
        }
    }
    return low;
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let c = group.y;
    let t = group.x * LANES + lane;
    if t >= params.n_samples {
        return;
    }
    let n = min(count[group.z], params.capacity);
    let list = group.z * params.capacity * 4u;
    // All invocations of the workgroup go through the same spikes: their loads are broadcasts.
    let earliest = max(group.x * LANES + 1u, params.n_taps) - params.n_taps;
    let begin = first_from(list, n, earliest);
    let at = (group.z * params.n_channels + c) * params.n_samples + t;
    var value = x[at];
    for (var entry = begin; entry < n; entry++) {
        let start = spikes[list + entry * 4u];
        if start >= (group.x + 1u) * LANES {
            break;
        }
        let unit = spikes[list + entry * 4u + 1u];
        let amplitude = bitcast<f32>(spikes[list + entry * 4u + 2u]);
        let reaches = t >= start && t - start < params.n_taps;
        for (var i = channel_start[unit]; i < channel_start[unit + 1u]; i++) {
            if reaches && channel[i] == c {
                value -= amplitude * waveform[i * params.n_taps + t - start];
            }
        }
    }
    x[at] = value;
}
