//! Movies in Zarr: OME-Zarr (0.4 in Zarr 2, 0.5 in Zarr 3) and plain arrays.
//!
//! Of an OME-Zarr image the first, full resolution is read; its axes, their units and scales give planes, channels, frame rate and
//! pixel size. A plain array has three axes (time, rows, columns), or more whose names it tells (`dimension_names` of version 3, or
//! xarray's `_ARRAY_DIMENSIONS`), or one more that `--n-planes` or `--n-channels` names. Sources: the OME-Zarr specifications 0.4 and
//! 0.5, and stores written by ome-zarr-py and zarr-python.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::metadata::{Metadata, PageFacts, count, positive, small_count, taken_as_time};
use super::order::{Axis, FrameOrder};
use super::tiff::describe;
use super::{MovieDescription, MovieOptions, MovieReader, PixelType};
use crate::error::IoError;
use crate::recording::zarr_samples::absent_chunks;
use crate::zarr::data_type::DataType;
use crate::zarr::{Node, NodeKind, ZarrArray};

/// Pixels along an axis at most.
const MAX_SIDE: u64 = 1 << 20;
/// Bytes of one frame at most: absent chunks take no room on the disk, so that its size says nothing about a frame's.
const MAX_FRAME_BYTES: u64 = 1 << 30;
/// Arrays of a group that are looked at.
const MAX_CHILDREN: usize = 1000;

/// What an axis is.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
enum Role {
    Outer(Axis),
    Row,
    Column,
}

impl Role {
    /// From the names that programs give to axes.
    fn from_name(name: &str) -> Option<Role> {
        Some(match name.to_lowercase().as_str() {
            "t" | "time" | "frame" | "frames" | "num_frames" | "n_frames" => {
                Role::Outer(Axis::Time)
            }
            "c" | "ch" | "channel" | "channels" => Role::Outer(Axis::Channel),
            "z" | "plane" | "planes" | "depth" => Role::Outer(Axis::Plane),
            "y" | "row" | "rows" | "height" => Role::Row,
            "x" | "col" | "column" | "columns" | "width" => Role::Column,
            _ => return None,
        })
    }
}

/// What a multiscale image tells of an axis.
struct ToldAxis {
    name: String,
    unit: Option<String>,
    scale: f64,
}

