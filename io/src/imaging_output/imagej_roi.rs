//! ImageJ's regions of interest: one `.roi` record each, many in a zip archive as ImageJ's ROI manager saves and opens them.
//!
//! A cell becomes a *traced* region, whose line runs along the edges of pixels; a cell of several parts becomes a *composite* one.
//! Source: the layout that ImageJ's classes `RoiDecoder` and `RoiEncoder` document (public domain): big-endian, a header of 64 bytes,
//! coordinates, and a second header that holds the name.

use std::path::Path;

use super::Mask;
use super::outline::{outlines, pixels_inside};
use super::zip_archive::{ZipWriter, read_zip};
use crate::error::IoError;

/// A region of interest.
#[derive(Clone, PartialEq, Debug)]
pub struct ImagejRoi {
    /// Its name.
    pub name: String,
    /// The page of the stack that it belongs to, counted from 1; 0 is every page.
    pub position: u32,
    /// Where it is.
    pub shape: RoiShape,
}

/// Where a region is. Coordinates are x and y in pixels, from the upper left corner of the image.
#[derive(Clone, PartialEq, Debug)]
pub enum RoiShape {
    /// Closed lines: what is inside of an odd number of them.
    Lines(Vec<Vec<[f32; 2]>>),
    /// An upright rectangle: left, top, right and bottom edge.
    Rectangle([f32; 4]),
    /// The ellipse in an upright rectangle, given as that.
    Oval([f32; 4]),
    /// A region without an area (a line, points, an angle), by ImageJ's number of the kind.
    NoArea(u8),
}

impl RoiShape {
    /// The region of a cell's pixels; holes are filled.
    pub fn from_mask(mask: &Mask) -> RoiShape {
        let lines = outlines(mask.ypix, mask.xpix);
        let corner = |&[x, y]: &[i64; 2]| [x as f32, y as f32];
        RoiShape::Lines(
            lines
                .iter()
                .map(|line| line.iter().map(corner).collect())
                .collect(),
        )
    }

    /// The pixels, as y and x, whose centres are inside, row by row, within a frame of `height` × `width`.
    pub fn pixels(&self, height: usize, width: usize) -> Vec<[i64; 2]> {
        match self {
            RoiShape::Lines(lines) => pixels_inside(lines, height, width),
            &RoiShape::Rectangle([left, top, right, bottom]) => {
                let line = vec![[left, top], [right, top], [right, bottom], [left, bottom]];
                pixels_inside(&[line], height, width)
            }
            &RoiShape::Oval(edges @ [left, top, right, bottom]) => {
                let (middle_x, middle_y) = ((left + right) / 2.0, (top + bottom) / 2.0);
                let mut pixels = RoiShape::Rectangle(edges).pixels(height, width);
                pixels.retain(|&[y, x]| {
                    let along_x = (x as f32 + 0.5 - middle_x) / (middle_x - left);
                    let along_y = (y as f32 + 0.5 - middle_y) / (middle_y - top);
                    along_x * along_x + along_y * along_y <= 1.0
                });
                pixels
            }
            RoiShape::NoArea(_) => Vec::new(),
        }
    }
}

/// ImageJ's numbers of the kinds that are used here.
mod kind {
    pub const POLYGON: u8 = 0;
    pub const RECTANGLE: u8 = 1;
    pub const OVAL: u8 = 2;
    pub const FREEHAND: u8 = 7;
    pub const TRACED: u8 = 8;
}

/// Places in the record.
mod place {
    pub const VERSION: usize = 4;
    pub const KIND: usize = 6;
    pub const TOP: usize = 8;
    pub const N_COORDINATES: usize = 16;
    pub const SUBPIXEL_RECTANGLE: usize = 18;
    pub const COMPOSITE_SIZE: usize = 36;
    pub const OPTIONS: usize = 50;
    pub const POSITION: usize = 56;
    pub const SECOND_HEADER: usize = 60;
    pub const COORDINATES: usize = 64;
    /// In the second header.
    pub const NAME: usize = 16;
    pub const NAME_LENGTH: usize = 20;
}

