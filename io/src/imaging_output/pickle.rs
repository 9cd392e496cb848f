//! Values that Python's `pickle` opens, and `.npy` files that hold one.
//!
//! Suite2p keeps its lists of cells and its settings as numpy object arrays, whose data is a pickle. This module only writes them:
//! reading a pickle means running what it says. It writes protocol 4 (Python 3.4 and later) and names `numpy.core.multiarray`,
//! never `numpy._core`: NumPy 1 knows only the first name and NumPy 2 still knows it, without a warning, for the sake of old
//! pickles. A file that NumPy 2 itself pickled does not open in NumPy 1. Sources: the opcodes as documented in Python's
//! `pickletools`, and what `numpy.ndarray.__reduce__` is documented to give.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;

use crate::atomic::OutputFile;
use crate::error::IoError;
use crate::npy::object_header;

/// A Python value.
#[derive(Clone, PartialEq, Debug)]
pub enum Value<'a> {
    /// `None`.
    None,
    /// `True` or `False`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A float.
    Float(f64),
    /// A string.
    Text(String),
    /// A list.
    List(Vec<Value<'a>>),
    /// A dictionary, in this order; no key may come twice.
    Dict(Dict<'a>),
    /// A numpy array of numbers.
    Array(Array<'a>),
    /// A numpy scalar of type float32.
    Float32(f32),
}

/// A dictionary with text as keys.
pub type Dict<'a> = Vec<(String, Value<'a>)>;

/// A numpy array of numbers, row-major.
#[derive(Clone, PartialEq, Debug)]
pub struct Array<'a> {
    shape: Vec<usize>,
    elements: Elements<'a>,
}

/// The elements of an [`Array`].
#[derive(Clone, PartialEq, Debug)]
pub enum Elements<'a> {
    /// numpy's `bool`, made for the file.
    Bool(Vec<bool>),
    /// numpy's `uint16`, made for the file.
    UInt16(Vec<u16>),
    /// numpy's `uint32`, made for the file.
    UInt32(Vec<u32>),
    /// numpy's `int64`, made for the file.
    Int64(Vec<i64>),
    /// numpy's `float32`; borrowed, since these can be large.
    Float32(&'a [f32]),
    /// numpy's `float32`, made for the file.
    OwnedFloat32(Vec<f32>),
    /// numpy's `float64`, made for the file.
    Float64(Vec<f64>),
}

impl Elements<'_> {
    fn len(&self) -> usize {
        match self {
            Elements::Bool(elements) => elements.len(),
            Elements::UInt16(elements) => elements.len(),
            Elements::UInt32(elements) => elements.len(),
            Elements::Int64(elements) => elements.len(),
            Elements::Float32(elements) => elements.len(),
            Elements::OwnedFloat32(elements) => elements.len(),
            Elements::Float64(elements) => elements.len(),
        }
    }

    /// numpy's type code and byte order, and the size of an element.
    fn kind(&self) -> (&'static str, &'static str, usize) {
        match self {
            Elements::Bool(_) => ("b1", "|", 1),
            Elements::UInt16(_) => ("u2", "<", 2),
            Elements::UInt32(_) => ("u4", "<", 4),
            Elements::Int64(_) => ("i8", "<", 8),
            Elements::Float32(_) | Elements::OwnedFloat32(_) => ("f4", "<", 4),
            Elements::Float64(_) => ("f8", "<", 8),
        }
    }

    /// Writes the elements little-endian.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Elements::Bool(elements) => elements
                .iter()
                .try_for_each(|&element| out.write_all(&[u8::from(element)])),
            Elements::UInt16(elements) => elements
                .iter()
                .try_for_each(|element| out.write_all(&element.to_le_bytes())),
            Elements::UInt32(elements) => elements
                .iter()
                .try_for_each(|element| out.write_all(&element.to_le_bytes())),
            Elements::Int64(elements) => elements
                .iter()
                .try_for_each(|element| out.write_all(&element.to_le_bytes())),
            Elements::Float32(elements) => elements
                .iter()
                .try_for_each(|element| out.write_all(&element.to_le_bytes())),
            Elements::OwnedFloat32(elements) => elements
                .iter()
                .try_for_each(|element| out.write_all(&element.to_le_bytes())),
            Elements::Float64(elements) => elements
                .iter()
                .try_for_each(|element| out.write_all(&element.to_le_bytes())),
        }
    }
}

