//! Where the tissue was in every frame, and the frames moved back.
//!
//! A coarse shift comes from the correlation of the binned, clipped frame with the reference (in the frequency domain,
//! two frames at a time); Gauss-Newton steps (Lucas and Kanade 1981) then refine a field of shifts, piecewise linear between knots,
//! with the frame's brightness and contrast fitted at the same time. The frame is resampled once.
//!
//! - [`registrar`]: tables of one reference image on the device, and the commands that register frames with them;
//! - [`reference_image`]: the reference, made of frames from the whole movie;
//! - [`mod@register`]: the pass over a plane;
//! - [`bidirectional_offset`]: by how much odd rows of a bidirectional scan lie beside even ones.

pub mod bidirectional_offset;
pub mod reference_image;
pub mod register;
pub mod registrar;

pub use reference_image::Reference;
pub use register::{RegisteredPlane, register};
pub use registrar::Registrar;
