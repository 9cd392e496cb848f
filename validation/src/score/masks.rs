//! Scores of cells found in images.

/// Pixels of a cell, which may overlap others' pixels.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Index `y * width + x` of each pixel, ascending, none twice.
    pub pixels: Vec<u32>,
}
