// Fourier transform of every row of complex images, in place. Registration uses it for the correlation with the reference.
//
//     X[k] = sum_j x[j] exp(-2 pi i j k / n)   forward; inverse with +2 pi i, without the division by n
//
// Stockham's algorithm (Cochran et al. 1967, IEEE Trans. Audio Electroacoust. 15:45): passes of radix 4, before them one
// of radix 2 where the length is an odd power of two; each pass leaves its values in order, so nothing is shuffled at the
// end. An invocation keeps four values of a row in registers and trades them through workgroup memory between passes,
// which therefore holds one copy. A workgroup transforms 1024 / n rows side by side, so that short rows fill it as well,
// then strides over the rows of its image (workgroup_id.z).
//
// images  [image, row, column, 2]  real and imaginary part, in place
//
// Limits: n is a power of two from 1 to 1024; 8 KiB of workgroup memory. WGSL promises sine and cosine to 2^-11 only, so
// the factors are made of an eighth of a turn, found with integers, and polynomials that are right to the last bits.

struct Params {
    n_images: u32,
    rows: u32,
    columns: u32,
    inverse: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> images: array<f32>;

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

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = params.columns;
    let together = MAX_LENGTH / n;
    let base = group.z * params.rows * n;
    let sign = select(-1.0, 1.0, params.inverse != 0u);
    for (var first = group.x * together; first < params.rows; first += groups.x * together) {
        if n >= 4u {
            let quarter = n / 4u;
            let row = first + lane / quarter;
            let i = lane % quarter;
            let at = base + row * n + i;
            line_start = (lane / quarter) * n;
            value_step = 1u;
            if row < params.rows {
                v0 = load(at);
                v1 = load(at + quarter);
                v2 = load(at + 2u * quarter);
                v3 = load(at + 3u * quarter);
            }
            transform(n, i, sign);
            if row < params.rows {
                store(at, v0);
                store(at + quarter, v1);
                store(at + 2u * quarter, v2);
                store(at + 3u * quarter, v3);
            }
        } else if n == 2u {
            for (var row = first + lane; row < min(first + together, params.rows); row += LANES) {
                let a = load(base + 2u * row);
                let b = load(base + 2u * row + 1u);
                store(base + 2u * row, a + b);
                store(base + 2u * row + 1u, a - b);
            }
        }
    }
}
