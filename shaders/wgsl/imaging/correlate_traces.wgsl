// Demixing: how much each pixel around a cell follows the cell's trace.
//
//     sums[k] += sum over frames of traces[row[k], frame] * frames[frame, pixel[k]]
//
// One invocation handles one listed pixel through all frames, then strides over the list: a sum stays in a register and is
// made in the order of frames, whatever travels together. Neighbours in the list are mostly neighbours in a row of the image
// and of the same trace, so a frame is read piece by piece and a value of the trace by all at once.
//
// frames  [frame, n_pixels]   pixel values
// pixel   [n_entries]         pixels of a frame
// row     [n_entries]         the trace that each is compared with
// traces  [row, frame]
// sums    [n_entries]         added to
//
// Limits: none beyond the binding size.

struct Params {
    n_frames: u32,
    n_pixels: u32,
    n_entries: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frames: array<f32>;
@group(0) @binding(2) var<storage, read> pixel: array<u32>;
@group(0) @binding(3) var<storage, read> row: array<u32>;
@group(0) @binding(4) var<storage, read> traces: array<f32>;
@group(0) @binding(5) var<storage, read_write> sums: array<f32>;

const LANES: u32 = 64u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var k = group.x * LANES + lane; k < params.n_entries; k += groups.x * LANES) {
        let trace = row[k] * params.n_frames;
        var at = pixel[k];
        var sum = sums[k];
        for (var frame = 0u; frame < params.n_frames; frame++) {
            sum += traces[trace + frame] * frames[at];
            at += params.n_pixels;
        }
        sums[k] = sum;
    }
}