/// The version of the records that are written (ImageJ 1.52t), and the first one with fractional coordinates.
const VERSION: u16 = 228;
const SUBPIXEL_VERSION: u16 = 222;
/// The option that says that coordinates are fractional.
const SUBPIXEL: u16 = 128;
const SECOND_HEADER_BYTES: usize = 64;
/// ImageJ keeps edges in 16 bits with sign.
const LARGEST_COORDINATE: f32 = 32_767.0;
/// Segments of a composite region.
const MOVE_TO: f32 = 0.0;
const LINE_TO: f32 = 1.0;
const CLOSE: f32 = 4.0;

/// Writes the regions to a zip archive. Names in the archive are those of the regions with `.roi`; they must differ. Regions must be
/// [`RoiShape::Lines`] with whole coordinates, as [`RoiShape::from_mask`] gives.
///
/// # Errors
/// When a region has no line, other coordinates or more of them than ImageJ can keep, two have one name, or the file cannot be
/// written.
pub fn write_roi_zip(path: &Path, rois: &[ImagejRoi]) -> Result<(), IoError> {
    let bad = |what: String| IoError::BadTables {
        path: path.to_owned(),
        what,
    };
    let mut names = std::collections::HashSet::new();
    let mut zip = ZipWriter::create(path)?;
    for roi in rois {
        // In a zip archive `/` divides folders, and some systems take `\` and `:` so too.
        let has_place =
            roi.name.contains(['/', '\\', ':']) || roi.name.chars().any(char::is_control);
        if roi.name.is_empty() || has_place || roi.name.len() > 200 || !names.insert(&roi.name) {
            return Err(bad(format!(
                "`{}` is no name of a region, or is there twice",
                roi.name
            )));
        }
        let bytes = encode(roi).map_err(|what| bad(format!("region `{}` {what}", roi.name)))?;
        zip.start_member(&format!("{}.roi", roi.name), bytes.len() as u64)?;
        zip.append(&bytes)?;
    }
    zip.finish()
}

/// Largest archive of regions that is read: a hundred thousand regions are some 50 MB.
const LARGEST_ARCHIVE_BYTES: u64 = 1 << 30;

/// Reads the regions of a zip archive that ImageJ wrote, in its order; members that are not `.roi` are left out.
///
/// # Errors
/// When the archive cannot be read, or a record is damaged.
pub fn read_roi_zip(path: &Path) -> Result<Vec<ImagejRoi>, IoError> {
    let mut rois = Vec::new();
    for member in read_zip(path, LARGEST_ARCHIVE_BYTES)? {
        let Some(name) = member.name.strip_suffix(".roi") else {
            continue;
        };
        let roi = decode(name, &member.bytes)
            .map_err(|what| IoError::malformed(path, format!("member `{}`", member.name), what))?;
        rois.push(roi);
    }
    Ok(rois)
}

