//! Reads the data out of a pickle without running it, and `.npy` files of objects that hold one.
//!
//! Suite2p keeps its cells and settings as pickles. A pickle is a small program; Python runs it, with whatever it calls. Here only the
//! part that builds data is followed: numbers, text, lists, dictionaries, numpy arrays and scalars. A call of anything else gives a
//! value that says nothing ([`PyValue::is_opaque`]), and is not made. Values live side by side in one list and refer to each other by
//! number, so that what is shared, nested or circular costs no more than the bytes that say it. Source: the opcodes as documented in
//! Python's `pickletools`, and what `numpy.ndarray.__reduce__` is documented to give.

mod machine;

use std::ops::Range;
use std::path::Path;

use self::machine::Machine;
use crate::error::IoError;
use crate::npy::parse_header;

/// A value of the pickle, by its number.
type Node = usize;

/// What a value is.
#[derive(Clone, PartialEq, Debug)]
enum Content {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// UTF-8 in the file.
    Text(Range<usize>),
    /// Bytes in the file.
    Bytes(Range<usize>),
    List(Vec<Node>),
    Dict(Vec<(Node, Node)>),
    /// Something that could be called: module and name.
    Global(String, String),
    /// numpy's description of an element, as `f4`, and its byte order.
    ElementType(String, u8),
    Array {
        shape: Vec<usize>,
        fortran_order: bool,
        element_type: Node,
        data: Node,
    },
    /// One number of that type.
    Scalar(Node, Node),
    /// What a call that is not made would have given.
    Opaque,
}

/// The data of a pickle.
#[derive(Clone, PartialEq, Debug)]
pub struct Pickled {
    bytes: Vec<u8>,
    contents: Vec<Content>,
    root: Node,
}

/// A value of a [`Pickled`].
#[derive(Copy, Clone, Debug)]
pub struct PyValue<'a> {
    pickled: &'a Pickled,
    node: Node,
}

/// Numbers of an array, and their type.
#[derive(Clone, PartialEq, Debug)]
pub struct PyNumbers {
    /// Length along each axis; empty for a single number.
    pub shape: Vec<usize>,
    /// The elements, last axis fastest.
    pub values: Vec<f64>,
    /// numpy's name of the type without its byte order: `f4`, `f8`, `i8`, `b1` …
    pub kind: &'static str,
}

/// The types of elements that are read, and their sizes in bytes.
const KINDS: [(&str, usize); 11] = [
    ("b1", 1),
    ("u1", 1),
    ("i1", 1),
    ("u2", 2),
    ("i2", 2),
    ("u4", 4),
    ("i4", 4),
    ("u8", 8),
    ("i8", 8),
    ("f4", 4),
    ("f8", 8),
];

/// Reads a `.npy` file of objects.
///
/// # Errors
/// When the file is absent, holds no objects, or its pickle is damaged or uses what is not known; the byte is named.
pub fn read_object_npy(path: &Path) -> Result<Pickled, IoError> {
    let bytes = std::fs::read(path).map_err(|source| IoError::read(path, source))?;
    let header = parse_header(path, &bytes)?;
    if header.description != "|O" {
        let expected = "an array of objects, `|O`";
        return Err(IoError::bad_value(
            path,
            "descr",
            &header.description,
            expected,
        ));
    }
    let (contents, root) = Machine::new(path, &bytes, header.data_offset_bytes as usize).run()?;
    Ok(Pickled {
        bytes,
        contents,
        root,
    })
}

impl Pickled {
    /// The objects of the array, in order: one where it has no axis.
    pub fn objects(&self) -> Vec<PyValue<'_>> {
        let root = PyValue {
            pickled: self,
            node: self.root,
        };
        root.items().unwrap_or_else(|| vec![root])
    }
}

