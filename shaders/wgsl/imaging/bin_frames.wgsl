// Registration, last step: means of consecutive frames, and sums over them.
//
//     bins[bin] = reference + sum over good frames of (moved - reference) / number of good frames
//
// One pass over the moved frames leaves everything that later stages ask of the whole movie: the binned movie, and a
// block's share of mean, variance and noise. The noise is that of successive differences (von Neumann 1941, Ann. Math.
// Stat. 12:367), which slow signals do not enter. A frame is good when its correlation with the reference is at least
// `min_correlation`; a pixel that was not measured counts as the reference, and without a good frame the bin is the
// reference.
//
// One invocation handles one pixel of a block of frames (workgroup_id.z) through time, then strides over the image.
// Neighbouring invocations read neighbouring pixels of the same frame; sums stay in registers.
//
// moved         [frame, y, x]      the movie's unit
// spans         [frame, row, 2]    first measured pixel of a row, and the end (exclusive)
// fit_of_frame  [frame, 3]         correlation with the reference first
// reference     [y, x]             the movie's unit
// bins          [bin, y, x]        the movie's unit, written in full
// sums          [block, 5, y, x]   measured frames; sum of pixel less reference; sum of its square; pairs of successive
//                                  measured frames, also of two bins; sum of their squared difference. Written in full
//
// Limits: a block is whole bins, the last one but for the end of the movie; 65,535 blocks.

struct Params {
    n_blocks: u32,
    block_frames: u32,
    bin_frames: u32,
    n_frames: u32,
    height: u32,
    width: u32,
    min_correlation: f32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> moved: array<f32>;
@group(0) @binding(2) var<storage, read> spans: array<u32>;
@group(0) @binding(3) var<storage, read> fit_of_frame: array<f32>;
@group(0) @binding(4) var<storage, read> reference: array<f32>;
@group(0) @binding(5) var<storage, read_write> bins: array<f32>;
@group(0) @binding(6) var<storage, read_write> sums: array<f32>;

const LANES: u32 = 64u;

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let image = params.height * params.width;
    let start = group.z * params.block_frames;
    let end = min(start + params.block_frames, params.n_frames);
    for (var i = group.x * LANES + lane; i < image; i += groups.x * LANES) {
        let y = i / params.width;
        let x = i - y * params.width;
        let centre = reference[i];
        var count = 0.0;
        var sum = 0.0;
        var square = 0.0;
        var pairs = 0.0;
        var differences = 0.0;
        // The frame before, when it is of the same block, good, and measured this pixel. Bins of one frame have noise as well.
        var earlier = 0.0;
        var has_earlier = false;
        for (var first = start; first < end; first += params.bin_frames) {
            let end_of_bin = min(first + params.bin_frames, end);
            var n_good = 0u;
            var total = 0.0;
            for (var frame = first; frame < end_of_bin; frame++) {
                var is_measured = false;
                if fit_of_frame[3u * frame] >= params.min_correlation {
                    n_good += 1u;
                    let span = 2u * (frame * params.height + y);
                    is_measured = x >= spans[span] && x < spans[span + 1u];
                }
                if is_measured {
                    let pixel = moved[frame * image + i];
                    let value = pixel - centre;
                    total += value;
                    count += 1.0;
                    sum += value;
                    square += value * value;
                    if has_earlier {
                        let difference = pixel - earlier;
                        pairs += 1.0;
                        differences += difference * difference;
                    }
                    earlier = pixel;
                }
                has_earlier = is_measured;
            }
            bins[first / params.bin_frames * image + i] = centre + total / f32(max(n_good, 1u));
        }
        let out = group.z * 5u * image + i;
        sums[out] = count;
        sums[out + image] = sum;
        sums[out + 2u * image] = square;
        sums[out + 3u * image] = pairs;
        sums[out + 4u * image] = differences;
    }
}
