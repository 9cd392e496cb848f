//! Imaging results out: cells, traces, pictures and registered movies, in the formats that other programs open.
//!
//! [`suite2p`] writes Suite2p's folder; [`label_image`], [`tiff_writer`] and [`picture`] what image programs open; [`imagej_roi`]
//! outlines for ImageJ; [`traces`] and [`cell_table`] what numpy and spreadsheets open; [`movie_writer`] the registered movie.
//!
//! [`result_reader`] reads a result back, or Suite2p's own, to hand it on: [`cellpose_seg`], [`coco`], [`imaging_mat`] for MATLAB,
//! [`nwb_ophys`] and [`trace_tables`].

pub mod cell_table;
pub mod cellpose_seg;
pub mod coco;
pub mod imagej_roi;
pub mod imaging_mat;
pub mod label_image;
pub mod movie_writer;
pub mod nwb_ophys;
pub mod outline;
pub mod pickle;
pub mod pickle_reader;
pub mod picture;
pub mod result_reader;
pub mod suite2p;
pub mod tiff_writer;
pub mod trace_files;
pub mod trace_tables;
pub mod traces;
pub mod zip_archive;

/// Pixels of one cell and their weights; the three lists have one entry a pixel.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Mask<'a> {
    /// Row of each pixel.
    pub ypix: &'a [i64],
    /// Column of each pixel.
    pub xpix: &'a [i64],
    /// Weight of each pixel.
    pub lam: &'a [f32],
}

impl Mask<'_> {
    /// Place of each pixel in an image `[height, width]`; `None` for one outside.
    fn places(&self, height: usize, width: usize) -> impl Iterator<Item = Option<usize>> {
        self.ypix.iter().zip(self.xpix).map(move |(&y, &x)| {
            let (y, x) = (usize::try_from(y).ok()?, usize::try_from(x).ok()?);
            (y < height && x < width).then_some(y * width + x)
        })
    }
}
