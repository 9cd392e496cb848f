// Matching: which units fired when, overlaps resolved. Greedy matching pursuit (Mallat and Zhang 1993, IEEE Trans.
// Signal Processing 41:3397) on the scores, then re-decision sweeps.
//
//     a    = clamp((b + precision) / (norm + precision), amplitude_min, amplitude_max)
//     gain = a b - a^2 norm / 2 - (a - 1)^2 precision / 2
//
// is what the log posterior gains when unit u is added at start sample t with score b = scores[u, t]; the amplitude has
// the prior N(1, 1 / precision). The spike with the largest gain is taken, its template subtracted from the scores of
// the units that share channels with it, and so on until no gain passes the threshold. A sweep decides every spike
// again, given all others; an amplitude that would change by SETTLED at most is left, and with it the scores. Ties go to
// the lower tile, the lower unit, the earlier sample.
//
// ONE workgroup of 256 invocations handles one block, since each decision needs the one before; blocks run side by
// side. Within a decision the invocations share the work: the search for the best tile, the subtraction (pairs times
// lags), the new maxima (pairs times tiles). The maximum has two levels: per tile of 32 samples and unit in `scratch`,
// per tile in workgroup memory. Short loops are written out: Mesa's software driver ends all loops of an invocation
// after 65,535 turns in total, of which a decision takes some thirty.
//
// scores      [block, unit, time]         consumed
// unit_table  [3, unit]                   squared norm, precision of the amplitude prior, smallest score worth a look
// pair_start  [unit + 1]                  the neighbours of unit u are pairs pair_start[u]..pair_start[u + 1]
// pair_unit   [pair]                      neighbour of a pair, each unit once a list; a unit is its own neighbour
// cross       [pair, 2 n_taps - 1]        sum_c sum_l template_u[c, l + d] template_v[c, l], d = 1 - n_taps first
// scratch     three parts, one after the other:
//             blocked    [block, unit, time]  one byte each, four a word; spikes that silence this unit here; 0 first
//             tile_gain  [block, tile, unit]  largest gain (bits of an f32)
//             tile_time  [block, tile, unit]  its start sample
// spikes      [block, capacity, 4]        start sample in the window, unit, amplitude, gain (bits); sorted by start
//                                         sample, then unit; until then the unit's word also holds the order of choice
// count       [block]                     spikes; capacity + 1 when the list overflowed
//
// Limits: windows of 32,768 samples, 65,536 units, 65,535 spikes a block (beyond, an overflow is reported);
// n_units * n_samples is a multiple of 4; a unit's refractory periods overlap at most 255 deep; 10.1 KiB of workgroup
// memory.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_units: u32,
    n_taps: u32,
    threshold: f32,
    amplitude_min: f32,
    amplitude_max: f32,
    refractory: u32,
    sweeps: u32,
    jitter: u32,
    first: u32,
    last: u32,
    capacity: u32,
    n_tiles: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> scores: array<f32>;
@group(0) @binding(2) var<storage, read> unit_table: array<f32>;
@group(0) @binding(3) var<storage, read> pair_start: array<u32>;
@group(0) @binding(4) var<storage, read> pair_unit: array<u32>;
@group(0) @binding(5) var<storage, read> cross: array<f32>;
@group(0) @binding(6) var<storage, read_write> scratch: array<u32>;
@group(0) @binding(7) var<storage, read_write> spikes: array<u32>;
@group(0) @binding(8) var<storage, read_write> count: array<u32>;

const LANES: u32 = 256u;
// Samples of a tile: MATCH_TILE in layout.rs.
const TILE: u32 = 32u;
const MAX_TILES: u32 = 1024u;
const MAX_SPIKES: u32 = 65535u;
const NONE: u32 = 0xffffffffu;
const SETTLED: f32 = 0.002;
const SIGN: u32 = 0x80000000u;
// Invocations that reduce a tile together.
const TEAM: u32 = 32u;
const TEAMS: u32 = 8u;

// What records are sorted by.
const BY_GAIN: u32 = 0u;
const BY_TIME: u32 = 1u;
const FOR_OUTPUT: u32 = 2u;

