// Masks: pixels walk along the flows to the middle of their cell (Stringer et al. 2021, Nature Methods 18:100).
//
//     place += flow(place), bilinear between pixels and kept inside the image, `steps` times
//
// One invocation handles one pixel through all its steps, then strides over the list. Pixels of one cell are neighbours in
// the list and read nearly the same flows, more so with every step: the cache serves them.
//
// flow    [2, y, x]  y and x, pixels a step
// points  [point]    pixels that walk, y * width + x
// ends    [point]    the pixels where they are then, fractions cut off; written in full
//
// Limits: none beyond the binding size.

struct Params {
    height: u32,
    width: u32,
    n_points: u32,
    steps: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> flow: array<f32>;
@group(0) @binding(2) var<storage, read> points: array<u32>;
@group(0) @binding(3) var<storage, read_write> ends: array<u32>;

const LANES: u32 = 64u;

// Both components at pixel number `at`.
fn flow_at(at: u32) -> vec2<f32> {
    return vec2<f32>(flow[at], flow[params.height * params.width + at]);
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let last = vec2<u32>(params.height - 1u, params.width - 1u);
    for (var i = group.x * LANES + lane; i < params.n_points; i += groups.x * LANES) {
        let point = points[i];
        var place = vec2<f32>(f32(point / params.width), f32(point % params.width));
        for (var step = 0u; step < params.steps; step++) {
            let before = vec2<u32>(place);
            let after = min(before + vec2<u32>(1u), last);
            let t = place - vec2<f32>(before);
            let upper = before.x * params.width;
            let lower = after.x * params.width;
            let move_by = flow_at(upper + before.y) * ((1.0 - t.x) * (1.0 - t.y))
                + flow_at(upper + after.y) * ((1.0 - t.x) * t.y)
                + flow_at(lower + before.y) * (t.x * (1.0 - t.y))
                + flow_at(lower + after.y) * (t.x * t.y);
            place = clamp(place + move_by, vec2<f32>(0.0), vec2<f32>(last));
        }
        let end = vec2<u32>(place);
        ends[i] = end.x * params.width + end.y;
    }
}
