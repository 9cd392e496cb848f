// Masks: the pixels where more end than anywhere around, the middles of cells.
//
//     seeds[y, x] = histogram[y, x] where it is above `min_count` and the largest of its square, else 0
//
// Equals count as largest. One invocation handles one pixel, then strides over the image. Hardly any pixel has ends enough
// to look around, so the squares are not brought into workgroup memory.
//
// histogram  [y, x]  ends of each pixel
// seeds      [y, x]  ends of each seed, else 0; written in full
//
// Limits: none beyond the binding size.

struct Params {
    height: u32,
    width: u32,
    min_count: u32,
    radius: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> histogram: array<u32>;
@group(0) @binding(2) var<storage, read_write> seeds: array<u32>;

const LANES: u32 = 256u;

// Whether no pixel of the square around (y, x) has more than `count` ends.
fn is_largest(y: u32, x: u32, count: u32) -> bool {
    let from_row = max(y, params.radius) - params.radius;
    let to_row = min(y + params.radius + 1u, params.height);
    let from_column = max(x, params.radius) - params.radius;
    let to_column = min(x + params.radius + 1u, params.width);
    for (var row = from_row; row < to_row; row++) {
        for (var column = from_column; column < to_column; column++) {
            if histogram[row * params.width + column] > count {
                return false;
            }
        }
    }
    return true;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = params.height * params.width;
    for (var i = group.x * LANES + lane; i < n; i += groups.x * LANES) {
        let y = i / params.width;
        let x = i - y * params.width;
        let count = histogram[i];
        var seed = 0u;
        if count > params.min_count && is_largest(y, x, count) {
            seed = count;
        }
        seeds[i] = seed;
    }
}