// Where the block's parts begin.
var<private> score_base: u32;
var<private> blocked_base: u32;
var<private> gain_base: u32;
var<private> time_base: u32;
var<private> list_base: u32;

var<workgroup> tile_best_gain: array<f32, MAX_TILES>;
var<workgroup> tile_best_unit: array<u32, MAX_TILES>;
var<workgroup> lane_gain: array<f32, LANES>;
var<workgroup> lane_item: array<u32, LANES>;
var<workgroup> chosen_gain: f32;
var<workgroup> chosen_item: u32;
// The spike that all invocations work on.
var<workgroup> spike_time: u32;
var<workgroup> spike_unit: u32;
var<workgroup> spike_amplitude: f32;
// Whether a sweep gives it another unit or time, or drops it.
var<workgroup> spike_moves: u32;

fn amplitude_of(unit: u32, b: f32) -> f32 {
    let norm = unit_table[unit];
    let prior = unit_table[params.n_units + unit];
    return min(max((b + prior) / (norm + prior), params.amplitude_min), params.amplitude_max);
}

fn gain_of(unit: u32, b: f32) -> f32 {
    let norm = unit_table[unit];
    let prior = unit_table[params.n_units + unit];
    let a = amplitude_of(unit, b);
    let off = a - 1.0;
    return a * b - 0.5 * a * a * norm - 0.5 * off * off * prior;
}

fn score_min_of(unit: u32) -> f32 {
    return unit_table[2u * params.n_units + unit];
}

fn is_blocked(unit: u32, time: u32) -> bool {
    let i = unit * params.n_samples + time;
    return ((scratch[blocked_base + i / 4u] >> (8u * (i % 4u))) & 255u) != 0u;
}

// Counts a spike in, or out of, the refractory period of its unit. An invocation owns whole words.
fn mark(lane: u32, unit: u32, time: u32, add: bool) {
    let row = unit * params.n_samples;
    let begin = row + max(time, params.refractory) - params.refractory;
    let end = row + min(time + params.refractory + 1u, params.n_samples);
    for (var word = begin / 4u + lane; word * 4u < end; word += LANES) {
        let from_byte = max(begin, word * 4u) - word * 4u;
        let to_byte = min(end - word * 4u, 4u);
        let ones = (0x01010101u << (8u * from_byte)) & (0x01010101u >> (8u * (4u - to_byte)));
        if add {
            scratch[blocked_base + word] += ones;
        } else {
            scratch[blocked_base + word] -= ones;
        }
    }
}

// What one subtraction spans: pairs of the unit, samples of a row, where both begin.
struct Span {
    pairs: u32,
    n_items: u32,
    width: u32,
    begin: u32,
    skip: u32,
    amplitude: f32,
}

fn subtract_item(span: Span, item: u32) {
    if item < span.n_items {
        let pair = span.pairs + item / span.width;
        let k = item % span.width;
        let at = score_base + pair_unit[pair] * params.n_samples + span.begin + k;
        scores[at] -= span.amplitude * cross[pair * (2u * params.n_taps - 1u) + span.skip + k];
    }
}

// Subtracts a spike from the scores of all its neighbours; neighbouring invocations take neighbouring samples.
fn subtract(lane: u32, unit: u32, time: u32, amplitude: f32) {
    var span: Span;
    span.begin = max(time + 1u, params.n_taps) - params.n_taps;
    span.width = max(min(time + params.n_taps, params.n_samples), span.begin + 1u) - span.begin;
    span.skip = span.begin + params.n_taps - 1u - time;
    span.pairs = pair_start[unit];
    span.n_items = (pair_start[unit + 1u] - span.pairs) * span.width;
    span.amplitude = amplitude;
    for (var item = lane; item < span.n_items; item += 4u * LANES) {
        subtract_item(span, item);
        subtract_item(span, item + LANES);
        subtract_item(span, item + 2u * LANES);
        subtract_item(span, item + 3u * LANES);
    }
}