impl<'a> Array<'a> {
    /// An array of that shape.
    ///
    /// # Panics
    /// When the shape does not hold as many elements.
    pub fn new(shape: &[usize], elements: Elements<'a>) -> Array<'a> {
        assert_eq!(
            shape.iter().product::<usize>(),
            elements.len(),
            "shape {shape:?}"
        );
        Array {
            shape: shape.to_vec(),
            elements,
        }
    }
}

impl From<bool> for Value<'_> {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}
impl From<usize> for Value<'_> {
    fn from(value: usize) -> Self {
        Value::Int(value as i64)
    }
}
impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Value::Int(value)
    }
}
impl From<f64> for Value<'_> {
    fn from(value: f64) -> Self {
        Value::Float(value)
    }
}
impl From<&str> for Value<'_> {
    fn from(value: &str) -> Self {
        Value::Text(value.to_owned())
    }
}
impl From<String> for Value<'_> {
    fn from(value: String) -> Self {
        Value::Text(value)
    }
}
impl<'a> From<Array<'a>> for Value<'a> {
    fn from(value: Array<'a>) -> Self {
        Value::Array(value)
    }
}
impl<'a> From<Dict<'a>> for Value<'a> {
    fn from(value: Dict<'a>) -> Self {
        Value::Dict(value)
    }
}

/// Writes a `.npy` file with one object, as `numpy.load(path, allow_pickle=True).item()` gives it back.
///
/// # Errors
/// When the file cannot be written.
pub fn write_object(path: &Path, value: &Value) -> Result<(), IoError> {
    write_objects(path, &[], std::iter::once(value))
}

/// Writes a `.npy` file with a one-dimensional array of objects, shape `[objects]`.
///
/// # Errors
/// When the file cannot be written.
pub fn write_object_list(path: &Path, values: &[Value]) -> Result<(), IoError> {
    write_objects(path, &[values.len()], values.iter())
}

/// Writes the header and the pickle of the object array of that shape.
fn write_objects<'v>(
    path: &Path,
    shape: &[usize],
    values: impl Iterator<Item = &'v Value<'v>>,
) -> Result<(), IoError> {
    let mut file = OutputFile::create(path)?;
    file.write_with(|out| {
        out.write_all(&object_header(shape))?;
        let mut pickler = Pickler::start(out)?;
        pickler.start_array("O8", "|", shape)?;
        pickler.byte(opcode::EMPTY_LIST)?;
        for value in values {
            pickler.list_item(value)?;
        }
        pickler.end_array()?;
        pickler.end()
    })?;
    file.commit()
}

/// Opcodes of pickle, by the names that `pickletools` gives them.
mod opcode {
    pub const PROTO: u8 = 0x80;
    pub const STOP: u8 = b'.';
    pub const NONE: u8 = b'N';
    pub const NEWTRUE: u8 = 0x88;
    pub const NEWFALSE: u8 = 0x89;
    pub const BININT: u8 = b'J';
    pub const LONG1: u8 = 0x8a;
    pub const BINFLOAT: u8 = b'G';
    pub const BINUNICODE8: u8 = 0x8d;
    pub const SHORT_BINUNICODE: u8 = 0x8c;
    pub const BINBYTES8: u8 = 0x8e;
    pub const SHORT_BINBYTES: u8 = b'C';
    pub const EMPTY_LIST: u8 = b']';
    pub const APPEND: u8 = b'a';
    pub const EMPTY_DICT: u8 = b'}';
    pub const SETITEM: u8 = b's';
    pub const MARK: u8 = b'(';
    pub const TUPLE: u8 = b't';
    pub const GLOBAL: u8 = b'c';
    pub const REDUCE: u8 = b'R';
    pub const BUILD: u8 = b'b';
    pub const MEMOIZE: u8 = 0x94;
    pub const LONG_BINGET: u8 = b'j';
}

/// Writes one pickle. What comes often (names of classes, element types, keys) is written once and then referred to.
struct Pickler<'w, W> {
    out: &'w mut W,
    /// Place in the unpickler's memo of what was written, by a name that tells the kinds apart.
    memo: HashMap<String, u32>,
}

