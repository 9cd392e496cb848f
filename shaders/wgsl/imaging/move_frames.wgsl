// Registration: frames moved onto the reference with one cubic interpolation, and which pixels of each row were measured.
//
//     moved[y, x] = frame[y + shift_y, x + shift_x]          (cubic convolution: Keys 1981, IEEE Trans. ASSP 29:1153)
//
// with a = -1/2 and the shift field of sum_gradients.wgsl: rigid, non-rigid and within-frame motion are one field, so the
// frame is resampled once. Nothing wraps round: a pixel from outside the frame was not measured and shows the reference.
// Inside, taps beyond an edge repeat it.
//
// A workgroup handles one row of one frame (workgroup_id.z), then strides over the rows; an invocation handles every
// 128th pixel. The 16 taps of neighbouring invocations are neighbours or the same: the cache serves all but a few.
//
// frames     [frame, y, x]                     the movie's unit
// knots      [frame, 2, knot_row, knot_column] shifts along y, then along x, pixels
// reference  [y, x]                            the movie's unit
// moved      [frame, y, x]                     the movie's unit, written in full
// spans      [frame, row, 2]                   first measured pixel of the row, and the end (exclusive); 0 0 without any
//
// Limits: 4 columns of knots; 65,535 frames.

struct Params {
    n_frames: u32,
    height: u32,
    width: u32,
    knot_rows: u32,
    knot_columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frames: array<f32>;
@group(0) @binding(2) var<storage, read> knots: array<f32>;
@group(0) @binding(3) var<storage, read> reference: array<f32>;
@group(0) @binding(4) var<storage, read_write> moved: array<f32>;
@group(0) @binding(5) var<storage, read_write> spans: array<u32>;

const LANES: u32 = 128u;
// SHIFT_TILE and MAX_KNOT_COLUMNS in layout/imaging.rs.
const TILE: u32 = 16u;
const MAX_KNOT_COLUMNS: u32 = 4u;
// From a tile's first pixel to its centre.
const CENTRE: f32 = 7.5;
// A tile whose centre lies less than this before a knot, in distances of knots, counts as after it: a division that is
// not exact must not decide between two knots.
const ON_A_KNOT: f32 = 1e-4;

// Shifts of the columns of knots at the row: y and x.
var<workgroup> row_shift: array<vec2<f32>, MAX_KNOT_COLUMNS>;
var<workgroup> first_measured: atomic<u32>;
var<workgroup> end_measured: atomic<u32>;

// Distances of knots a pixel.
fn spacing(n_knots: u32, n_pixels: u32) -> f32 {
    if n_knots < 2u || n_pixels < 2u {
        return 0.0;
    }
    return f32(n_knots - 1u) / f32(n_pixels - 1u);
}

// The knot before place `at` (in distances of knots) of `n`, such that there is one after it.
fn knot_before(at: f32, n: u32) -> u32 {
    return min(u32(max(floor(at), 0.0)), max(n, 2u) - 2u);
}

// Shift of a column of knots at row y, y and x.
fn shift_at_row(frame: u32, y: u32, column: u32) -> vec2<f32> {
    let at = f32(y) * spacing(params.knot_rows, params.height);
    let before = knot_before(at, params.knot_rows);
    let after = min(before + 1u, params.knot_rows - 1u);
    let t = at - f32(before);
    let n = params.knot_rows * params.knot_columns;
    let first = 2u * frame * n + before * params.knot_columns + column;
    let second = 2u * frame * n + after * params.knot_columns + column;
    let a = vec2<f32>(knots[first], knots[first + n]);
    let b = vec2<f32>(knots[second], knots[second + n]);
    return a + (b - a) * t;
}

// Weights of the pixels at -1, 0, 1, 2 for a position t after pixel 0.
fn cubic_weights(t: f32) -> vec4<f32> {
    return vec4<f32>(
        ((-0.5 * t + 1.0) * t - 0.5) * t,
        (1.5 * t - 2.5) * t * t + 1.0,
        ((-1.5 * t + 2.0) * t + 0.5) * t,
        (0.5 * t - 0.5) * t * t,
    );
}

// Four neighbours of a row of the frame, weighted; `row` lies in the frame or is brought back to its edge.
fn along_row(base: u32, row: i32, column: vec4<u32>, weights: vec4<f32>) -> f32 {
    let start = base + u32(clamp(row, 0, i32(params.height) - 1)) * params.width;
    let taps = vec4<f32>(
        frames[start + column.x],
        frames[start + column.y],
        frames[start + column.z],
        frames[start + column.w],
    );
    let terms = taps * weights;
    return (terms.x + terms.y) + (terms.z + terms.w);
}

// The frame at a pixel (y, x) and a fraction from there.
fn interpolated(base: u32, from_pixel: vec2<i32>, fraction: vec2<f32>) -> f32 {
    let columns = vec4<i32>(from_pixel.y) + vec4<i32>(-1, 0, 1, 2);
    let column = vec4<u32>(clamp(columns, vec4<i32>(0), vec4<i32>(i32(params.width) - 1)));
    let weights_y = cubic_weights(fraction.x);
    let weights_x = cubic_weights(fraction.y);
    var sum = along_row(base, from_pixel.x - 1, column, weights_x) * weights_y.x;
    sum += along_row(base, from_pixel.x, column, weights_x) * weights_y.y;
    sum += along_row(base, from_pixel.x + 1, column, weights_x) * weights_y.z;
    sum += along_row(base, from_pixel.x + 2, column, weights_x) * weights_y.w;
    return sum;
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let frame = group.z;
    let base = frame * params.height * params.width;
    let column_scale = spacing(params.knot_columns, params.width);
    let last = vec2<f32>(f32(params.height - 1u), f32(params.width - 1u));
    for (var y = group.x; y < params.height; y += groups.x) {
        if lane < params.knot_columns {
            row_shift[lane] = shift_at_row(frame, y, lane);
        }
        if lane == 0u {
            atomicStore(&first_measured, params.width);
            atomicStore(&end_measured, 0u);
        }
        workgroupBarrier();
        var first = params.width;
        var end = 0u;
        for (var x = lane; x < params.width; x += LANES) {
            let centre = (f32(x / TILE * TILE) + CENTRE) * column_scale;
            let before = knot_before(centre + ON_A_KNOT, params.knot_columns);
            let after = min(before + 1u, params.knot_columns - 1u);
            let a = row_shift[before];
            let b = row_shift[after];
            let whole = floor(a + (b - a) * (centre - f32(before)));
            let t = f32(x) * column_scale - f32(before);
            let fraction = (a + (b - a) * t) - whole;
            let from_pixel = vec2<i32>(i32(y), i32(x)) + vec2<i32>(whole);
            let place = vec2<f32>(from_pixel) + fraction;

            let at = y * params.width + x;
            var value = reference[at];
            if all(place >= vec2<f32>(0.0)) && all(place <= last) {
                value = interpolated(base, from_pixel, fraction);
                first = min(first, x);
                end = x + 1u;
            }
            moved[base + at] = value;
        }
        if end > 0u {
            atomicMin(&first_measured, first);
            atomicMax(&end_measured, end);
        }
        workgroupBarrier();
        if lane == 0u {
            let end_of_row = atomicLoad(&end_measured);
            let out = 2u * (frame * params.height + y);
            spans[out] = min(atomicLoad(&first_measured), end_of_row);
            spans[out + 1u] = end_of_row;
        }
        // The next row may not overwrite what is still being read.
        workgroupBarrier();
    }
}