// The best candidate so far, and which it is: a sample, a unit or a tile.
struct Best {
    gain: f32,
    item: u32,
}

// Considers sample t of a unit, whose score is b between two others.
fn consider(best: Best, unit: u32, t: u32, end: u32, low: f32, before: f32, b: f32, after: f32) -> Best {
    if t < end && b > low && b >= before && b > after && !is_blocked(unit, t) {
        let gain = gain_of(unit, b);
        if gain > best.gain {
            return Best(gain, t);
        }
    }
    return best;
}

// Looks for the largest gain of one unit in one tile; one invocation, eight samples a turn.
fn rescan(unit: u32, tile: u32) {
    let begin = max(tile * TILE, max(params.first, 1u));
    let end = min((tile + 1u) * TILE, min(params.last, params.n_samples - 1u));
    let row = score_base + unit * params.n_samples;
    let low = score_min_of(unit);
    var best = Best(0.0, 0u);
    if begin < end {
        var before = scores[row + begin - 1u];
        var b0 = scores[row + begin];
        for (var t = begin; t < end; t += 8u) {
            // Beyond the tile the last sample that is needed stands in; it is not considered.
            let b1 = scores[row + min(t + 1u, end)];
            let b2 = scores[row + min(t + 2u, end)];
            let b3 = scores[row + min(t + 3u, end)];
            let b4 = scores[row + min(t + 4u, end)];
            let b5 = scores[row + min(t + 5u, end)];
            let b6 = scores[row + min(t + 6u, end)];
            let b7 = scores[row + min(t + 7u, end)];
            let b8 = scores[row + min(t + 8u, end)];
            best = consider(best, unit, t, end, low, before, b0, b1);
            best = consider(best, unit, t + 1u, end, low, b0, b1, b2);
            best = consider(best, unit, t + 2u, end, low, b1, b2, b3);
            best = consider(best, unit, t + 3u, end, low, b2, b3, b4);
            best = consider(best, unit, t + 4u, end, low, b3, b4, b5);
            best = consider(best, unit, t + 5u, end, low, b4, b5, b6);
            best = consider(best, unit, t + 6u, end, low, b5, b6, b7);
            best = consider(best, unit, t + 7u, end, low, b6, b7, b8);
            before = b7;
            b0 = b8;
        }
    }
    let slot = tile * params.n_units + unit;
    scratch[gain_base + slot] = bitcast<u32>(best.gain);
    scratch[time_base + slot] = best.item;
}

// Keeps in entry i the better of entries i and j: the larger gain, then the lower item.
fn keep_better(i: u32, j: u32) {
    let a = lane_gain[i];
    let b = lane_gain[j];
    if b > a || (b == a && lane_item[j] < lane_item[i]) {
        lane_gain[i] = b;
        lane_item[i] = lane_item[j];
    }
}

// Considers the best sample of one unit in one tile.
fn consider_unit(best: Best, tile: u32, unit: u32) -> Best {
    if unit < params.n_units {
        let gain = bitcast<f32>(scratch[gain_base + tile * params.n_units + unit]);
        if gain > best.gain {
            return Best(gain, unit);
        }
    }
    return best;
}

// Largest gain over the units of the tiles first_tile..=last_tile; a team a tile. Ends with a barrier.
fn best_of_tiles(lane: u32, first_tile: u32, last_tile: u32) {
    let member = lane % TEAM;
    for (var start = first_tile; start <= last_tile; start += TEAMS) {
        let tile = start + lane / TEAM;
        var best = Best(0.0, NONE);
        if tile <= last_tile {
            for (var unit = member; unit < params.n_units; unit += 4u * TEAM) {
                best = consider_unit(best, tile, unit);
                best = consider_unit(best, tile, unit + TEAM);
                best = consider_unit(best, tile, unit + 2u * TEAM);
                best = consider_unit(best, tile, unit + 3u * TEAM);
            }
        }
        lane_gain[lane] = best.gain;
        lane_item[lane] = best.item;
        workgroupBarrier();
        if member < 8u {
            keep_better(lane, lane + 8u);
            keep_better(lane, lane + 16u);
            keep_better(lane, lane + 24u);
        }
        workgroupBarrier();
        if member < 2u {
            keep_better(lane, lane + 2u);
            keep_better(lane, lane + 4u);
            keep_better(lane, lane + 6u);
        }
        workgroupBarrier();
        if member == 0u && tile <= last_tile {
            keep_better(lane, lane + 1u);
            tile_best_gain[tile] = lane_gain[lane];
            tile_best_unit[tile] = lane_item[lane];
        }
        workgroupBarrier();
    }
}

