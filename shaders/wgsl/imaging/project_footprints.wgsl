// Traces and demixing: weighted sums of pixels, every footprint on every frame.
//
//     out[frame, row] = sum of weight[k] * frames[frame, pixel[k]] over k = row_start[row] .. row_start[row + 1]
//
// A workgroup handles one row on four frames (workgroup_id.z), then strides over the rows. An invocation takes every 64th
// entry of the list and reads its weight and pixel once for all four; neighbours in a list are mostly neighbours in a row of
// the image, so reads are coalesced. Its four sums are one vector, and the vectors are added in a tree.
//
// frames     [frame, n_pixels]  pixel values
// row_start  [row + 1]          where the entries of each row begin, and where the last ones end
// pixel      [entry]            pixels of a frame
// weight     [entry]            their weights
// out        [frame, row]       written in full; 0 for a row without entries
//
// Limits: 262,140 frames; 1 KiB of workgroup memory.

struct Params {
    n_frames: u32,
    n_pixels: u32,
    n_rows: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> frames: array<f32>;
@group(0) @binding(2) var<storage, read> row_start: array<u32>;
@group(0) @binding(3) var<storage, read> pixel: array<u32>;
@group(0) @binding(4) var<storage, read> weight: array<f32>;
@group(0) @binding(5) var<storage, read_write> out: array<f32>;

const LANES: u32 = 64u;
// Frames of a workgroup: PROJECT_FRAMES in layout/imaging.rs.
const FRAMES: u32 = 4u;

var<workgroup> lane_sums: array<vec4<f32>, LANES>;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let first = group.z * FRAMES;
    // Beyond the last frame the last one is summed again, and not written.
    let frame = min(vec4<u32>(first) + vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(params.n_frames - 1u));
    let image = frame * params.n_pixels;
    for (var row = group.x; row < params.n_rows; row += groups.x) {
        var sums = vec4<f32>(0.0);
        let end = row_start[row + 1u];
        for (var k = row_start[row] + lane; k < end; k += LANES) {
            let at = image + vec4<u32>(pixel[k]);
            sums += weight[k] * vec4<f32>(frames[at.x], frames[at.y], frames[at.z], frames[at.w]);
        }
        lane_sums[lane] = sums;
        workgroupBarrier();
        for (var half = LANES / 2u; half > 0u; half /= 2u) {
            if lane < half {
                lane_sums[lane] += lane_sums[lane + half];
            }
            workgroupBarrier();
        }
        if lane < FRAMES && first + lane < params.n_frames {
            out[(first + lane) * params.n_rows + row] = lane_sums[0][lane];
        }
        // The next row's sums are written when all four of this one have been read.
        workgroupBarrier();
    }
}
