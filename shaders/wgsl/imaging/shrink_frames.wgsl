// Registration, coarse shift: frames made ready for the correlation with the reference.
//
//     out[row, column] = (clamp(mean of the bin, low, high) - zero) * taper_y[row] * taper_x[column]
//
// A bin of pixels has less noise than a pixel and leaves less to transform; clipping keeps a cell that flashes from
// deciding where the frame belongs; the taper hides the edges, which move differently from the tissue. The correlation
// is linear in the frame, so two frames travel as the real and the imaginary part of one complex image.
//
// One invocation handles one complex number, a bin of both frames of a pair (workgroup_id.z), then strides over the
// image. Neighbouring invocations read neighbouring bins and write neighbouring words.
//
// frames  [frame, y, x]             the movie's unit
// taper   [rows + columns]          weights of the rows, then of the columns
// out     [pair, row, column, 2]    the movie's unit, written in full; zero beyond the image and without a second frame
//
// Limits: 65,535 pairs.

struct Params {
    n_frames: u32,
    height: u32,
    width: u32,
    shrink: u32,
    rows: u32,
    columns: u32,
    low: f32,
    high: f32,
    zero: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frames: array<f32>;
@group(0) @binding(2) var<storage, read> taper: array<f32>;
@group(0) @binding(3) var<storage, read_write> out: array<f32>;

const LANES: u32 = 256u;

// Clipped mean of the bin at (row, column) of a frame, about `zero`; 0 where there is no such frame.
fn bin(frame: u32, row: u32, column: u32) -> f32 {
    if frame >= params.n_frames {
        return 0.0;
    }
    let corner = (frame * params.height + row * params.shrink) * params.width + column * params.shrink;
    var sum = 0.0;
    for (var dx = 0u; dx < params.shrink; dx++) {
        var along_y = 0.0;
        for (var dy = 0u; dy < params.shrink; dy++) {
            along_y += frames[corner + dy * params.width + dx];
        }
        sum += along_y;
    }
    let mean = sum * (1.0 / f32(params.shrink * params.shrink));
    return min(max(mean, params.low), params.high) - params.zero;
}

@compute @workgroup_size(256)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let n = params.rows * params.columns;
    let bins_y = params.height / params.shrink;
    let bins_x = params.width / params.shrink;
    for (var i = group.x * LANES + lane; i < n; i += groups.x * LANES) {
        let row = i / params.columns;
        let column = i - row * params.columns;
        var pair = vec2<f32>(0.0);
        if row < bins_y && column < bins_x {
            let weight = taper[row] * taper[params.rows + column];
            pair = vec2<f32>(bin(2u * group.z, row, column), bin(2u * group.z + 1u, row, column)) * weight;
        }
        let at = 2u * (group.z * n + i);
        out[at] = pair.x;
        out[at + 1u] = pair.y;
    }
}
