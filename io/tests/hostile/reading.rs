//! What is read of an opened input, whatever its format.

use std::path::Path;

use somata_io::IoError;
use somata_io::movie::{self, MovieOptions};
use somata_io::recording::RecordingReader;

use crate::outside::check_inside;

/// Frames larger than these are not read: the buffer would be the test's own.
pub const MOST_FRAME_BYTES: usize = 1 << 20;

/// Reads two samples from the start, the middle and the end of a recording.
pub fn read_ends(reader: &dyn RecordingReader) -> Result<(), IoError> {
    let description = reader.description();
    for start in [
        0,
        description.n_samples / 2,
        description.n_samples.saturating_sub(2),
    ] {
        let n_here = (description.n_samples - start).min(2) as usize;
        reader.read(start, &mut vec![0; n_here * description.frame_bytes()])?;
    }
    Ok(())
}

/// Opens a movie and reads frames of its last plane and channel.
pub fn read_movie(path: &Path, folder: &Path) -> Result<(), IoError> {
    let reader = movie::open(&[path.to_owned()], &MovieOptions::default())?;
    let description = reader.description();
    check_inside(folder, &description.paths);
    if description.frame_bytes() > MOST_FRAME_BYTES {
        return Ok(());
    }
    let mut frame = vec![0; description.frame_bytes()];
    let last = (description.n_planes - 1, description.n_channels - 1);
    for number in (0..description.n_frames.min(3)).chain([description.n_frames - 1]) {
        reader.read(last.0, last.1, number, &mut frame)?;
    }
    Ok(())
}
