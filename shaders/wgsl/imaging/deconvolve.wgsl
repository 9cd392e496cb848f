// Spikes: what explains a fluorescence trace best, given the response to one spike.
//
//     spikes = argmin over s >= 0 of |trace - response * s|^2 / 2 + penalty * sum(s)      (the problem of OASIS,
//              Friedrich, Zhou and Paninski 2017, for any response), by coordinate descent: frame after frame
//     s[t]   = max(s[t] + (sum of residual[t + k] response[k] - penalty) / (sum of response[k]^2), 0)
//
// over the taps k that lie within the trace. Every `full_every`-th sweep visits all frames, the others those with a spike.
//
// A workgroup handles one trace, then strides over the traces; frames follow each other, since each needs the residual that
// the ones before left. The invocations share the two sums of a frame. A frame of the trace belongs to the same invocation
// throughout (its number modulo 64), so that the residual and the spikes need no barrier: an invocation only reads
// what it wrote itself. Which frames of the next 64 are visited is told by one bit each, so that what is skipped costs
// nothing and the barriers are in uniform control flow.
//
// traces    [trace, frame]
// response  [trace, n_taps]  fluorescence after a spike of size 1 in frame 0
// penalty   [trace]          price of a spike of size 1
// spikes    [trace, frame]   written in full
// residual  [trace, frame]   the trace less its fit; written in full
//
// Limits: responses of 1 to 2048 taps; 8.8 KiB of workgroup memory.

struct Params {
    n_traces: u32,
    n_frames: u32,
    n_taps: u32,
    sweeps: u32,
    full_every: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> traces: array<f32>;
@group(0) @binding(2) var<storage, read> response: array<f32>;
@group(0) @binding(3) var<storage, read> penalty: array<f32>;
@group(0) @binding(4) var<storage, read_write> spikes: array<f32>;
@group(0) @binding(5) var<storage, read_write> residual: array<f32>;

const LANES: u32 = 64u;
// Invocations that add up the sums of as many others.
const TEAM: u32 = 8u;
// MAX_RESPONSE in layout/imaging.rs.
const MAX_RESPONSE: u32 = 2048u;

var<workgroup> taps: array<f32, MAX_RESPONSE>;
// Spikes of the 64 frames that are being visited, as they were before.
var<workgroup> held: array<f32, LANES>;
// Sums of residual times response (x) and of the response's square (y).
var<workgroup> lane_sums: array<vec2<f32>, LANES>;
var<workgroup> team_sums: array<vec2<f32>, TEAM>;
// Frames to visit: a bit each.
var<workgroup> lower: atomic<u32>;
var<workgroup> upper: atomic<u32>;
var<workgroup> visits: vec2<u32>;

// Which of the 64 frames from `start` on this sweep visits: the first 32 in x. The same in all invocations.
fn frames_to_visit(lane: u32, start: u32, base: u32, is_full: bool) -> vec2<u32> {
    if lane == 0u {
        atomicStore(&lower, 0u);
        atomicStore(&upper, 0u);
    }
    workgroupBarrier();
    let t = start + lane;
    if t < params.n_frames {
        let spike = spikes[base + t];
        held[lane] = spike;
        if is_full || spike != 0.0 {
            if lane < 32u {
                atomicOr(&lower, 1u << lane);
            } else {
                atomicOr(&upper, 1u << (lane - 32u));
            }
        }
    }
    workgroupBarrier();
    if lane == 0u {
        visits = vec2<u32>(atomicLoad(&lower), atomicLoad(&upper));
    }
    return workgroupUniformLoad(&visits);
}

// Gives frame `start + place` the best value that it can have given all others.
fn visit(lane: u32, start: u32, place: u32, base: u32, price: f32) {
    let t = start + place;
    let n = min(params.n_taps, params.n_frames - t);
    // The first tap whose frame is one of this invocation's: t + own is lane modulo 64.
    let own = (lane + LANES - place) % LANES;
    var sums = vec2<f32>(0.0);
    for (var k = own; k < n; k += LANES) {
        sums += vec2<f32>(residual[base + t + k], taps[k]) * taps[k];
    }
    lane_sums[lane] = sums;
    workgroupBarrier();
    if lane < TEAM {
        let a = lane_sums[lane] + lane_sums[lane + 8u];
        let b = lane_sums[lane + 16u] + lane_sums[lane + 24u];
        let c = lane_sums[lane + 32u] + lane_sums[lane + 40u];
        let d = lane_sums[lane + 48u] + lane_sums[lane + 56u];
        team_sums[lane] = (a + b) + (c + d);
    }
    // After this barrier `lane_sums` is free for the next frame, whose own barrier keeps `team_sums` until all have read it.
    workgroupBarrier();
    let total = ((team_sums[0] + team_sums[1]) + (team_sums[2] + team_sums[3]))
        + ((team_sums[4] + team_sums[5]) + (team_sums[6] + team_sums[7]));
    if total.y > 0.0 {
        let before = held[place];
        let spike = max(before + (total.x - price) / total.y, 0.0);
        let change = spike - before;
        if change != 0.0 {
            for (var k = own; k < n; k += LANES) {
                residual[base + t + k] -= change * taps[k];
            }
            if lane == place {
                spikes[base + t] = spike;
            }
        }
    }
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var trace = group.x; trace < params.n_traces; trace += groups.x) {
        let base = trace * params.n_frames;
        let price = penalty[trace];
        for (var k = lane; k < params.n_taps; k += LANES) {
            taps[k] = response[trace * params.n_taps + k];
        }
        for (var t = lane; t < params.n_frames; t += LANES) {
            residual[base + t] = traces[base + t];
            spikes[base + t] = 0.0;
        }
        for (var sweep = 0u; sweep < params.sweeps; sweep++) {
            let is_full = sweep % max(params.full_every, 1u) == 0u;
            for (var start = 0u; start < params.n_frames; start += LANES) {
                var left = frames_to_visit(lane, start, base, is_full);
                for (; left.x != 0u; left.x &= left.x - 1u) {
                    visit(lane, start, countTrailingZeros(left.x), base, price);
                }
                for (; left.y != 0u; left.y &= left.y - 1u) {
                    visit(lane, start, 32u + countTrailingZeros(left.y), base, price);
                }
            }
        }
        // The next trace's taps are written when all have done with these.
        workgroupBarrier();
    }
}
