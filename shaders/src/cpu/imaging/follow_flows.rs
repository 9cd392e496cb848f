//! Twin of `wgsl/imaging/follow_flows.wgsl`: pixels walk along the flows to the middle of their cell (Stringer et al. 2021).

use crate::{
    cpu::{Buffer, params},
    layout::FollowFlowsParams,
};

/// Pixels that walk side by side.
const LANES: usize = 8;

/// `points` (pixel indices) walk `steps` Euler steps along `flow` `[2, y, x]` (y, x; pixels a step), bilinear between pixels
/// and kept inside the image; `ends` are the pixel indices of where they are then, towards zero.
pub fn follow_flows(p: &FollowFlowsParams, flow: &[f32], points: &[u32], ends: &mut [u32]) {
    let n = p.n_points as usize;
    for (points, ends) in points[..n].chunks(LANES).zip(ends[..n].chunks_mut(LANES)) {
        walk(p, flow, points, ends);
    }
}

fn walk(p: &FollowFlowsParams, flow: &[f32], points: &[u32], ends: &mut [u32]) {
    let (height, width) = (p.height as usize, p.width as usize);
    let (flow_y, flow_x) = flow.split_at(height * width);
    let (last_y, last_x) = ((height - 1) as f32, (width - 1) as f32);
    for (point, end) in points.iter().zip(ends) {
        let (mut y, mut x) = ((point / p.width) as f32, (point % p.width) as f32);
        for _ in 0..p.steps {
            let (y0, x0) = (y as usize, x as usize);
            let (fy, fx) = (y - y0 as f32, x - x0 as f32);
            let (y1, x1) = ((y0 + 1).min(height - 1), (x0 + 1).min(width - 1));
            let at = |flow: &[f32]| {
                flow[y0 * width + x0] * (1.0 - fy) * (1.0 - fx)
                    + flow[y0 * width + x1] * (1.0 - fy) * fx
                    + flow[y1 * width + x0] * fy * (1.0 - fx)
                    + flow[y1 * width + x1] * fy * fx
            };
            let (dy, dx) = (at(flow_y), at(flow_x));
            y = (y + dy).clamp(0.0, last_y);
            x = (x + dx).clamp(0.0, last_x);
        }
        *end = y as u32 * p.width + x as u32;
    }
}

/// Binding order: flow, points, ends.
pub(crate) fn run(bytes: &[u8], buffers: &mut [Buffer<'_>]) {
    let [flow, points, ends] = buffers else {
        panic!("follow_flows takes 3 bindings")
    };
    follow_flows(&params(bytes), flow.f32(), points.u32(), ends.u32_mut());
}
