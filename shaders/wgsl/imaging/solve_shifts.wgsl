// Registration, fine shifts: one Gauss-Newton step of the knots of every frame (Baker and Matthews 2004, Int. J. Computer
// Vision 56:221, inverse compositional in spirit: the matrix is that of the reference and inverted once and for all).
//
//     right = (sum of gradient moved - offset * sum of gradient) / gain - sum of gradient reference
//     knots = clamp(knots - inverse right - inverse ridge knots, start - reach, start + reach)
//
// The frame is modelled as gain * reference + offset, both in closed form from the sums. The ridge on the bending of the
// field lets rows with little structure follow their neighbours.
//
// A workgroup handles one frame (workgroup_id.z). All 256 invocations sum the rows' scalars; then teams of 32 take a knot
// at a time, once for its right-hand side (rows between the knots before and after it) and once for its row of the
// matrices. Both times the members of a team share the sum and add it in a tree.
//
// sums          [frame, row, 6 + 2 knot_columns]   from sum_gradients
// system        with n = 2 knot_rows knot_columns: sum of the weights, weighted squares of the reference about its mean,
//               two zeros, [n] sums of the gradients, [n] sums of gradient times reference, [n, n] inverse matrix,
//               [n, n] inverse matrix times ridge
// start         [frame, 3]                         y and x, pixels; the third is not read
// knots         [frame, 2, knot_row, knot_column]  pixels, in place
// fit_of_frame  [frame, 3]                         correlation with the reference, gain, offset: before the step
//
// Limits: n is 128 at most; 65,535 frames; 6 KiB of workgroup memory.

struct Params {
    n_frames: u32,
    height: u32,
    knot_rows: u32,
    knot_columns: u32,
    reach: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> sums: array<f32>;
@group(0) @binding(2) var<storage, read> system: array<f32>;
@group(0) @binding(3) var<storage, read> start: array<f32>;
@group(0) @binding(4) var<storage, read_write> knots: array<f32>;
@group(0) @binding(5) var<storage, read_write> fit_of_frame: array<f32>;

const LANES: u32 = 256u;
// Invocations that sum together.
const TEAM: u32 = 32u;
const TEAMS: u32 = 8u;
// MAX_KNOT_VALUES and ROW_SCALARS in layout/imaging.rs.
const MAX_VALUES: u32 = 128u;
const SCALARS: u32 = 6u;
// Contrasts of a frame, relative to the reference, that are believed.
const LEAST_GAIN: f32 = 0.3;
const LARGEST_GAIN: f32 = 3.0;
// A variance below this part of the mean square is the rounding of sums over a frame without structure.
const FLAT: f32 = 1e-5;
// A frame that has less than this part of the reference's weight is not there.
const LEAST_INSIDE: f32 = 1e-3;

var<workgroup> lane_scalars: array<vec4<f32>, LANES>;
var<workgroup> lane_sum: array<f32, LANES>;
var<workgroup> before: array<f32, MAX_VALUES>;
var<workgroup> right: array<f32, MAX_VALUES>;

// Sum of the values of a team; only its first member gets it. All invocations take part.
fn team_sum(lane: u32, value: f32) -> f32 {
    lane_sum[lane] = value;
    workgroupBarrier();
    for (var half = TEAM / 2u; half > 0u; half /= 2u) {
        if lane % TEAM < half {
            lane_sum[lane] += lane_sum[lane + half];
        }
        workgroupBarrier();
    }
    return lane_sum[lane];
}

// Sums over all rows of weight times pixel, weighted reference times pixel and weight times pixel squared, or (`first` 3) those
// of the pixels from outside the frame.
fn scalars_of(frame: u32, first: u32, lane: u32) -> vec4<f32> {
    let entries = SCALARS + 2u * params.knot_columns;
    var scalars = vec4<f32>(0.0);
    for (var row = lane; row < params.height; row += LANES) {
        let at = (frame * params.height + row) * entries + first;
        scalars += vec4<f32>(sums[at], sums[at + 1u], sums[at + 2u], 0.0);
    }
    // What was read of the sums before may not be overwritten.
    workgroupBarrier();
    lane_scalars[lane] = scalars;
    workgroupBarrier();
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        if lane < half {
            lane_scalars[lane] += lane_scalars[lane + half];
        }
        workgroupBarrier();
    }
    return lane_scalars[0];
}

