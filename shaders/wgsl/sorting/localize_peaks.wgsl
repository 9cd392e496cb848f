// Localisation: where on the probe a peak is (centre of mass of squared amplitudes; Hilgen et al. 2017, Cell Reports
// 18:2521, with squares in place of amplitudes).
//
//     a_n = max(0, sum_k x[n, start + k] * shape[s, k]),  s = the shape with the largest sum on the peak's channel
//     position = sum_n a_n^2 position[n] / sum_n a_n^2,  amplitude = sqrt(sum_n a_n^2)
//
// One invocation handles one peak, then strides over the list.
//
// x            [block, channel, time]         noise deviations
// shape        [shape, tap]                   unit norm
// peaks        [block, capacity, 4]           from detect_peaks: trough sample, channel, score, start sample
// count        [block]                        peaks of a block
// neighbour    [channel, n_neighbours]        padded with 0xffffffff
// position_um  [channel, 2]                   µm
// out          [block, capacity, 4]           x µm, y µm, amplitude (noise deviations), shape; listed peaks only
//
// Limits: none beyond the binding size.

struct Params {
    n_blocks: u32,
    n_samples: u32,
    n_channels: u32,
    n_shapes: u32,
    n_neighbours: u32,
    capacity: u32,
    n_taps: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> shape: array<f32>;
@group(0) @binding(3) var<storage, read> peaks: array<u32>;
@group(0) @binding(4) var<storage, read> count: array<u32>;
@group(0) @binding(5) var<storage, read> neighbour: array<u32>;
@group(0) @binding(6) var<storage, read> position_um: array<f32>;
@group(0) @binding(7) var<storage, read_write> out: array<f32>;

const LANES: u32 = 64u;
const NONE: u32 = 0xffffffffu;

fn value(block: u32, c: u32, s: u32, start: u32) -> f32 {
    if start + params.n_taps > params.n_samples {
        return 0.0;
    }
    let row = (block * params.n_channels + c) * params.n_samples + start;
    var sum = 0.0;
    for (var k = 0u; k < params.n_taps; k++) {
        sum += x[row + k] * shape[s * params.n_taps + k];
    }
    return sum;
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let block = group.z;
    let n = min(count[block], params.capacity);
    for (var entry = group.x * LANES + lane; entry < n; entry += groups.x * LANES) {
        let at = (block * params.capacity + entry) * 4u;
        let channel = peaks[at + 1u];
        let start = peaks[at + 3u];
        var best = 0u;
        var largest = value(block, channel, 0u, start);
        for (var s = 1u; s < params.n_shapes; s++) {
            let other = value(block, channel, s, start);
            if other > largest {
                largest = other;
                best = s;
            }
        }
        var weight = 0.0;
        var across = 0.0;
        var along = 0.0;
        for (var k = 0u; k < params.n_neighbours; k++) {
            let c = neighbour[channel * params.n_neighbours + k];
            if c != NONE {
                let amplitude = max(value(block, c, best, start), 0.0);
                let squared = amplitude * amplitude;
                weight += squared;
                across += squared * position_um[2u * c];
                along += squared * position_um[2u * c + 1u];
            }
        }
        if weight > 0.0 {
            out[at] = across / weight;
            out[at + 1u] = along / weight;
            out[at + 2u] = sqrt(weight);
        } else {
            out[at] = position_um[2u * channel];
            out[at + 1u] = position_um[2u * channel + 1u];
            out[at + 2u] = 0.0;
        }
        out[at + 3u] = f32(best);
    }
}
