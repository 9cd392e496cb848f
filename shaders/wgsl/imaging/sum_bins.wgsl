// Summary images: sums over bins that the images are made of (training/summary.py defines them).
//
//     z = bins - background, 0 where a pixel is absent;  s = sum of z over 3 by 3 pixels;  c = measured pixels among them
//     sums = sum of z^2,  sum of (s - z)^2,  sum of z (s - z),  largest 3 s / c,  sum of max(3 s / c - threshold, 0)^2
//
// over bins, for every pixel. A workgroup handles a tile of 32 by 8 pixels through all bins, one pixel an invocation; z of
// the tile and the pixels around it lies in workgroup memory, twice, so that one barrier a bin is enough. Sums stay in
// registers.
//
// bins        [bin, y, x]  noise deviations
// background  [bin, y, x]  noise deviations
// count       [y, x]       measured pixels of the 3 by 3 square; 0 where the pixel itself is absent
// sums        [5, y, x]    in the order of the equation; written in full
//
// Limits: 2.7 KiB of workgroup memory.

struct Params {
    n_bins: u32,
    height: u32,
    width: u32,
    threshold: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> bins: array<f32>;
@group(0) @binding(2) var<storage, read> background: array<f32>;
@group(0) @binding(3) var<storage, read> count: array<f32>;
@group(0) @binding(4) var<storage, read_write> sums: array<f32>;

const LANES: u32 = 256u;
// Pixels of a tile: SUM_TILE in layout/imaging.rs.
const COLUMNS: u32 = 32u;
const ROWS: u32 = 8u;
// The tile with a border of one pixel.
const PITCH: u32 = 34u;
const PLANE: u32 = 340u;
// What a maximum begins with: the smallest finite value, as in the twin.
const SMALLEST: f32 = -3.40282346638528859812e+38;

var<workgroup> around: array<f32, 680>;

// A pixel of the image that an invocation brings in for every bin; `is_measured` is false beyond the image as well.
struct Source {
    pixel: u32,
    is_measured: bool,
}

// The pixel at place `item` of the tile with its border, whose corner is (top - 1, left - 1).
fn source_of(item: u32, top: u32, left: u32) -> Source {
    let y = top + item / PITCH;
    let x = left + item % PITCH;
    // One more than the pixel's row and column, so that the border of the first tile is 0.
    if item >= PLANE || y == 0u || x == 0u || y > params.height || x > params.width {
        return Source(0u, false);
    }
    let pixel = (y - 1u) * params.width + x - 1u;
    return Source(pixel, count[pixel] > 0.0);
}

fn z_of(source: Source, bin: u32) -> f32 {
    if !source.is_measured {
        return 0.0;
    }
    let at = bin * params.height * params.width + source.pixel;
    return bins[at] - background[at];
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) lane: u32) {
    let top = group.y * ROWS;
    let left = group.x * COLUMNS;
    let y = top + lane / COLUMNS;
    let x = left + lane % COLUMNS;
    let is_inside = y < params.height && x < params.width;
    // A tile with its border is more than one place an invocation, but not more than two.
    let first = source_of(lane, top, left);
    let second = source_of(lane + LANES, top, left);
    let centre = (lane / COLUMNS + 1u) * PITCH + lane % COLUMNS + 1u;
    var measured = 1.0;
    if is_inside {
        measured = max(count[y * params.width + x], 1.0);
    }

    var own = 0.0;
    var others = 0.0;
    var product = 0.0;
    var largest = SMALLEST;
    var energy = 0.0;
    for (var bin = 0u; bin < params.n_bins; bin++) {
        // While some still sum the last bin, the others fill the other half.
        let start = (bin % 2u) * PLANE;
        around[start + lane] = z_of(first, bin);
        if lane + LANES < PLANE {
            around[start + lane + LANES] = z_of(second, bin);
        }
        workgroupBarrier();
        let at = start + centre;
        let above = around[at - PITCH - 1u] + around[at - PITCH] + around[at - PITCH + 1u];
        let here = around[at - 1u] + around[at] + around[at + 1u];
        let below = around[at + PITCH - 1u] + around[at + PITCH] + around[at + PITCH + 1u];
        let sum = above + here + below;
        let z = around[at];
        let rest = sum - z;
        let smoothed = 3.0 * sum / measured;
        let above_threshold = max(smoothed - params.threshold, 0.0);
        own += z * z;
        others += rest * rest;
        product += z * rest;
        largest = max(largest, smoothed);
        energy += above_threshold * above_threshold;
    }
    if is_inside {
        let image = params.height * params.width;
        let pixel = y * params.width + x;
        sums[pixel] = own;
        sums[image + pixel] = others;
        sums[2u * image + pixel] = product;
        sums[3u * image + pixel] = largest;
        sums[4u * image + pixel] = energy;
    }
}