// Reduces each invocation's best (gain, item) to chosen_gain and chosen_item: the larger gain, then the lower item.
fn choose(lane: u32, gain: f32, item: u32) {
    lane_gain[lane] = gain;
    lane_item[lane] = item;
    workgroupBarrier();
    if lane < 64u {
        keep_better(lane, lane + 64u);
        keep_better(lane, lane + 128u);
        keep_better(lane, lane + 192u);
    }
    workgroupBarrier();
    if lane < 16u {
        keep_better(lane, lane + 16u);
        keep_better(lane, lane + 32u);
        keep_better(lane, lane + 48u);
    }
    workgroupBarrier();
    if lane < 4u {
        keep_better(lane, lane + 4u);
        keep_better(lane, lane + 8u);
        keep_better(lane, lane + 12u);
    }
    workgroupBarrier();
    if lane == 0u {
        keep_better(0u, 1u);
        keep_better(0u, 2u);
        keep_better(0u, 3u);
        chosen_gain = lane_gain[0];
        chosen_item = lane_item[0];
    }
}

// Sorting key of a record: `x` first, then `y`.
fn key_of(record: vec4<u32>, order: u32) -> vec2<u32> {
    if order == BY_GAIN {
        let bits = record.w;
        return vec2<u32>(bits ^ select(SIGN, NONE, (bits & SIGN) != 0u), record.y >> 16u);
    }
    if order == BY_TIME {
        return vec2<u32>(record.x, record.y >> 16u);
    }
    // A spike that a sweep has dropped goes to the end.
    if bitcast<f32>(record.z) > 0.0 {
        return vec2<u32>(record.x, record.y & 0xffffu);
    }
    return vec2<u32>(NONE, NONE);
}

fn load_record(i: u32) -> vec4<u32> {
    let at = list_base + i * 4u;
    return vec4<u32>(spikes[at], spikes[at + 1u], spikes[at + 2u], spikes[at + 3u]);
}

fn store_record(i: u32, record: vec4<u32>) {
    let at = list_base + i * 4u;
    spikes[at] = record.x;
    spikes[at + 1u] = record.y;
    spikes[at + 2u] = record.z;
    spikes[at + 3u] = record.w;
}

// Puts two records, low < high, in order. What lies beyond the list counts as infinite and stays there.
fn exchange(low: u32, high: u32, n: u32, order: u32) {
    if high < n {
        let a = load_record(low);
        let b = load_record(high);
        let key_a = key_of(a, order);
        let key_b = key_of(b, order);
        if key_b.x < key_a.x || (key_b.x == key_a.x && key_b.y < key_a.y) {
            store_record(low, b);
            store_record(high, a);
        }
    }
}

// Bitonic sort of the list in place (Batcher 1968), all comparisons upward.
fn sort_list(lane: u32, n: u32, order: u32) {
    for (var half = 1u; half < n; half *= 2u) {
        for (var i = lane; 2u * (i - i % half) < n; i += LANES) {
            let start = 2u * (i - i % half);
            exchange(start + i % half, start + 2u * half - 1u - i % half, n, order);
        }
        storageBarrier();
        for (var stride = half / 2u; stride > 0u; stride /= 2u) {
            for (var i = lane; 2u * (i - i % stride) < n; i += LANES) {
                let low = 2u * (i - i % stride) + i % stride;
                exchange(low, low + stride, n, order);
            }
            storageBarrier();
        }
    }
}

