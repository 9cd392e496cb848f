//! Fourier transforms that the twins share: plans are kept by the thread that made them.

use std::{cell::RefCell, sync::Arc};

use rustfft::{Fft, FftPlanner};

thread_local! {
    static PLANNER: RefCell<FftPlanner<f32>> = RefCell::new(FftPlanner::new());
}

/// The transform of `n` values, without any scaling.
pub(crate) fn plan(n: usize, inverse: bool) -> Arc<dyn Fft<f32>> {
    PLANNER.with_borrow_mut(|planner| {
        if inverse {
            planner.plan_fft_inverse(n)
        } else {
            planner.plan_fft_forward(n)
        }
    })
}