/// The record of a region, or what is wrong with it.
fn encode(roi: &ImagejRoi) -> Result<Vec<u8>, String> {
    let RoiShape::Lines(lines) = &roi.shape else {
        return Err("is not given by closed lines".to_owned());
    };
    if lines.is_empty() || lines.iter().any(|line| line.len() < 3) {
        return Err("has no line, or one of fewer than three corners".to_owned());
    }
    let coordinates = || lines.iter().flatten().flatten();
    if let Some(other) = coordinates()
        .find(|value| !(0.0..=LARGEST_COORDINATE).contains(*value) || value.fract() != 0.0)
    {
        return Err(format!(
            "has the coordinate {other}, where whole numbers from 0 to {LARGEST_COORDINATE} can be kept"
        ));
    }
    let edge = |axis: usize, start: f32, choose: fn(f32, f32) -> f32| {
        lines
            .iter()
            .flatten()
            .map(|corner| corner[axis])
            .fold(start, choose) as u16
    };
    let [left, top] = [0, 1].map(|axis| edge(axis, f32::INFINITY, f32::min));
    let [right, bottom] = [0, 1].map(|axis| edge(axis, 0.0, f32::max));
    let mut bytes = vec![0u8; place::COORDINATES];
    bytes[..4].copy_from_slice(b"Iout");
    put(&mut bytes, place::VERSION, &VERSION.to_be_bytes());
    for (index, value) in [top, left, bottom, right].iter().enumerate() {
        put(&mut bytes, place::TOP + 2 * index, &value.to_be_bytes());
    }
    put(&mut bytes, place::POSITION, &roi.position.to_be_bytes());
    if let [line] = &lines[..] {
        bytes[place::KIND] = kind::TRACED;
        let n_corners = u16::try_from(line.len())
            .map_err(|_| format!("has {} corners; 65535 can be kept", line.len()))?;
        put(&mut bytes, place::N_COORDINATES, &n_corners.to_be_bytes());
        for (axis, start) in [left, top].into_iter().enumerate() {
            for corner in line {
                bytes.extend_from_slice(&(corner[axis] as u16 - start).to_be_bytes());
            }
        }
    } else {
        bytes[place::KIND] = kind::RECTANGLE;
        let mut segments = Vec::new();
        for line in lines {
            for (index, &[x, y]) in line.iter().enumerate() {
                let segment = if index == 0 { MOVE_TO } else { LINE_TO };
                segments.extend_from_slice(&[segment, x, y]);
            }
            segments.push(CLOSE);
        }
        let size = segments.len() as u32;
        put(&mut bytes, place::COMPOSITE_SIZE, &size.to_be_bytes());
        bytes.extend(segments.iter().flat_map(|value| value.to_be_bytes()));
    }
    let second = bytes.len();
    put(
        &mut bytes,
        place::SECOND_HEADER,
        &(second as u32).to_be_bytes(),
    );
    bytes.resize(second + SECOND_HEADER_BYTES, 0);
    let name: Vec<u16> = roi.name.encode_utf16().collect();
    let name_at = bytes.len() as u32;
    put(&mut bytes, second + place::NAME, &name_at.to_be_bytes());
    let n_units = name.len() as u32;
    put(
        &mut bytes,
        second + place::NAME_LENGTH,
        &n_units.to_be_bytes(),
    );
    bytes.extend(name.iter().flat_map(|unit| unit.to_be_bytes()));
    Ok(bytes)
}

/// Overwrites bytes.
fn put(bytes: &mut [u8], place: usize, value: &[u8]) {
    bytes[place..place + value.len()].copy_from_slice(value);
}

/// Big-endian fields of a record.
struct Record<'a>(&'a [u8]);

impl Record<'_> {
    fn take<const N: usize>(&self, place: usize) -> Result<[u8; N], String> {
        place
            .checked_add(N)
            .and_then(|end| self.0.get(place..end))
            .map(|bytes| bytes.try_into().expect("as long as asked for"))
            .ok_or_else(|| format!("the record ends before byte {place}"))
    }

    fn u16(&self, place: usize) -> Result<u16, String> {
        self.take(place).map(u16::from_be_bytes)
    }

    fn u32(&self, place: usize) -> Result<u32, String> {
        self.take(place).map(u32::from_be_bytes)
    }

    fn f32(&self, place: usize) -> Result<f32, String> {
        self.take(place).map(f32::from_be_bytes)
    }
}