// Considers the best of one tile.
fn consider_tile(best: Best, tile: u32) -> Best {
    if tile < params.n_tiles && tile_best_gain[tile] > best.gain {
        return Best(tile_best_gain[tile], tile);
    }
    return best;
}

// Takes spikes until no gain passes the threshold. Returns how many, or NONE when the list is full.
fn pursue(lane: u32, capacity: u32) -> u32 {
    let slots = params.n_tiles * params.n_units;
    for (var i = lane; i < slots; i += LANES) {
        // Tile inside: the invocations of a team read a unit's row piece by piece.
        rescan(i / params.n_tiles, i % params.n_tiles);
    }
    storageBarrier();
    best_of_tiles(lane, 0u, params.n_tiles - 1u);
    for (var n = 0u; ; n++) {
        var best = Best(params.threshold, NONE);
        best = consider_tile(best, lane);
        best = consider_tile(best, lane + LANES);
        best = consider_tile(best, lane + 2u * LANES);
        best = consider_tile(best, lane + 3u * LANES);
        choose(lane, best.gain, best.item);
        let tile = workgroupUniformLoad(&chosen_item);
        if tile == NONE {
            return n;
        }
        if n == capacity {
            return NONE;
        }
        if lane == 0u {
            let unit = tile_best_unit[tile];
            let time = scratch[time_base + tile * params.n_units + unit];
            let b = scores[score_base + unit * params.n_samples + time];
            let amplitude = amplitude_of(unit, b);
            let gain = gain_of(unit, b);
            store_record(n, vec4<u32>(time, unit | (n << 16u), bitcast<u32>(amplitude), bitcast<u32>(gain)));
            spike_time = time;
            spike_unit = unit;
            spike_amplitude = amplitude;
        }
        let time = workgroupUniformLoad(&spike_time);
        let unit = spike_unit;
        subtract(lane, unit, time, spike_amplitude);
        mark(lane, unit, time, true);
        storageBarrier();

        let reach = max(params.n_taps, params.refractory + 1u);
        let first_tile = (max(time, reach) - reach) / TILE;
        let last_tile = min((time + reach) / TILE, params.n_tiles - 1u);
        let tiles = last_tile - first_tile + 1u;
        let pairs = pair_start[unit];
        let n_items = (pair_start[unit + 1u] - pairs) * tiles;
        for (var i = lane; i < n_items; i += LANES) {
            rescan(pair_unit[pairs + i / tiles], first_tile + i % tiles);
        }
        storageBarrier();
        best_of_tiles(lane, first_tile, last_tile);
    }
    return 0u;
}

// Score of a pair's neighbour at t if the pair's unit had no spike of this amplitude at `time`.
fn score_without(pair: u32, t: u32, time: u32, amplitude: f32) -> f32 {
    let b = scores[score_base + pair_unit[pair] * params.n_samples + t];
    let lags = 2u * params.n_taps - 1u;
    let lag = t + params.n_taps - 1u - time;
    // Before the lags' begin the difference wraps around.
    if lag < lags {
        return b + amplitude * cross[pair * lags + lag];
    }
    return b;
}

// Whether spikes other than that of `unit` at `time` silence `other` at t.
fn is_blocked_without(other: u32, t: u32, unit: u32, time: u32) -> bool {
    let i = other * params.n_samples + t;
    let spikes_here = (scratch[blocked_base + i / 4u] >> (8u * (i % 4u))) & 255u;
    let is_own = other == unit && max(t, time) - min(t, time) <= params.refractory;
    return spikes_here != select(0u, 1u, is_own);
}

