// Masks: the pixels around each seed that belong to it.
//
// Where the flows of a cell do not meet in one pixel, its ends are a small cloud. A seed takes the pixels that are joined
// to it through pixels with more than `min_count` ends, in a window of 11 by 11 pixels: each round lets in those of the
// window's dense pixels that touch, also with a corner, what the seed has.
//
// A workgroup handles one seed, then strides over the list. Its invocations read a pixel of the window each; a row of the
// window is a word of 11 bits, so that a round is a few bit operations of 11 invocations.
//
// histogram  [y, x]     ends of each pixel
// seeds      [seed]     pixel numbers, y * width + x
// windows    [seed, 4]  bit row * 11 + column is set when the window's pixel belongs to the seed; written in full
//
// Limits: none beyond the binding size; 132 bytes of workgroup memory.

struct Params {
    n_seeds: u32,
    height: u32,
    width: u32,
    min_count: u32,
    rounds: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> histogram: array<u32>;
@group(0) @binding(2) var<storage, read> seeds: array<u32>;
@group(0) @binding(3) var<storage, read_write> windows: array<u32>;

// SEED_WINDOW and SEED_WORDS in layout/imaging.rs.
const WINDOW: u32 = 11u;
const WORDS: u32 = 4u;
const HALF: u32 = 5u;
const ROW_BITS: u32 = 0x7ffu;

// Rows of the window: enough ends; what the seed has, before and after a round.
var<workgroup> dense: array<atomic<u32>, WINDOW>;
var<workgroup> grown: array<u32, WINDOW>;
var<workgroup> widened: array<u32, WINDOW>;

// Whether the pixel of the window is in the image and has enough ends.
fn is_dense(seed: u32, row: u32, column: u32) -> bool {
    // Beyond the upper and left edge the difference wraps round and is too large as well.
    let y = seed / params.width + row - HALF;
    let x = seed % params.width + column - HALF;
    return y < params.height && x < params.width && histogram[y * params.width + x] > params.min_count;
}

@compute @workgroup_size(128)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    for (var entry = group.x; entry < params.n_seeds; entry += groups.x) {
        if lane < WINDOW {
            atomicStore(&dense[lane], 0u);
            grown[lane] = select(0u, 1u << HALF, lane == HALF);
        }
        workgroupBarrier();
        let row = lane / WINDOW;
        let column = lane % WINDOW;
        if row < WINDOW && is_dense(seeds[entry], row, column) {
            atomicOr(&dense[row], 1u << column);
        }
        workgroupBarrier();
        for (var round = 0u; round < params.rounds; round++) {
            if lane < WINDOW {
                let bits = grown[lane];
                widened[lane] = (bits | (bits << 1u) | (bits >> 1u)) & ROW_BITS;
            }
            workgroupBarrier();
            if lane < WINDOW {
                var bits = widened[lane];
                if lane > 0u {
                    bits |= widened[lane - 1u];
                }
                if lane + 1u < WINDOW {
                    bits |= widened[lane + 1u];
                }
                grown[lane] = bits & atomicLoad(&dense[lane]);
            }
            workgroupBarrier();
        }
        if lane < WORDS {
            // Rows lie one after the other and across words.
            var word = 0u;
            for (var r = 0u; r < WINDOW; r++) {
                let first_bit = r * WINDOW;
                let first_of_word = lane * 32u;
                if first_bit >= first_of_word && first_bit < first_of_word + 32u {
                    word |= grown[r] << (first_bit - first_of_word);
                } else if first_bit < first_of_word && first_bit + WINDOW > first_of_word {
                    word |= grown[r] >> (first_of_word - first_bit);
                }
            }
            windows[entry * WORDS + lane] = word;
        }
        // The next seed may not overwrite what is still being read.
        workgroupBarrier();
    }
}