/// The region of a record, or what is wrong with it; `member` is its name where the record has none.
fn decode(member: &str, bytes: &[u8]) -> Result<ImagejRoi, String> {
    if !bytes.starts_with(b"Iout") {
        return Err("this is no region of ImageJ".to_owned());
    }
    let record = Record(bytes);
    let version = record.u16(place::VERSION)?;
    let kind = record.take::<1>(place::KIND)?[0];
    let [top, left, bottom, right] = [0, 2, 4, 6]
        .map(|offset| record.take(place::TOP + offset).map(i16::from_be_bytes))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?[..]
    else {
        unreachable!("four fields were read");
    };
    let subpixel = version >= SUBPIXEL_VERSION && record.u16(place::OPTIONS)? & SUBPIXEL != 0;
    let n_segments = record.u32(place::COMPOSITE_SIZE)?;
    let shape = match kind {
        kind::RECTANGLE if n_segments > 0 => RoiShape::Lines(composite(&record, n_segments)?),
        kind::RECTANGLE | kind::OVAL => {
            let mut edges = [left, top, right, bottom].map(f32::from);
            if subpixel {
                // Left, top, width and height.
                let mut fractional = [0.0; 4];
                for (index, value) in fractional.iter_mut().enumerate() {
                    *value = record.f32(place::SUBPIXEL_RECTANGLE + 4 * index)?;
                }
                let [left, top, width, height] = fractional;
                edges = [left, top, left + width, top + height];
            }
            if kind == kind::OVAL {
                RoiShape::Oval(edges)
            } else {
                RoiShape::Rectangle(edges)
            }
        }
        kind::POLYGON | kind::FREEHAND | kind::TRACED => {
            let n = usize::from(record.u16(place::N_COORDINATES)?);
            let mut line = Vec::new();
            for corner in 0..n {
                let mut xy = [0.0; 2];
                for (axis, value) in xy.iter_mut().enumerate() {
                    let whole = place::COORDINATES + 2 * (axis * n + corner);
                    *value = if subpixel {
                        record.f32(place::COORDINATES + 4 * n + 4 * (axis * n + corner))?
                    } else {
                        let offset = record.take(whole).map(i16::from_be_bytes)?;
                        f32::from(offset) + f32::from([left, top][axis])
                    };
                }
                line.push(xy);
            }
            RoiShape::Lines(vec![line])
        }
        other => RoiShape::NoArea(other),
    };
    Ok(ImagejRoi {
        name: name_of(&record)?.unwrap_or_else(|| member.to_owned()),
        position: record.u32(place::POSITION)?,
        shape,
    })
}

/// The lines of a composite region. Curves, which only ImageJ's own drawing tools make, are refused.
fn composite(record: &Record, n_segments: u32) -> Result<Vec<Vec<[f32; 2]>>, String> {
    let end = place::COORDINATES + 4 * n_segments as usize;
    let mut at = place::COORDINATES;
    let mut lines: Vec<Vec<[f32; 2]>> = Vec::new();
    while at < end {
        let segment = record.f32(at)?;
        at += 4;
        if segment == CLOSE {
            continue;
        }
        if segment != MOVE_TO && segment != LINE_TO {
            return Err("the region has curved parts, which are not read".to_owned());
        }
        let corner = [record.f32(at)?, record.f32(at + 4)?];
        at += 8;
        match lines.last_mut() {
            Some(line) if segment == LINE_TO => line.push(corner),
            _ => lines.push(vec![corner]),
        }
    }
    Ok(lines)
}

