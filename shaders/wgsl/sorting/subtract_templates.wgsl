// Residual: the listed spikes are taken out of the whitened data.
//
//     x[channel[i], start + l] -= amplitude * waveform[i, l]   for every spike and every entry i of its unit
//
// One invocation handles one sample of one channel (workgroup_id.y): it looks up the spikes that reach its sample and
// subtracts them in the order of the list, so no two invocations write to one place and the result has one order. The
// invocations of a workgroup share the lookup: a binary search for the spikes, since the list is sorted by start
// sample, then one spike each for the entry on this channel.
//
// x              [block, channel, time]  noise deviations, changed in place
// spikes         [block, capacity, 4]    from match_templates, sorted: start sample, unit, amplitude (bits), gain
// count          [block]                 spikes of a block
// channel_start  [unit + 1]              the entries of unit u are channel_start[u]..channel_start[u + 1]
// channel        [entry]                 channel
// waveform       [entry, tap]            noise deviations
//
// Limits: the list is sorted by start sample; a channel is once in a unit's entries; 65,535 channels.

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
const NONE: u32 = 0xffffffffu;

// The spikes of the list that reach the workgroup's samples.
var<workgroup> range_begin: u32;
var<workgroup> range_end: u32;
// Of 64 of them: start sample, amplitude, and entry on this channel.
var<workgroup> start_of: array<u32, LANES>;
var<workgroup> amplitude_of: array<f32, LANES>;
var<workgroup> entry_of: array<u32, LANES>;

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
    let list = group.z * params.capacity * 4u;
    if lane == 0u {
        let n = min(count[group.z], params.capacity);
        range_begin = first_from(list, n, max(group.x * LANES + 1u, params.n_taps) - params.n_taps);
        range_end = first_from(list, n, (group.x + 1u) * LANES);
    }
    let begin = workgroupUniformLoad(&range_begin);
    let end = workgroupUniformLoad(&range_end);
    let at = (group.z * params.n_channels + c) * params.n_samples + t;
    // Most samples are touched by no spike: they are neither read nor written.
    var is_touched = false;
    var value = 0.0;
    for (var chunk = begin; chunk < end; chunk += LANES) {
        // Each invocation finds the entry of one spike on this channel.
        let mine = chunk + lane;
        var found = NONE;
        if mine < end {
            let unit = spikes[list + mine * 4u + 1u];
            for (var i = channel_start[unit]; i < channel_start[unit + 1u]; i++) {
                if channel[i] == c {
                    found = i;
                    break;
                }
            }
            start_of[lane] = spikes[list + mine * 4u];
            amplitude_of[lane] = bitcast<f32>(spikes[list + mine * 4u + 2u]);
        }
        entry_of[lane] = found;
        workgroupBarrier();
        for (var s = 0u; s < min(end - chunk, LANES); s++) {
            let start = start_of[s];
            if entry_of[s] != NONE && t >= start && t - start < params.n_taps && t < params.n_samples {
                if !is_touched {
                    is_touched = true;
                    value = x[at];
                }
                value -= amplitude_of[s] * waveform[entry_of[s] * params.n_taps + t - start];
            }
        }
        workgroupBarrier();
    }
    if is_touched {
        x[at] = value;
    }
}