impl<'w, W: Write> Pickler<'w, W> {
    fn start(out: &'w mut W) -> io::Result<Self> {
        out.write_all(&[opcode::PROTO, 4])?;
        Ok(Pickler {
            out,
            memo: HashMap::new(),
        })
    }

    fn end(&mut self) -> io::Result<()> {
        self.byte(opcode::STOP)
    }

    fn byte(&mut self, byte: u8) -> io::Result<()> {
        self.out.write_all(&[byte])
    }

    /// Writes with `write` what has that name, or refers to it when it was written before.
    fn once(
        &mut self,
        name: String,
        write: impl FnOnce(&mut Self) -> io::Result<()>,
    ) -> io::Result<()> {
        if let Some(&place) = self.memo.get(&name) {
            self.byte(opcode::LONG_BINGET)?;
            return self.out.write_all(&place.to_le_bytes());
        }
        write(self)?;
        // MEMOIZE stores at the next free place, which is the number of things stored so far.
        self.memo.insert(name, self.memo.len() as u32);
        self.byte(opcode::MEMOIZE)
    }

    fn global(&mut self, module: &str, name: &str) -> io::Result<()> {
        self.once(format!("global {module} {name}"), |pickler| {
            pickler.byte(opcode::GLOBAL)?;
            write!(pickler.out, "{module}\n{name}\n")
        })
    }

    fn int(&mut self, value: i64) -> io::Result<()> {
        if let Ok(value) = i32::try_from(value) {
            self.byte(opcode::BININT)?;
            return self.out.write_all(&value.to_le_bytes());
        }
        self.out.write_all(&[opcode::LONG1, 8])?;
        self.out.write_all(&value.to_le_bytes())
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        if let Ok(length) = u8::try_from(text.len()) {
            self.out.write_all(&[opcode::SHORT_BINUNICODE, length])?;
        } else {
            self.byte(opcode::BINUNICODE8)?;
            self.out.write_all(&(text.len() as u64).to_le_bytes())?;
        }
        self.out.write_all(text.as_bytes())
    }

    fn list_item(&mut self, value: &Value) -> io::Result<()> {
        self.value(value)?;
        self.byte(opcode::APPEND)
    }

    /// numpy's description of an element.
    fn element_type(&mut self, code: &str, order: &str) -> io::Result<()> {
        self.once(format!("dtype {code}"), |pickler| {
            pickler.global("numpy", "dtype")?;
            pickler.byte(opcode::MARK)?;
            pickler.text(code)?;
            pickler
                .out
                .write_all(&[opcode::NEWFALSE, opcode::NEWTRUE, opcode::TUPLE])?;
            pickler.out.write_all(&[opcode::REDUCE, opcode::MARK])?;
            pickler.int(3)?;
            pickler.text(order)?;
            pickler
                .out
                .write_all(&[opcode::NONE, opcode::NONE, opcode::NONE])?;
            // Size and alignment are the type's own; the flags of an object type say that it must be counted and initialised.
            for value in [-1, -1, if code == "O8" { 63 } else { 0 }] {
                pickler.int(value)?;
            }
            pickler.out.write_all(&[opcode::TUPLE, opcode::BUILD])
        })
    }

    /// Everything of an array up to its data.
    fn start_array(&mut self, code: &str, order: &str, shape: &[usize]) -> io::Result<()> {
        self.global("numpy.core.multiarray", "_reconstruct")?;
        self.byte(opcode::MARK)?;
        self.global("numpy", "ndarray")?;
        self.byte(opcode::MARK)?;
        self.int(0)?;
        self.byte(opcode::TUPLE)?;
        self.out.write_all(&[opcode::SHORT_BINBYTES, 1, b'b'])?;
        self.out
            .write_all(&[opcode::TUPLE, opcode::REDUCE, opcode::MARK])?;
        self.int(1)?;
        self.byte(opcode::MARK)?;
        for &length in shape {
            self.int(length as i64)?;
        }
        self.byte(opcode::TUPLE)?;
        self.element_type(code, order)?;
        self.byte(opcode::NEWFALSE)
    }

    /// What follows the data.
    fn end_array(&mut self) -> io::Result<()> {
        self.out.write_all(&[opcode::TUPLE, opcode::BUILD])
    }