// Correlation of a frame with the reference over the pixels that it has: those from outside it are the reference itself, and a
// frame without any structure that lies far off would seem to fit. 0 where there is nothing to compare.
fn correlation(scalars: vec4<f32>, outside: vec4<f32>, weight: f32, squares: f32) -> f32 {
    let weight_inside = weight - outside.x;
    if weight_inside <= LEAST_INSIDE * weight {
        return 0.0;
    }
    let pixel = scalars.x - outside.y;
    let product = scalars.y - outside.z;
    let square = scalars.z - outside.z;
    // The reference's own sums over all pixels are 0 and `squares`.
    let reference = -outside.y;
    let variance = square - pixel * pixel / weight_inside;
    let contrast = (squares - outside.z) - reference * reference / weight_inside;
    let covariance = product - pixel * reference / weight_inside;
    if variance > FLAT * square && contrast > FLAT * squares {
        return covariance / sqrt(variance * contrast);
    }
    return 0.0;
}

// A member's share of the gradient sums of value k of the field: every 32nd of the rows that the knot touches.
fn gradient_of(frame: u32, k: u32, member: u32) -> f32 {
    let entries = SCALARS + 2u * params.knot_columns;
    let knots_of_axis = params.knot_rows * params.knot_columns;
    let axis = k / knots_of_axis;
    let knot_row = (k % knots_of_axis) / params.knot_columns;
    let entry = SCALARS + axis * params.knot_columns + k % params.knot_columns;
    var scale = 0.0;
    var from_row = 0u;
    var to_row = params.height;
    if params.knot_rows > 1u && params.height > 1u {
        scale = f32(params.knot_rows - 1u) / f32(params.height - 1u);
        // A row more on both sides: the weights decide.
        from_row = u32(max((f32(knot_row) - 1.0) / scale - 1.0, 0.0));
        to_row = min(u32((f32(knot_row) + 1.0) / scale + 2.0), params.height);
    }
    var sum = 0.0;
    for (var row = from_row + member; row < to_row; row += TEAM) {
        let at = f32(row) * scale;
        let first = min(u32(at), max(params.knot_rows, 2u) - 2u);
        let next = min(first + 1u, params.knot_rows - 1u);
        let t = at - f32(first);
        let weight = select(0.0, 1.0 - t, first == knot_row) + select(0.0, t, next == knot_row);
        sum += sums[(frame * params.height + row) * entries + entry] * weight;
    }
    return sum;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let frame = group.z;
    let n = 2u * params.knot_rows * params.knot_columns;
    let member = lane % TEAM;
    let team = lane / TEAM;
    let gradient = 4u;
    let fixed_part = gradient + n;
    let inverse = fixed_part + n;
    let ridge = inverse + n * n;

    let scalars = scalars_of(frame, 0u, lane);
    let outside = scalars_of(frame, 3u, lane);
    let weight = system[0];
    let squares = system[1];
    var offset = 0.0;
    if weight > 0.0 {
        offset = scalars.x / weight;
    }
    var gain = 1.0;
    if squares > 0.0 {
        gain = min(max(scalars.y / squares, LEAST_GAIN), LARGEST_GAIN);
    }
    if lane == 0u {
        fit_of_frame[3u * frame] = correlation(scalars, outside, weight, squares);
        fit_of_frame[3u * frame + 1u] = gain;
        fit_of_frame[3u * frame + 2u] = offset;
    }

    if lane < n {
        before[lane] = knots[frame * n + lane];
    }
    for (var first = 0u; first < n; first += TEAMS) {
        let k = first + team;
        var share = 0.0;
        if k < n {
            share = gradient_of(frame, k, member);
        }
        let sum = team_sum(lane, share);
        if k < n && member == 0u {
            right[k] = (sum - offset * system[gradient + k]) / gain - system[fixed_part + k];
        }
    }
    workgroupBarrier();
    for (var first = 0u; first < n; first += TEAMS) {
        let k = first + team;
        var share = 0.0;
        if k < n {
            for (var j = member; j < n; j += TEAM) {
                share += system[inverse + k * n + j] * right[j] + system[ridge + k * n + j] * before[j];
            }
        }
        let step = team_sum(lane, share);
        if k < n && member == 0u {
            let centre = start[3u * frame + k / (n / 2u)];
            let moved = min(max(before[k] - step, centre - params.reach), centre + params.reach);
            knots[frame * n + k] = moved;
        }
    }
}