impl<'a> PyValue<'a> {
    fn content(self) -> &'a Content {
        &self.pickled.contents[self.node]
    }

    fn at(self, node: Node) -> PyValue<'a> {
        PyValue { node, ..self }
    }

    /// Whether it is `None`.
    pub fn is_none(self) -> bool {
        matches!(self.content(), Content::None)
    }

    /// Whether it is something that only a call would give.
    pub fn is_opaque(self) -> bool {
        matches!(self.content(), Content::Opaque | Content::Global(..))
    }

    /// The value of a key of a dictionary.
    pub fn get(self, key: &str) -> Option<PyValue<'a>> {
        let Content::Dict(entries) = self.content() else {
            return None;
        };
        // Of a key that comes twice Python keeps the last.
        let mut entries = entries.iter().rev();
        let (_, value) = entries.find(|(found, _)| self.at(*found).as_text() == Some(key))?;
        Some(self.at(*value))
    }

    /// Keys and values of a dictionary, of those keys that are text.
    pub fn entries(self) -> Option<Vec<(&'a str, PyValue<'a>)>> {
        let Content::Dict(entries) = self.content() else {
            return None;
        };
        let entry = |(key, value): &(Node, Node)| Some((self.at(*key).as_text()?, self.at(*value)));
        Some(entries.iter().filter_map(entry).collect())
    }

    /// The items of a list, a tuple or an array of objects.
    pub fn items(self) -> Option<Vec<PyValue<'a>>> {
        match self.content() {
            Content::List(items) => Some(items.iter().map(|&item| self.at(item)).collect()),
            Content::Array { data, .. } => match self.at(*data).content() {
                Content::List(items) => Some(items.iter().map(|&item| self.at(item)).collect()),
                _ => None,
            },
            _ => None,
        }
    }

    /// A text.
    pub fn as_text(self) -> Option<&'a str> {
        let Content::Text(range) = self.content() else {
            return None;
        };
        std::str::from_utf8(&self.pickled.bytes[range.clone()]).ok()
    }

    /// A boolean of Python's.
    pub fn as_bool(self) -> Option<bool> {
        match self.content() {
            Content::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// A whole number of Python's.
    pub fn as_int(self) -> Option<i64> {
        match self.content() {
            Content::Int(value) => Some(*value),
            _ => None,
        }
    }

    /// A single number of any kind: Python's, numpy's, or an array of one.
    pub fn as_f64(self) -> Option<f64> {
        match self.content() {
            Content::Bool(value) => Some(f64::from(u8::from(*value))),
            Content::Int(value) => Some(*value as f64),
            Content::Float(value) => Some(*value),
            Content::Scalar(..) | Content::Array { .. } => match self.array()?.values[..] {
                [value] => Some(value),
                _ => None,
            },
            _ => None,
        }
    }

    /// A number, array of numbers, or list of single numbers.
    pub fn numbers(self) -> Option<PyNumbers> {
        match self.content() {
            Content::List(items) => {
                let values: Option<Vec<f64>> =
                    items.iter().map(|&item| self.at(item).as_f64()).collect();
                let whole = items.iter().all(|&item| self.at(item).as_int().is_some());
                Some(PyNumbers {
                    shape: vec![items.len()],
                    values: values?,
                    kind: if whole { "i8" } else { "f8" },
                })
            }
            Content::Array { .. } | Content::Scalar(..) => self.array(),
            _ => {
                let kind = match self.content() {
                    Content::Bool(_) => "b1",
                    Content::Int(_) => "i8",
                    _ => "f8",
                };
                Some(PyNumbers {
                    shape: Vec::new(),
                    values: vec![self.as_f64()?],
                    kind,
                })
            }
        }
    }

    /// numpy's array or scalar of numbers; `None` when it holds other things, or other bytes than its shape says.
    fn array(self) -> Option<PyNumbers> {
        let (shape, fortran_order, element_type, data) = match self.content() {
            Content::Array {
                shape,
                fortran_order,
                element_type,
                data,
            } => (shape.clone(), *fortran_order, *element_type, *data),
            Content::Scalar(element_type, data) => (Vec::new(), false, *element_type, *data),
            _ => return None,
        };
        let Content::ElementType(code, order) = self.at(element_type).content() else {
            return None;
        };
        let &(kind, n_bytes) = KINDS.iter().find(|(kind, _)| kind == code)?;
        let Content::Bytes(range) = self.at(data).content() else {
            return None;
        };
        let bytes = &self.pickled.bytes[range.clone()];
        let expected = shape
            .iter()
            .try_fold(n_bytes, |product, &n| product.checked_mul(n))?;
        if bytes.len() != expected {
            return None;
        }
        let values = bytes.chunks_exact(n_bytes).map(|element| {
            let mut wide = [0u8; 8];
            wide[..n_bytes].copy_from_slice(element);
            if *order == b'>' {
                wide[..n_bytes].reverse();
            }
            number(kind, wide)
        });
        let values: Vec<f64> = values.collect();
        let values = if fortran_order && shape.len() > 1 {
            crate::npy::row_major(&shape, &values)
        } else {
            values
        };
        Some(PyNumbers {
            shape,
            values,
            kind,
        })
    }
}

/// The number in little-endian bytes, of which those beyond its size are 0.
fn number(kind: &str, bytes: [u8; 8]) -> f64 {
    let [a, b, c, d, ..] = bytes;
    match kind {
        "u1" | "b1" => f64::from(a),
        "i1" => f64::from(a as i8),
        "u2" => f64::from(u16::from_le_bytes([a, b])),
        "i2" => f64::from(i16::from_le_bytes([a, b])),
        "u4" => f64::from(u32::from_le_bytes([a, b, c, d])),
        "i4" => f64::from(i32::from_le_bytes([a, b, c, d])),
        "u8" => u64::from_le_bytes(bytes) as f64,
        "i8" => i64::from_le_bytes(bytes) as f64,
        "f4" => f64::from(f32::from_le_bytes([a, b, c, d])),
        _ => f64::from_le_bytes(bytes),
    }
}

#[cfg(test)]
mod tests;
