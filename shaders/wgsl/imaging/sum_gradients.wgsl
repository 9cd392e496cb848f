// Registration, fine shifts: the sums from which a Gauss-Newton step is made (Lucas and Kanade 1981, Proc. IJCAI:674).
//
//     moved[y, x] = frame[y + shift_y, x + shift_x] - zero                     (bilinear)
//     sums[row]   = sum_x of  weight moved,  weighted reference moved,  weight moved^2,
//                   of pixels from outside the frame  weight,  weight reference,  weighted reference reference,
//                   then for each column of knots  gradient_y moved hat,  then  gradient_x moved hat
//
// where hat is the column's share of the pixel: the shift of a pixel is bilinear between knots that are equally spaced from
// edge to edge. Along x the whole part of a shift is taken at the centre of a tile of 16 pixels and shared by its pixels; the
// fraction is each pixel's own. No moved image is written. Brightness and contrast of the frame are linear in these sums
// and solved for later. A pixel from outside the frame counts as the reference itself, so that it pulls nowhere;
// what such pixels add is summed as well, so that the fit can be judged without them.
//
// A workgroup handles one row of one frame (workgroup_id.z), then strides over the rows; an invocation sums every 128th
// pixel, so that neighbours read neighbouring pixels of frame and model, and the sums are added in a tree.
//
// frames  [frame, y, x]                     the movie's unit
// knots   [frame, 2, knot_row, knot_column] shifts along y, then along x, pixels
// model   [5, y, x]                         reference less zero; weight; weight times (reference less its weighted mean);
//                                           weight times gradient along y; weight times gradient along x
// sums    [frame, row, 6 + 2 knot_columns]  written in full
//
// Limits: 4 columns of knots; 65,535 frames; 8.2 KiB of workgroup memory.

struct Params {
    n_frames: u32,
    height: u32,
    width: u32,
    knot_rows: u32,
    knot_columns: u32,
    zero: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frames: array<f32>;
@group(0) @binding(2) var<storage, read> knots: array<f32>;
@group(0) @binding(3) var<storage, read> model: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

const LANES: u32 = 128u;
// SHIFT_TILE, MAX_KNOT_COLUMNS and ROW_SCALARS in layout/imaging.rs.
const TILE: u32 = 16u;
const MAX_KNOT_COLUMNS: u32 = 4u;
const SCALARS: u32 = 6u;
// From a tile's first pixel to its centre.
const CENTRE: f32 = 7.5;
// A tile whose centre lies less than this before a knot, in distances of knots, counts as after it: a division that is
// not exact must not decide between two knots.
const ON_A_KNOT: f32 = 1e-4;

// Shifts of the columns of knots at the row: y and x.
var<workgroup> row_shift: array<vec2<f32>, MAX_KNOT_COLUMNS>;
var<workgroup> lane_scalars: array<vec4<f32>, LANES>;
var<workgroup> lane_outside: array<vec4<f32>, LANES>;
var<workgroup> lane_gradient_y: array<vec4<f32>, LANES>;
var<workgroup> lane_gradient_x: array<vec4<f32>, LANES>;

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

// Pixel of a frame; beyond an edge, the edge.
fn pixel(base: u32, y: i32, x: i32) -> f32 {
    let row = u32(clamp(y, 0, i32(params.height) - 1));
    let column = u32(clamp(x, 0, i32(params.width) - 1));
    return frames[base + row * params.width + column];
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let frame = group.z;
    let image = params.height * params.width;
    let base = frame * image;
    let entries = SCALARS + 2u * params.knot_columns;
    let column_scale = spacing(params.knot_columns, params.width);
    let last = vec2<f32>(f32(params.height - 1u), f32(params.width - 1u));
    let ids = vec4<u32>(0u, 1u, 2u, 3u);
    for (var y = group.x; y < params.height; y += groups.x) {
        if lane < params.knot_columns {
            row_shift[lane] = shift_at_row(frame, y, lane);
        }
        workgroupBarrier();
        var scalars = vec4<f32>(0.0);
        var outside = vec4<f32>(0.0);
        var gradient_y = vec4<f32>(0.0);
        var gradient_x = vec4<f32>(0.0);
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
            let weight = model[image + at];
            let weighted = model[2u * image + at];
            var value = model[at];
            if all(place >= vec2<f32>(0.0)) && all(place <= last) {
                let p = pixel(base, from_pixel.x, from_pixel.y);
                let q = pixel(base, from_pixel.x, from_pixel.y + 1);
                let r = pixel(base, from_pixel.x + 1, from_pixel.y);
                let s = pixel(base, from_pixel.x + 1, from_pixel.y + 1);
                let upper = p + (q - p) * fraction.y;
                let lower = r + (s - r) * fraction.y;
                value = upper + (lower - upper) * fraction.x - params.zero;
            } else {
                outside += vec4<f32>(weight, weight * value, weighted * value, 0.0);
            }
            scalars += vec4<f32>(weight, weighted, weight * value, 0.0) * value;
            let hat = select(vec4<f32>(0.0), vec4<f32>(1.0 - t), ids == vec4<u32>(before))
                + select(vec4<f32>(0.0), vec4<f32>(t), ids == vec4<u32>(after));
            gradient_y += (model[3u * image + at] * value) * hat;
            gradient_x += (model[4u * image + at] * value) * hat;
        }
        lane_scalars[lane] = scalars;
        lane_outside[lane] = outside;
        lane_gradient_y[lane] = gradient_y;
        lane_gradient_x[lane] = gradient_x;
        workgroupBarrier();
        for (var half = LANES / 2u; half > 0u; half /= 2u) {
            if lane < half {
                lane_scalars[lane] += lane_scalars[lane + half];
                lane_outside[lane] += lane_outside[lane + half];
                lane_gradient_y[lane] += lane_gradient_y[lane + half];
                lane_gradient_x[lane] += lane_gradient_x[lane + half];
            }
            workgroupBarrier();
        }
        let out = (frame * params.height + y) * entries;
        if lane < 3u {
            sums[out + lane] = lane_scalars[0][lane];
            sums[out + 3u + lane] = lane_outside[0][lane];
        }
        if lane < params.knot_columns {
            sums[out + SCALARS + lane] = lane_gradient_y[0][lane];
            sums[out + SCALARS + params.knot_columns + lane] = lane_gradient_x[0][lane];
        }
        // The next row may not overwrite what is still being read.
        workgroupBarrier();
    }
}