// One sweep: every spike is chosen again, or dropped, as if it were not there.
fn decide_again(lane: u32, n: u32) {
    for (var i = 0u; i < n; i++) {
        if lane == 0u {
            let record = load_record(i);
            spike_time = record.x;
            spike_unit = record.y & 0xffffu;
            spike_amplitude = bitcast<f32>(record.z);
        }
        let amplitude = workgroupUniformLoad(&spike_amplitude);
        if amplitude > 0.0 {
            let time = spike_time;
            let unit = spike_unit;
            let begin = max(max(time, params.jitter) - params.jitter, params.first);
            let end = max(min(time + params.jitter + 1u, params.last), begin);
            let width = max(end - begin, 1u);
            let pairs = pair_start[unit];
            let n_items = (pair_start[unit + 1u] - pairs) * (end - begin);
            var best = params.threshold;
            var best_item = NONE;
            for (var item = lane; item < n_items; item += LANES) {
                let pair = pairs + item / width;
                let other = pair_unit[pair];
                let t = begin + item % width;
                let b = score_without(pair, t, time, amplitude);
                if b > score_min_of(other) && !is_blocked_without(other, t, unit, time) {
                    let gain = gain_of(other, b);
                    if gain > best {
                        best = gain;
                        best_item = item;
                    }
                }
            }
            choose(lane, best, best_item);
            let item = workgroupUniformLoad(&chosen_item);
            if lane == 0u {
                var record = load_record(i);
                var next = 0.0;
                spike_moves = 1u;
                if item != NONE {
                    let pair = pairs + item / width;
                    spike_unit = pair_unit[pair];
                    spike_time = begin + item % width;
                    next = amplitude_of(spike_unit, score_without(pair, spike_time, time, amplitude));
                    spike_moves = select(1u, 0u, spike_unit == unit && spike_time == time);
                }
                if spike_moves == 0u && abs(next - amplitude) <= SETTLED {
                    next = amplitude;
                } else {
                    record.x = spike_time;
                    record.y = spike_unit | (record.y & 0xffff0000u);
                    record.z = bitcast<u32>(next);
                    record.w = bitcast<u32>(chosen_gain);
                    store_record(i, record);
                }
                spike_amplitude = next;
            }
            let next = workgroupUniformLoad(&spike_amplitude);
            if workgroupUniformLoad(&spike_moves) != 0u {
                subtract(lane, unit, time, -amplitude);
                mark(lane, unit, time, false);
                storageBarrier();
                if next > 0.0 {
                    subtract(lane, spike_unit, spike_time, next);
                    mark(lane, spike_unit, spike_time, true);
                }
            } else if next != amplitude {
                subtract(lane, unit, time, next - amplitude);
            }
            storageBarrier();
        }
        // Lane 0 loads the next spike only when all are done with this one.
        workgroupBarrier();
    }
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let block = group.z;
    let row_words = params.n_units * params.n_samples;
    let slots = params.n_tiles * params.n_units;
    score_base = block * row_words;
    blocked_base = block * row_words / 4u;
    gain_base = params.n_blocks * row_words / 4u + block * slots;
    time_base = gain_base + params.n_blocks * slots;
    list_base = block * params.capacity * 4u;

    var found = 0u;
    if slots > 0u {
        if params.n_tiles > MAX_TILES {
            found = NONE;
        } else {
            found = pursue(lane, min(params.capacity, MAX_SPIKES));
        }
    }
    // The same in all invocations, and known to be so.
    if lane == 0u {
        chosen_item = found;
    }
    let n = workgroupUniformLoad(&chosen_item);
    if n == NONE {
        if lane == 0u {
            count[block] = params.capacity + 1u;
        }
        return;
    }
    storageBarrier();
    for (var sweep = 0u; sweep < params.sweeps; sweep++) {
        // From the weakest to the strongest first, so that ghosts go before they can push a true spike.
        sort_list(lane, n, select(BY_TIME, BY_GAIN, sweep == 0u));
        decide_again(lane, n);
    }
    sort_list(lane, n, FOR_OUTPUT);
    var kept = 0u;
    for (var i = lane; i < n; i += LANES) {
        let at = list_base + i * 4u;
        spikes[at + 1u] &= 0xffffu;
        kept += select(0u, 1u, bitcast<f32>(spikes[at + 2u]) > 0.0);
    }
    lane_item[lane] = kept;
    workgroupBarrier();
    if lane == 0u {
        var total = 0u;
        for (var i = 0u; i < LANES; i++) {
            total += lane_item[i];
        }
        count[block] = total;
    }
}
