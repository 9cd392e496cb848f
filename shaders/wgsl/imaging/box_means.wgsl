// Summary images: sums over a square of pixels, one axis at a time, and the division at the end.
//
//     out[y, x] = scale[y, x] * sum of x over `radius` pixels on both sides along the axis
//
// Subtracting the mean of a large square takes out what is smooth: neuropil, shading, focus. Two calls make it: along x with
// a scale of 1, then along y with the inverse count of the square's pixels. At an edge the sum is over the pixels that
// exist. Pixels are added in the order of their place, so a value does not depend on its neighbours' sums.
//
// A workgroup handles 64 pixels along the axis of 32 lines beside each other of one image (workgroup_id.z), an invocation
// eight of them. The pixels that the sums need are brought into workgroup memory in pieces of 64 by 32, so that any radius
// will do; with the usual 12 that is two pieces. Neighbouring invocations are neighbours along x whatever the axis, so
// reads and writes are coalesced.
//
// x      [image, y, x]  any unit
// scale  [y, x]
// out    [image, y, x]  written in full
//
// Limits: 65,535 images; 8 KiB of workgroup memory.

struct Params {
    n_images: u32,
    height: u32,
    width: u32,
    radius: u32,
    axis: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<f32>;
@group(0) @binding(2) var<storage, read> scale: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const LANES: u32 = 256u;
// Pixels along the axis, and lines: BOX_TILE in layout/imaging.rs.
const ALONG: u32 = 64u;
const LINES: u32 = 32u;
// Places that an invocation has.
const ITEMS: u32 = 8u;

// As it lies in the image: [line, along] when the axis is x, [along, line] when it is y.
var<workgroup> piece: array<f32, 2048>;

// Place of an invocation's item within a tile: along the axis, line.
fn place_of(item: u32) -> vec2<u32> {
    if params.axis == 0u {
        return vec2<u32>(item % ALONG, item / ALONG);
    }
    return vec2<u32>(item / LINES, item % LINES);
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let along_x = params.axis == 0u;
    let base = group.z * params.height * params.width;
    let length = select(params.height, params.width, along_x);
    let n_lines = select(params.width, params.height, along_x);
    let step = select(params.width, 1u, along_x);
    let line_step = select(1u, params.width, along_x);
    let first = select(group.y, group.x, along_x) * ALONG;
    let first_line = select(group.x, group.y, along_x) * LINES;
    let piece_step = select(LINES, 1u, along_x);
    let piece_line_step = select(1u, ALONG, along_x);

    var sums = array<f32, ITEMS>();
    let end = min(first + ALONG + params.radius, length);
    for (var start = max(first, params.radius) - params.radius; start < end; start += ALONG) {
        for (var k = 0u; k < ITEMS; k++) {
            let place = place_of(lane + k * LANES);
            let along = start + place.x;
            let line = first_line + place.y;
            if along < end && line < n_lines {
                piece[lane + k * LANES] = x[base + along * step + line * line_step];
            }
        }
        workgroupBarrier();
        for (var k = 0u; k < ITEMS; k++) {
            let place = place_of(lane + k * LANES);
            let at = first + place.x;
            if at < length && first_line + place.y < n_lines {
                // Those pixels of the piece that lie within the radius.
                let from_tap = max(max(at, params.radius) - params.radius, start);
                let to_tap = min(min(at + params.radius + 1u, length), start + ALONG);
                let row = place.y * piece_line_step;
                var sum = sums[k];
                for (var tap = from_tap; tap < to_tap; tap++) {
                    sum += piece[row + (tap - start) * piece_step];
                }
                sums[k] = sum;
            }
        }
        workgroupBarrier();
    }
    for (var k = 0u; k < ITEMS; k++) {
        let place = place_of(lane + k * LANES);
        let at = first + place.x;
        let line = first_line + place.y;
        if at < length && line < n_lines {
            let pixel = at * step + line * line_step;
            out[base + pixel] = sums[k] * scale[pixel];
        }
    }
}