    fn value(&mut self, value: &Value) -> io::Result<()> {
        match value {
            Value::None => self.byte(opcode::NONE),
            Value::Bool(true) => self.byte(opcode::NEWTRUE),
            Value::Bool(false) => self.byte(opcode::NEWFALSE),
            Value::Int(value) => self.int(*value),
            Value::Float(value) => {
                self.byte(opcode::BINFLOAT)?;
                self.out.write_all(&value.to_be_bytes())
            }
            Value::Text(text) => self.text(text),
            Value::List(items) => {
                self.byte(opcode::EMPTY_LIST)?;
                items.iter().try_for_each(|item| self.list_item(item))
            }
            Value::Dict(entries) => {
                self.byte(opcode::EMPTY_DICT)?;
                for (key, value) in entries {
                    self.once(format!("key {key}"), |pickler| pickler.text(key))?;
                    self.value(value)?;
                    self.byte(opcode::SETITEM)?;
                }
                Ok(())
            }
            Value::Array(array) => {
                let (code, order, size_bytes) = array.elements.kind();
                self.start_array(code, order, &array.shape)?;
                self.byte(opcode::BINBYTES8)?;
                let n_bytes = (array.elements.len() * size_bytes) as u64;
                self.out.write_all(&n_bytes.to_le_bytes())?;
                array.elements.write(self.out)?;
                self.end_array()
            }
            Value::Float32(value) => {
                self.global("numpy.core.multiarray", "scalar")?;
                self.byte(opcode::MARK)?;
                self.element_type("f4", "<")?;
                self.out.write_all(&[opcode::SHORT_BINBYTES, 4])?;
                self.out.write_all(&value.to_le_bytes())?;
                self.out.write_all(&[opcode::TUPLE, opcode::REDUCE])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(value: &Value) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        write_object(&path, value).unwrap();
        std::fs::read(&path).unwrap()
    }

    /// The bytes were checked with `pickletools.dis` and opened by NumPy 1.26 and 2.4.
    #[test]
    fn a_small_dictionary_has_the_bytes_that_numpy_opens() {
        let bytes = bytes_of(&vec![("a".to_owned(), Value::from(7usize))].into());
        assert!(bytes.starts_with(
            b"\x93NUMPY\x01\x00\x76\x00{'descr': '|O', 'fortran_order': False, 'shape': (), }"
        ));
        let expected = [
            &b"\x80\x04cnumpy.core.multiarray\n_reconstruct\n\x94(cnumpy\nndarray\n\x94(J\0\0\0\0tC\x01btR"[..],
            b"(J\x01\0\0\0(tcnumpy\ndtype\n\x94(\x8c\x02O8\x89\x88tR(J\x03\0\0\0\x8c\x01|NNN",
            b"J\xff\xff\xff\xffJ\xff\xff\xff\xffJ\x3f\0\0\0tb\x94\x89]",
            b"}\x8c\x01a\x94J\x07\0\0\0satb.",
        ]
        .concat();
        assert_eq!(
            bytes[128..].escape_ascii().to_string(),
            expected.escape_ascii().to_string()
        );
    }

    #[test]
    fn only_the_name_that_both_numpys_know_is_used() {
        let image = [1.0f32, 2.0];
        let value: Value = vec![
            (
                "image".to_owned(),
                Array::new(&[1, 2], Elements::Float32(&image)).into(),
            ),
            ("snr".to_owned(), Value::Float32(0.5)),
            (
                "list".to_owned(),
                Value::List(vec![Value::None, true.into(), 2.5.into(), "é".into()]),
            ),
        ]
        .into();
        let text = bytes_of(&value).escape_ascii().to_string();
        assert!(text.contains("numpy.core.multiarray") && !text.contains("_core"));
    }

    #[test]
    fn a_list_of_objects_has_one_axis_even_when_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npy");
        for (values, shape) in [(vec![], "(0,)"), (vec![Value::None; 2], "(2,)")] {
            write_object_list(&path, &values).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let header = String::from_utf8_lossy(&bytes[..128]);
            assert!(header.contains(&format!("'shape': {shape}")), "{header}");
        }
        // The reader for numbers refuses it rather than taking the pickle for elements.
        assert!(crate::npy::read_npy_as_f64(&path).is_err());
    }

    #[test]
    #[should_panic(expected = "shape [2, 2]")]
    fn a_shape_that_does_not_hold_the_elements_is_a_mistake_of_the_programmer() {
        Array::new(&[2, 2], Elements::Bool(vec![true]));
    }
}
