// Registration, coarse shift: where the correlation of a frame with the reference is largest.
//
//     shift = (argmax of correlation[y, x] over |y| <= max_y, |x| <= max_x, plus a fraction) * shrink
//
// The fraction is that of a parabola through the peak and its two neighbours along each axis, at most half a bin. Of equal
// values the first by row, then column, of the window wins.
//
// A workgroup handles one frame (workgroup_id.z). An invocation looks at every 256th place of the window; the best are then
// compared in a tree. Frames come in pairs, as real and imaginary part of one image, so reads are two words apart.
//
// correlation  [pair, row, column, 2]  cyclic along both axes
// shifts       [frame, 3]              y and x, pixels; the value at the peak
//
// Limits: 65,535 frames; 2 KiB of workgroup memory.

struct Params {
    n_frames: u32,
    rows: u32,
    columns: u32,
    max_y: u32,
    max_x: u32,
    shrink: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> correlation: array<f32>;
@group(0) @binding(2) var<storage, read_write> shifts: array<f32>;

const LANES: u32 = 256u;
const LOWEST: f32 = -3.4e38;
const NONE: u32 = 0xffffffffu;

var<workgroup> lane_value: array<f32, LANES>;
var<workgroup> lane_place: array<u32, LANES>;

// Correlation at a shift of (y, x) bins of the frame whose image and part `base` says.
fn at(base: u32, y: i32, x: i32) -> f32 {
    let rows = i32(params.rows);
    let columns = i32(params.columns);
    let row = u32((y % rows + rows) % rows);
    let column = u32((x % columns + columns) % columns);
    return correlation[base + 2u * (row * params.columns + column)];
}

// How far the top of the parabola lies from its middle.
fn fraction(before: f32, peak: f32, after: f32) -> f32 {
    let curvature = before - 2.0 * peak + after;
    if curvature < 0.0 {
        return clamp(0.5 * (before - after) / curvature, -0.5, 0.5);
    }
    return 0.0;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let base = 2u * (group.z / 2u) * params.rows * params.columns + group.z % 2u;
    let max_y = i32(params.max_y);
    let max_x = i32(params.max_x);
    let across = 2u * params.max_x + 1u;
    let n = (2u * params.max_y + 1u) * across;
    var best = LOWEST;
    var place = NONE;
    for (var k = lane; k < n; k += LANES) {
        let value = at(base, i32(k / across) - max_y, i32(k % across) - max_x);
        if value > best {
            best = value;
            place = k;
        }
    }
    lane_value[lane] = best;
    lane_place[lane] = place;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane < half {
            let other = lane_value[lane + half];
            let other_place = lane_place[lane + half];
            if other > lane_value[lane] || (other == lane_value[lane] && other_place < lane_place[lane]) {
                lane_value[lane] = other;
                lane_place[lane] = other_place;
            }
        }
        workgroupBarrier();
    }
    if lane == 0u {
        let peak = lane_value[0];
        let y = i32(lane_place[0] / across) - max_y;
        let x = i32(lane_place[0] % across) - max_x;
        let dy = fraction(at(base, y - 1, x), peak, at(base, y + 1, x));
        let dx = fraction(at(base, y, x - 1), peak, at(base, y, x + 1));
        let shrink = f32(params.shrink);
        shifts[3u * group.z] = (f32(y) + dy) * shrink;
        shifts[3u * group.z + 1u] = (f32(x) + dx) * shrink;
        shifts[3u * group.z + 2u] = peak;
    }
}
