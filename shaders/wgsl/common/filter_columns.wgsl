// Registration, coarse shift: every column of complex images transformed, multiplied with a filter, transformed back.
//
//     out = inverse(filter * forward(column)), without the division by n
//
// Between two passes over the rows (transform_rows) this is all that a filter in the frequency domain needs; the spectrum
// of a column never leaves the registers. The transform is that of transform_rows.wgsl: after the last forward pass an
// invocation holds the very values with which it begins the first inverse one.
//
// A workgroup handles 1024 / n neighbouring columns side by side, an invocation four values of one, so that memory is read
// in runs of 8 * 1024 / n bytes; then it strides over the columns of its image (workgroup_id.z).
//
// filter_weight  [row, column, 2]         real and imaginary part
// images         [image, row, column, 2]  real and imaginary part, in place
//
// Limits: n is a power of two from 1 to 1024; 8 KiB of workgroup memory.

struct Params {
    n_images: u32,
    rows: u32,
    columns: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> filter_weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> images: array<f32>;

const LANES: u32 = 256u;
// Longest line: four values for each invocation. MAX_TRANSFORM in layout/imaging.rs.
const MAX_LENGTH: u32 = 1024u;
// One step of the circle, which has MAX_LENGTH of them.
const STEP: f32 = 6.283185307179586 / 1024.0;

var<workgroup> traded: array<vec2<f32>, MAX_LENGTH>;

// The invocation's values, and where its line lies in workgroup memory.
var<private> v0: vec2<f32>;
var<private> v1: vec2<f32>;
var<private> v2: vec2<f32>;
var<private> v3: vec2<f32>;
var<private> line_start: u32;
var<private> value_step: u32;

// Cosine and sine of m steps of the circle, fewer than half of it. Odd eighths are counted back from their end, so that
// the polynomials (Taylor) see angles up to an eighth of a turn: their first missing terms are below 2e-9 there.
fn on_circle(m: u32) -> vec2<f32> {
    let eighth = m / 128u;
    let steps = m % 128u;
    let angle = f32(select(steps, 128u - steps, (eighth & 1u) == 1u)) * STEP;
    let q = angle * angle;
    let s = angle * (1.0 + q * (-1.0 / 6.0 + q * (1.0 / 120.0 + q * (-1.0 / 5040.0 + q / 362880.0))));
    let c = 1.0 + q * (-0.5 + q * (1.0 / 24.0 + q * (-1.0 / 720.0 + q * (1.0 / 40320.0 - q / 3628800.0))));
    let swapped = eighth == 1u || eighth == 2u;
    let cosine = select(c, s, swapped);
    return vec2<f32>(select(cosine, -cosine, eighth >= 2u), select(s, c, swapped));
}

fn times(a: vec2<f32>, b: vec2<f32>) -> vec2<f32> {
    return vec2<f32>(a.x * b.x - a.y * b.y, a.x * b.y + a.y * b.x);
}

// Writes the four values to places `at` of the line and reads those that the next pass needs: a quarter of the line
// apart, from `i` on. All invocations take part.
fn trade(at: vec4<u32>, i: u32, quarter: u32) {
    traded[line_start + at.x * value_step] = v0;
    traded[line_start + at.y * value_step] = v1;
    traded[line_start + at.z * value_step] = v2;
    traded[line_start + at.w * value_step] = v3;
    workgroupBarrier();
    v0 = traded[line_start + i * value_step];
    v1 = traded[line_start + (i + quarter) * value_step];
    v2 = traded[line_start + (i + 2u * quarter) * value_step];
    v3 = traded[line_start + (i + 3u * quarter) * value_step];
    workgroupBarrier();
}

// Transforms lines of n >= 4 values. An invocation begins and ends with values i, i + n / 4, i + n / 2, i + 3 n / 4 of its
// line. `sign` is -1 forward and 1 inverse.
fn transform(n: u32, i: u32, sign: f32) {
    let quarter = n / 4u;
    var done = 1u;
    if (n & 0xaaaaaaaau) != 0u {
        // An odd power of two: butterflies i and i + n / 4 of radix 2.
        let a = v0 + v2;
        let b = v0 - v2;
        let c = v1 + v3;
        let d = v1 - v3;
        v0 = a;
        v1 = b;
        v2 = c;
        v3 = d;
        trade(vec4<u32>(2u * i, 2u * i + 1u, 2u * (i + quarter), 2u * (i + quarter) + 1u), i, quarter);
        done = 2u;
    }
    for (; done < n; done *= 4u) {
        let k = i & (done - 1u);
        let turn = k * (256u / done);
        let one = on_circle(turn) * vec2<f32>(1.0, sign);
        let two = on_circle(2u * turn) * vec2<f32>(1.0, sign);
        v1 = times(v1, one);
        v2 = times(v2, two);
        v3 = times(v3, times(one, two));
        let a = v0 + v2;
        let b = v0 - v2;
        let c = v1 + v3;
        let d = vec2<f32>(v3.y - v1.y, v1.x - v3.x) * sign;
        v0 = a + c;
        v1 = b + d;
        v2 = a - c;
        v3 = b - d;
        // After the last pass the values are in their places.
        if 4u * done < n {
            let first = 4u * (i - k) + k;
            trade(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u) * done, i, quarter);
        }
    }
}

fn load(at: u32) -> vec2<f32> {
    return vec2<f32>(images[2u * at], images[2u * at + 1u]);
}

fn store(at: u32, value: vec2<f32>) {
    images[2u * at] = value.x;
    images[2u * at + 1u] = value.y;
}

fn filtered(value: vec2<f32>, at: u32) -> vec2<f32> {
    return times(value, vec2<f32>(filter_weight[2u * at], filter_weight[2u * at + 1u]));
}

// A column of one or two values; one invocation.
fn short_column(base: u32, column: u32) {
    let a = load(base + column);
    if params.rows == 1u {
        store(base + column, filtered(a, column));
        return;
    }
    let b = load(base + params.columns + column);
    let sum = filtered(a + b, column);
    let difference = filtered(a - b, params.columns + column);
    store(base + column, sum + difference);
    store(base + params.columns + column, sum - difference);
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = params.rows;
    let together = MAX_LENGTH / n;
    let base = group.z * n * params.columns;
    for (var first = group.x * together; first < params.columns; first += groups.x * together) {
        if n >= 4u {
            let quarter = n / 4u;
            let column = first + lane % together;
            let i = lane / together;
            // Value i of the column, and a quarter of the column further on.
            let at = i * params.columns + column;
            let gap = quarter * params.columns;
            line_start = lane % together;
            value_step = together;
            if column < params.columns {
                v0 = load(base + at);
                v1 = load(base + at + gap);
                v2 = load(base + at + 2u * gap);
                v3 = load(base + at + 3u * gap);
            }
            transform(n, i, -1.0);
            if column < params.columns {
                v0 = filtered(v0, at);
                v1 = filtered(v1, at + gap);
                v2 = filtered(v2, at + 2u * gap);
                v3 = filtered(v3, at + 3u * gap);
            }
            transform(n, i, 1.0);
            if column < params.columns {
                store(base + at, v0);
                store(base + at + gap, v1);
                store(base + at + 2u * gap, v2);
                store(base + at + 3u * gap, v3);
            }
        } else {
            for (var column = first + lane; column < min(first + together, params.columns); column += LANES) {
                short_column(base, column);
            }
        }
    }
}