/// The name in the second header, where there is one.
fn name_of(record: &Record) -> Result<Option<String>, String> {
    let second = record.u32(place::SECOND_HEADER)? as usize;
    if second == 0 {
        return Ok(None);
    }
    let at = record.u32(second + place::NAME)? as usize;
    let n_units = record.u32(second + place::NAME_LENGTH)? as usize;
    if at == 0 || n_units == 0 {
        return Ok(None);
    }
    let mut units = Vec::new();
    for unit in 0..n_units {
        units.push(record.u16(at + 2 * unit)?);
    }
    Ok(Some(String::from_utf16_lossy(&units)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask<'a>(ypix: &'a [i64], xpix: &'a [i64]) -> Mask<'a> {
        Mask {
            ypix,
            xpix,
            lam: &[],
        }
    }

    fn roi(name: &str, position: u32, shape: RoiShape) -> ImagejRoi {
        ImagejRoi {
            name: name.to_owned(),
            position,
            shape,
        }
    }

    #[test]
    fn regions_come_back_with_the_pixels_of_the_masks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rois.zip");
        let one = (vec![5, 5, 6, 6, 7], vec![10, 11, 11, 12, 12]);
        let two = (vec![0, 0, 30, 31], vec![0, 1, 40, 40]);
        let rois = [
            roi("cell 1", 1, RoiShape::from_mask(&mask(&one.0, &one.1))),
            roi("é 2", 2, RoiShape::from_mask(&mask(&two.0, &two.1))),
        ];
        write_roi_zip(&path, &rois).unwrap();
        let read = read_roi_zip(&path).unwrap();
        assert_eq!(read, rois);
        for (roi, (y, x)) in read.iter().zip([one, two]) {
            let expected: Vec<[i64; 2]> = y.iter().zip(&x).map(|(&y, &x)| [y, x]).collect();
            assert_eq!(roi.shape.pixels(64, 64), expected);
        }
        write_roi_zip(&path, &[]).unwrap();
        assert!(read_roi_zip(&path).unwrap().is_empty());
    }

    #[test]
    fn what_imagej_cannot_keep_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rois.zip");
        let square = |x: f32| RoiShape::Lines(vec![vec![[x, 0.0], [x + 1.0, 0.0], [x + 1.0, 1.0]]]);
        let message = |rois: &[ImagejRoi]| write_roi_zip(&path, rois).unwrap_err().to_string();
        assert!(message(&[roi("a", 0, square(40_000.0))]).contains("region `a`"));
        assert!(message(&[roi("a", 0, square(0.5))]).contains("0.5"));
        assert!(message(&[roi("a", 0, RoiShape::Lines(vec![]))]).contains("no line"));
        assert!(message(&[roi("a/b", 0, square(1.0))]).contains("no name"));
        assert!(message(&[roi("a", 0, square(1.0)), roi("a", 0, square(2.0))]).contains("twice"));
        assert!(!path.exists());
    }

    #[test]
    fn rectangles_and_ovals_have_their_pixels() {
        let mut record = vec![0u8; 64];
        record[..4].copy_from_slice(b"Iout");
        put(&mut record, place::VERSION, &218u16.to_be_bytes());
        for (index, edge) in [2u16, 1, 6, 5].iter().enumerate() {
            put(&mut record, place::TOP + 2 * index, &edge.to_be_bytes());
        }
        record[place::KIND] = kind::RECTANGLE;
        let rectangle = decode("r", &record).unwrap();
        assert_eq!(rectangle.name, "r");
        assert_eq!(rectangle.shape, RoiShape::Rectangle([1.0, 2.0, 5.0, 6.0]));
        assert_eq!(rectangle.shape.pixels(100, 100).len(), 16);
        record[place::KIND] = kind::OVAL;
        let oval = decode("r", &record).unwrap().shape.pixels(100, 100);
        // A disk of diameter 4 without the four corners.
        assert_eq!(oval.len(), 12);
        assert!(!oval.contains(&[2, 1]) && oval.contains(&[2, 2]));
        record[place::KIND] = 3;
        assert_eq!(decode("r", &record).unwrap().shape, RoiShape::NoArea(3));
    }

    #[test]
    fn fractional_coordinates_are_read() {
        let line = roi("a", 0, RoiShape::from_mask(&mask(&[3], &[4])));
        let mut record = encode(&line).unwrap();
        let second = record.split_off(place::COORDINATES + 16);
        put(&mut record, place::OPTIONS, &SUBPIXEL.to_be_bytes());
        let corners = [[4.25f32, 3.5], [5.0, 3.5], [5.0, 4.0], [4.25, 4.0]];
        for axis in 0..2 {
            record.extend(corners.iter().flat_map(|corner| corner[axis].to_be_bytes()));
        }
        let place = record.len() as u32;
        put(&mut record, place::SECOND_HEADER, &place.to_be_bytes());
        record.extend(second);
        // The name has moved with its header; it is not looked up here.
        put(
            &mut record,
            place as usize + place::NAME,
            &0u32.to_be_bytes(),
        );
        let read = decode("a", &record).unwrap();
        assert_eq!(read.shape, RoiShape::Lines(vec![corners.to_vec()]));
    }

    #[test]
    fn a_damaged_record_is_an_error_and_no_panic() {
        let shape = RoiShape::from_mask(&mask(&[1, 1, 9], &[1, 2, 9]));
        let record = encode(&roi("a", 0, shape)).unwrap();
        for length in 0..record.len() {
            assert!(decode("a", &record[..length]).is_err(), "cut to {length}");
        }
        for place in 0..record.len() {
            let mut damaged = record.clone();
            damaged[place] ^= 0xff;
            if let Ok(roi) = decode("a", &damaged) {
                roi.shape.pixels(64, 64);
            }
        }
    }
}