/// Opens the movie at `path`: a group that is an OME-Zarr image or holds one array, or an array.
///
/// # Errors
/// When the store is damaged, holds no movie or several, its axes are not told, or a codec, type or version is not read.
pub fn open(path: &Path, options: &MovieOptions) -> Result<Box<dyn MovieReader>, IoError> {
    let node = Node::open(path)?;
    let multiscales = (node.kind == NodeKind::Group)
        .then(|| multiscale(&node))
        .flatten();
    let (array, told) = match &multiscales {
        Some(image) => {
            let (array, axes) = open_multiscale(&node, image)?;
            (array, Some(axes))
        }
        None if node.kind == NodeKind::Group => (only_array(&node)?, None),
        None => (ZarrArray::of(node)?, None),
    };
    let format = if told.is_some() {
        "OME-Zarr"
    } else {
        "Zarr movie"
    };
    let roles = roles(&array, told.as_deref(), options)?;
    let pixel_type = pixel_type(&array)?;
    let side = |role: Role, name: &str| -> Result<usize, IoError> {
        let axis = roles.iter().position(|&found| found == role);
        let length = axis.map_or(0, |axis| array.shape()[axis]);
        let fits = (1..=MAX_SIDE).contains(&length);
        fits.then_some(length as usize)
            .ok_or_else(|| IoError::bad_value(array.path(), name, length, "1 to 1,048,576 pixels"))
    };
    let (height, width) = (side(Role::Row, "height")?, side(Role::Column, "width")?);
    let frame_bytes = (height * width * pixel_type.size_bytes()) as u64;
    if frame_bytes > MAX_FRAME_BYTES {
        let found = format!("{height} × {width}");
        return Err(IoError::bad_value(
            array.path(),
            "frame",
            found,
            "at most 1 GiB",
        ));
    }
    let outer: Vec<(Axis, u64)> = roles
        .iter()
        .zip(array.shape())
        .filter_map(|(role, &length)| match role {
            Role::Outer(axis) => Some((*axis, length)),
            _ => None,
        })
        .collect();
    let n_pages = outer
        .iter()
        .try_fold(1u64, |n, (_, length)| n.checked_mul(*length));
    let n_pages = n_pages
        .filter(|n| (1..=1 << 40).contains(n))
        .ok_or_else(|| {
            IoError::bad_value(
                array.path(),
                "shape",
                format!("{:?}", array.shape()),
                "1 to 2^40 frames",
            )
        })?;
    let mut metadata = Metadata::plain(format);
    metadata.order = order_of(&array, &outer, &mut metadata.warnings)?;
    if let Some(told) = &told {
        metadata.frame_rate_hz = scale_of(told, &roles, Role::Outer(Axis::Time), TIME_UNITS)
            .map(|interval| 1.0 / interval);
        let y = scale_of(told, &roles, Role::Row, LENGTH_UNITS);
        let x = scale_of(told, &roles, Role::Column, LENGTH_UNITS);
        metadata.pixel_size_um = y.zip(x).map(|(y, x)| [y, x]);
    }
    let (n_absent, n_files) = array.count_absent()?;
    if n_absent > 0 {
        metadata.warnings.push(absent_chunks(n_absent, n_files));
    }
    let facts = PageFacts {
        n_pages,
        n_files: 1,
        height,
        width,
    };
    let (description, order) = describe(&[path.to_owned()], facts, pixel_type, metadata, options)?;
    Ok(Box::new(ZarrMovie {
        description,
        order,
        array,
        roles,
    }))
}

/// The first image of a group's `multiscales`, of version 0.4 (in the attributes) or 0.5 (in their `ome`).
fn multiscale(node: &Node) -> Option<Value> {
    let ome = node
        .attributes
        .get("ome")
        .and_then(|ome| ome.get("multiscales"));
    let list = node.attributes.get("multiscales").or(ome)?;
    list.as_array()?.first().cloned()
}

/// The full resolution of an image, and its axes.
fn open_multiscale(node: &Node, image: &Value) -> Result<(ZarrArray, Vec<ToldAxis>), IoError> {
    let attributes_path = node.attributes_path();
    let dataset = image.pointer("/datasets/0");
    let path = dataset
        .and_then(|dataset| dataset.get("path"))
        .and_then(Value::as_str);
    let path = path
        .ok_or_else(|| IoError::missing_key(&attributes_path, "multiscales[0].datasets[0].path"))?;
    let array = node
        .child(path)?
        .ok_or_else(|| IoError::missing_key(&node.json_path, path))?;
    let array = ZarrArray::of(array)?;
    let n_axes = array.shape().len();
    let bad = |expected: &str| {
        let axes = image.get("axes").unwrap_or(&Value::Null);
        IoError::bad_value(&attributes_path, "axes", axes, expected)
    };
    // Before version 0.3 the axes were always these.
    let names: Vec<(String, Option<String>)> = match image.get("axes") {
        None => ["t", "c", "z", "y", "x"]
            .map(|name| (name.to_owned(), None))
            .to_vec(),
        Some(axes) => {
            let axes = axes.as_array().filter(|axes| axes.len() <= 16);
            let axes = axes.ok_or_else(|| bad("a list"))?;
            axes.iter()
                .map(|axis| {
                    let name = axis.as_str().or_else(|| axis.get("name")?.as_str());
                    let unit = axis.get("unit").and_then(Value::as_str).map(str::to_owned);
                    name.map(|name| (name.to_owned(), unit))
                        .ok_or_else(|| bad("axes with names"))
                })
                .collect::<Result<_, _>>()?
        }
    };
    if names.len() != n_axes {
        return Err(bad(&format!("{n_axes} axes, as the array has")));
    }
    let mut told: Vec<ToldAxis> = names
        .into_iter()
        .map(|(name, unit)| ToldAxis {
            name,
            unit,
            scale: 1.0,
        })
        .collect();
    // The scales of the resolution and of the whole image multiply.
    for transformations in [
        dataset.and_then(|dataset| dataset.get("coordinateTransformations")),
        image.get("coordinateTransformations"),
    ] {
        for transformation in transformations
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            let scale = transformation.get("scale").and_then(Value::as_array);
            for (axis, factor) in told.iter_mut().zip(scale.into_iter().flatten()) {
                axis.scale *= factor.as_f64().unwrap_or(f64::NAN);
            }
        }
    }
    Ok((array, told))
}

