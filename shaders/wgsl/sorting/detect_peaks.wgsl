// Detection, list: local maxima of the universal templates' scores in time and space.
//
// A start sample t of channel c is a peak when its score is above the threshold, a local maximum in time, when no
// larger score is within `exclusion` samples on the neighbouring channels (of equal ones the earlier, then the lower
// channel, stays), and when no score `lobe_ratio` times larger is within `lobe` samples: side lobes of a strong spike
// are no units. Strong peaks are moved to the trough of the data themselves.
//
// One invocation handles one start sample of one channel (workgroup_id.y) and appends what it finds. The order of the
// list is therefore free: the host sorts it.
//
// score      [block, channel, time]   noise deviations
// x          [block, channel, time]   whitened data, noise deviations
// neighbour  [channel, n_neighbours]  padded with the channel itself
// peaks      [block, capacity, 4]     trough sample in the window, channel, score (bits of an f32), start sample
// count      [block]                  peaks found, also beyond the capacity; zero at the start
//
// Limits: 65,535 channels.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_neighbours: u32,
    threshold: f32,
    exclusion: u32,
    lobe: u32,
    lobe_ratio: f32,
    first: u32,
    last: u32,
    capacity: u32,
    before: u32,
    align_threshold: f32,
    align_radius: u32,
    positive_weight: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> score: array<f32>;
@group(0) @binding(2) var<storage, read> x: array<f32>;
@group(0) @binding(3) var<storage, read> neighbour: array<u32>;
@group(0) @binding(4) var<storage, read_write> peaks: array<u32>;
@group(0) @binding(5) var<storage, read_write> count: array<atomic<u32>>;

const LANES: u32 = 64u;

// Whether no larger score is within `exclusion` and none `lobe_ratio` times larger within `lobe`.
fn stands_out(base: u32, c: u32, t: u32, value: f32) -> bool {
    let far = max(params.lobe, params.exclusion);
    let from_t = max(t, far) - far;
    let to_t = min(t + far, params.n_samples - 1u);
    let shadow = value * params.lobe_ratio;
    for (var k = 0u; k < params.n_neighbours; k++) {
        let n = neighbour[c * params.n_neighbours + k];
        let row = base + n * params.n_samples;
        for (var s = from_t; s <= to_t; s++) {
            let other = score[row + s];
            let near = max(s, t) - min(s, t) <= params.exclusion;
            if other > shadow || (near && other > value) {
                return false;
            }
            if near && other == value && (s < t || (s == t && n < c)) {
                return false;
            }
        }
    }
    return true;
}

// Sample of the peak's trough: from the shape, or for a strong peak from the data.
fn trough(row: u32, t: u32, value: f32) -> u32 {
    let centre = i32(t + params.before);
    if value < params.align_threshold {
        return u32(centre);
    }
    let radius = i32(params.align_radius);
    var best = -3.0e38;
    var sample = centre;
    for (var s = max(centre - radius, 0); s <= min(centre + radius, i32(params.n_samples) - 1); s++) {
        let v = x[row + u32(s)];
        let polar = select(params.positive_weight * v, -v, v < 0.0);
        let weighted = polar * (1.0 - 0.03 * f32(abs(s - centre)));
        if weighted > best {
            best = weighted;
            sample = s;
        }
    }
    return u32(sample);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let t = group.x * LANES + lane;
    let c = group.y;
    let base = group.z * params.n_channels * params.n_samples;
    let row = base + c * params.n_samples;
    if t < max(params.first, 1u) || t >= min(params.last, params.n_samples - 1u) {
        return;
    }
    let value = score[row + t];
    if !(value > params.threshold && value >= score[row + t - 1u] && value > score[row + t + 1u]) {
        return;
    }
    if !stands_out(base, c, t, value) {
        return;
    }
    let slot = atomicAdd(&count[group.z], 1u);
    if slot < params.capacity {
        let entry = (group.z * params.capacity + slot) * 4u;
        peaks[entry] = trough(row, t, value);
        peaks[entry + 1u] = c;
        peaks[entry + 2u] = bitcast<u32>(value);
        peaks[entry + 3u] = t;
    }
}