/// The one array of three axes or more in a group.
fn only_array(node: &Node) -> Result<ZarrArray, IoError> {
    let mut found = Vec::new();
    for name in node.child_names()?.into_iter().take(MAX_CHILDREN) {
        if let Some(child) = node.child(&name)?
            && child.kind == NodeKind::Array
        {
            let n_axes = child
                .json
                .get("shape")
                .and_then(Value::as_array)
                .map_or(0, Vec::len);
            if n_axes >= 3 {
                found.push(child);
            }
        }
    }
    if found.len() > 1 {
        return Err(IoError::BadImage {
            path: node.folder.clone(),
            what: format!(
                "it holds {} arrays that may be movies: {}",
                found.len(),
                found
                    .iter()
                    .take(5)
                    .map(|node| format!("`{}`", node.folder.display()))
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
            hint: "give the path of one of them".to_owned(),
        });
    }
    let Some(array) = found.pop() else {
        return Err(IoError::NotAMovie {
            path: node.folder.clone(),
            seen: "it is a group of Zarr without `multiscales` and without an array of three axes"
                .to_owned(),
        });
    };
    ZarrArray::of(array)
}

/// What each axis of an array is.
fn roles(
    array: &ZarrArray,
    told: Option<&[ToldAxis]>,
    options: &MovieOptions,
) -> Result<Vec<Role>, IoError> {
    let n_axes = array.shape().len();
    let names: Option<Vec<&str>> = match told {
        Some(told) => Some(told.iter().map(|axis| axis.name.as_str()).collect()),
        None => array
            .metadata()
            .axis_names
            .as_ref()
            .map(|names| names.iter().map(String::as_str).collect()),
    };
    let named: Option<Vec<Role>> = names
        .as_ref()
        .filter(|names| names.len() == n_axes)
        .and_then(|names| names.iter().map(|name| Role::from_name(name)).collect());
    let is_whole = |roles: &[Role]| {
        let once = |role| roles.iter().filter(|&&found| found == role).count() == 1;
        let outer = [Axis::Time, Axis::Plane, Axis::Channel].map(Role::Outer);
        once(Role::Row)
            && once(Role::Column)
            && outer
                .iter()
                .all(|role| roles.iter().filter(|found| *found == role).count() <= 1)
    };
    let refused = |what: String, hint: &str| IoError::BadImage {
        path: array.metadata().folder.clone(),
        what,
        hint: hint.to_owned(),
    };
    if let Some(roles) = named.filter(|roles| is_whole(roles)) {
        if n_axes < 3 {
            return Err(refused(
                "it is one image, not a movie".to_owned(),
                "give an array with an axis of time",
            ));
        }
        return Ok(roles);
    }
    let [time, row, column] = [Role::Outer(Axis::Time), Role::Row, Role::Column];
    if told.is_some() {
        let names = names.unwrap_or_default().join(", ");
        return Err(refused(
            format!(
                "its axes `{}` are not read",
                names.chars().take(100).collect::<String>()
            ),
            "axes called t, c, z, y and x are read, each once, with y and x among them",
        ));
    }
    match *array.shape() {
        [_, _, _] => Ok(vec![time, row, column]),
        [_, second, _, _] => {
            let said = |number: Option<usize>| number.map(|number| number as u64) == Some(second);
            if said(options.n_planes) {
                Ok(vec![time, Role::Outer(Axis::Plane), row, column])
            } else if said(options.n_channels) || second == 1 {
                Ok(vec![time, Role::Outer(Axis::Channel), row, column])
            } else {
                Err(refused(
                    format!(
                        "it has four axes, {:?}, whose names it does not tell",
                        array.shape()
                    ),
                    &format!(
                        "say what the second axis is with `--n-planes {second}` or `--n-channels {second}`; time is the first"
                    ),
                ))
            }
        }
        _ => Err(refused(
            format!("it has {n_axes} axes, whose names it does not tell"),
            "save it as OME-Zarr, or as an array of three axes: time, rows, columns",
        )),
    }
}

/// The type of the pixels.
fn pixel_type(array: &ZarrArray) -> Result<PixelType, IoError> {
    Ok(match array.metadata().data_type {
        DataType::U8 => PixelType::U8,
        DataType::I8 => PixelType::I8,
        DataType::U16 => PixelType::U16,
        DataType::I16 => PixelType::I16,
        DataType::U32 => PixelType::U32,
        DataType::I32 => PixelType::I32,
        DataType::F32 => PixelType::F32,
        DataType::F64 => PixelType::F64,
        other => {
            return Err(IoError::BadImage {
                path: array.path().to_owned(),
                what: format!("pixels of type `{}` are not supported", other.numpy_name()),
                hint: format!(
                    "the supported types are {}",
                    super::SUPPORTED_PIXEL_TYPES.join(", ")
                ),
            });
        }
    })
}

/// Which page of the axes before rows and columns holds which frame; pages count with the last of these axes fastest.
fn order_of(
    array: &ZarrArray,
    outer: &[(Axis, u64)],
    warnings: &mut Vec<String>,
) -> Result<FrameOrder, IoError> {
    let length = |axis: Axis| {
        outer
            .iter()
            .find(|(found, _)| *found == axis)
            .map_or(1, |(_, length)| *length)
    };
    let too_many =
        |name: &str, number: u64| IoError::bad_value(array.path(), name, number, "1 to 65,536");
    let (n_planes, n_channels) = (length(Axis::Plane), length(Axis::Channel));
    let n_frames = count(length(Axis::Time) as f64)
        .ok_or_else(|| too_many("number of frames", length(Axis::Time)))?;
    let planes = small_count(n_planes as f64);
    let channels = small_count(n_channels as f64);
    // A stack of one time point is a movie whose writer had no better name for its axis.
    if n_frames == 1 && n_planes > 1 {
        warnings.push(taken_as_time("it", n_planes, "planes"));
        let channels = channels.ok_or_else(|| too_many("number of channels", n_channels))?;
        let axes = fastest_first(outer).map(|axis| match axis {
            Axis::Plane => Axis::Time,
            Axis::Time => Axis::Plane,
            Axis::Channel => Axis::Channel,
        });
        return Ok(FrameOrder::of_axes(axes, 1, channels, n_planes));
    }
    if n_frames == 1 && n_channels > 1 {
        warnings.push(taken_as_time("it", n_channels, "channels"));
        return Ok(FrameOrder::interleaved(1, 1));
    }
    let planes = planes.ok_or_else(|| too_many("number of planes", n_planes))?;
    let channels = channels.ok_or_else(|| too_many("number of channels", n_channels))?;
    Ok(FrameOrder::of_axes(
        fastest_first(outer),
        planes,
        channels,
        n_frames,
    ))
}

/// The three axes with the fastest first; those that are absent come last, where they do not matter.
fn fastest_first(outer: &[(Axis, u64)]) -> [Axis; 3] {
    let mut axes: Vec<Axis> = outer.iter().rev().map(|(axis, _)| *axis).collect();
    for axis in [Axis::Channel, Axis::Plane, Axis::Time] {
        if !axes.contains(&axis) {
            axes.push(axis);
        }
    }
    [axes[0], axes[1], axes[2]]
}

/// Names of units, and how many seconds or µm they are.
const TIME_UNITS: &[(&str, f64)] = &[
    ("second", 1.0),
    ("millisecond", 1e-3),
    ("microsecond", 1e-6),
    ("minute", 60.0),
];
const LENGTH_UNITS: &[(&str, f64)] = &[
    ("micrometer", 1.0),
    ("nanometer", 1e-3),
    ("millimeter", 1e3),
    ("meter", 1e6),
];

/// The step along an axis in seconds or µm; `None` where its unit is not told.
fn scale_of(told: &[ToldAxis], roles: &[Role], role: Role, units: &[(&str, f64)]) -> Option<f64> {
    let axis = &told[roles.iter().position(|&found| found == role)?];
    let unit = axis.unit.as_deref()?;
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    positive(axis.scale * factor)
}

/// A movie in a store.
struct ZarrMovie {
    description: MovieDescription,
    order: FrameOrder,
    array: ZarrArray,
    roles: Vec<Role>,
}

impl ZarrMovie {
    /// Reads one page into a frame.
    fn read_page(&self, mut page: u64, out: &mut [u8]) -> Result<(), IoError> {
        let shape = self.array.shape();
        let (mut start, mut count) = (vec![0; shape.len()], vec![1; shape.len()]);
        for axis in (0..shape.len()).rev() {
            if matches!(self.roles[axis], Role::Outer(_)) {
                start[axis] = page % shape[axis];
                page /= shape[axis];
            } else {
                count[axis] = shape[axis];
            }
        }
        let row = self.roles.iter().position(|&role| role == Role::Row);
        let column = self.roles.iter().position(|&role| role == Role::Column);
        if row < column {
            return self.array.read_region(&start, &count, out);
        }
        // Columns are slower than rows: the frame lies on its side.
        let mut turned = vec![0; out.len()];
        self.array.read_region(&start, &count, &mut turned)?;
        let (height, width) = (self.description.height, self.description.width);
        let pixel_bytes = self.description.pixel_type.size_bytes();
        for (place, pixel) in out.chunks_exact_mut(pixel_bytes).enumerate() {
            let from = (place % width * height + place / width) * pixel_bytes;
            pixel.copy_from_slice(&turned[from..][..pixel_bytes]);
        }
        Ok(())
    }
}

impl MovieReader for ZarrMovie {
    fn description(&self) -> &MovieDescription {
        &self.description
    }

    fn read(
        &self,
        plane: usize,
        channel: usize,
        start_frame: u64,
        out: &mut [u8],
    ) -> Result<(), IoError> {
        let description = &self.description;
        let frame_bytes = description.frame_bytes();
        if !out.len().is_multiple_of(frame_bytes) {
            return Err(IoError::BufferNotWholeFrames {
                buffer_bytes: out.len(),
                frame_bytes,
            });
        }
        if plane >= description.n_planes || channel >= description.n_channels {
            return Err(IoError::NoSuchPlane {
                plane,
                channel,
                n_planes: description.n_planes,
                n_channels: description.n_channels,
            });
        }
        let end_frame = start_frame.saturating_add((out.len() / frame_bytes) as u64);
        if end_frame > description.n_frames {
            return Err(IoError::FramesOutOfRange {
                start_frame,
                end_frame,
                n_frames: description.n_frames,
            });
        }
        for (frame, out) in (start_frame..end_frame).zip(out.chunks_exact_mut(frame_bytes)) {
            self.read_page(self.order.page(frame, plane, channel), out)?;
        }
        Ok(())
    }
}

/// The stores in a folder that is none itself.
pub(super) fn stores_in(folder: &Path) -> Result<Vec<PathBuf>, IoError> {
    let entries = std::fs::read_dir(folder).map_err(|source| IoError::read(folder, source))?;
    let mut stores: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| crate::zarr::is_store(path))
        .collect();
    stores.sort();
    Ok(stores)
}
