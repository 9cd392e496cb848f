//! Reads the data out of a pickle without running it, and `.npy` files of objects that hold one.
//!
//! Suite2p keeps its cells and settings as pickles. A pickle is a small program; Python runs it, with whatever it calls. Here only the
//! part that builds data is followed: numbers, text, lists, dictionaries, numpy arrays and scalars. A call of anything else gives a
//! value that says nothing ([`PyValue::is_opaque`]), and is not made. Values live side by side in one list and refer to each other by
//! number, so that what is shared, nested or circular costs no more than the bytes that say it. Source: the opcodes as documented in
//! Python's `pickletools`, and what `numpy.ndarray.__reduce__` is documented to give.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

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

/// Axes that an array of numpy's can have.
const LARGEST_AXES: usize = 64;

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
    let mut machine = Machine {
        path,
        place: header.data_offset_bytes as usize,
        bytes: &bytes,
        contents: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        next_memo: 0,
    };
    let root = machine.run()?;
    let contents = machine.contents;
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

/// Follows the opcodes.
struct Machine<'a> {
    path: &'a Path,
    bytes: &'a [u8],
    place: usize,
    contents: Vec<Content>,
    stack: Vec<Node>,
    /// Heights of the stack that were marked.
    marks: Vec<usize>,
    memo: HashMap<u32, Node>,
    next_memo: u32,
}

impl Machine<'_> {
    fn bad(&self, what: impl Into<String>) -> IoError {
        IoError::malformed(self.path, format!("byte {}", self.place), what)
    }

    fn take(&mut self, length: usize) -> Result<Range<usize>, IoError> {
        let end = self.place.checked_add(length);
        let end = end.filter(|end| *end <= self.bytes.len());
        let end = end.ok_or_else(|| self.bad("the pickle is cut short"))?;
        let range = self.place..end;
        self.place = end;
        Ok(range)
    }

    fn take_array<const N: usize>(&mut self) -> Result<[u8; N], IoError> {
        let range = self.take(N)?;
        Ok(self.bytes[range].try_into().expect("as many bytes"))
    }

    /// A length of that many bytes, and as many bytes as it says.
    fn take_counted(&mut self, length_bytes: usize) -> Result<Range<usize>, IoError> {
        let mut wide = [0u8; 8];
        let range = self.take(length_bytes)?;
        wide[..length_bytes].copy_from_slice(&self.bytes[range]);
        let length = usize::try_from(u64::from_le_bytes(wide));
        let length = length.map_err(|_| self.bad("the pickle is cut short"))?;
        self.take(length)
    }

    fn line(&mut self) -> Result<String, IoError> {
        let rest = &self.bytes[self.place..];
        let length = rest.iter().position(|&byte| byte == b'\n');
        let length = length.ok_or_else(|| self.bad("the pickle is cut short"))?;
        let range = self.take(length)?;
        self.place += 1;
        Ok(String::from_utf8_lossy(&self.bytes[range]).into_owned())
    }

    fn push(&mut self, content: Content) {
        self.contents.push(content);
        self.stack.push(self.contents.len() - 1);
    }

    fn pop(&mut self) -> Result<Node, IoError> {
        // What lies below a mark belongs to what was begun before it.
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(self.bad("the pickle takes a value that is not there"));
        }
        Ok(self.stack.pop().expect("higher than the floor"))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Node>, IoError> {
        let mark = self.marks.pop();
        let mark = mark.ok_or_else(|| self.bad("the pickle lacks a mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn top(&self) -> Result<Node, IoError> {
        self.stack
            .last()
            .copied()
            .ok_or_else(|| self.bad("the pickle takes a value that is not there"))
    }

    fn remember(&mut self, key: u32) -> Result<(), IoError> {
        let top = self.top()?;
        self.memo.insert(key, top);
        self.next_memo = self.memo.len() as u32;
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Result<(), IoError> {
        let node = self.memo.get(&key).copied();
        let node =
            node.ok_or_else(|| self.bad("the pickle refers to a value that is not there"))?;
        self.stack.push(node);
        Ok(())
    }

    fn push_tuple(&mut self, length: usize) -> Result<(), IoError> {
        let mut items = Vec::with_capacity(length);
        for _ in 0..length {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Content::List(items));
        Ok(())
    }

    fn extend_list(&mut self, items: Vec<Node>) -> Result<(), IoError> {
        let list = self.top()?;
        match &mut self.contents[list] {
            Content::List(list) => list.extend(items),
            Content::Opaque => {}
            _ => return Err(self.bad("the pickle appends to what is no list")),
        }
        Ok(())
    }

    fn extend_dict(&mut self, items: Vec<Node>) -> Result<(), IoError> {
        let dict = self.top()?;
        match &mut self.contents[dict] {
            Content::Dict(entries) => {
                entries.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            Content::Opaque => {}
            _ => return Err(self.bad("the pickle sets a key of what is no dictionary")),
        }
        Ok(())
    }

    fn run(&mut self) -> Result<Node, IoError> {
        loop {
            let [opcode] = self.take_array()?;
            match opcode {
                // PROTO and FRAME say nothing of the data.
                0x80 => self.place = self.take(1)?.end,
                0x95 => self.place = self.take(8)?.end,
                b'.' => return self.pop(), // STOP
                b'N' => self.push(Content::None),
                0x88 => self.push(Content::Bool(true)),
                0x89 => self.push(Content::Bool(false)),
                b'J' => {
                    let value = i32::from_le_bytes(self.take_array()?);
                    self.push(Content::Int(value.into()));
                }
                b'K' => {
                    let [value] = self.take_array()?;
                    self.push(Content::Int(value.into()));
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.take_array()?);
                    self.push(Content::Int(value.into()));
                }
                0x8a => self.long()?,
                b'G' => {
                    let value = f64::from_be_bytes(self.take_array()?);
                    self.push(Content::Float(value));
                }
                b'X' | 0x8c | 0x8d => {
                    let length_bytes = [4, 1, 8][usize::from(opcode.saturating_sub(0x8b))];
                    let range = self.take_counted(length_bytes)?;
                    self.push(Content::Text(range));
                }
                b'B' | b'C' | 0x8e => {
                    let length_bytes = match opcode {
                        b'B' => 4,
                        b'C' => 1,
                        _ => 8,
                    };
                    let range = self.take_counted(length_bytes)?;
                    self.push(Content::Bytes(range));
                }
                b']' | b')' => self.push(Content::List(Vec::new())),
                b'}' => self.push(Content::Dict(Vec::new())),
                0x8f => self.push(Content::Opaque), // EMPTY_SET
                b'(' => self.marks.push(self.stack.len()),
                b't' | b'l' => {
                    let items = self.pop_to_mark()?;
                    self.push(Content::List(items));
                }
                0x85 => self.push_tuple(1)?,
                0x86 => self.push_tuple(2)?,
                0x87 => self.push_tuple(3)?,
                0x91 => {
                    // FROZENSET
                    self.pop_to_mark()?;
                    self.push(Content::Opaque);
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend_list(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_to_mark()?;
                    self.extend_list(items)?;
                }
                0x90 => drop(self.pop_to_mark()?), // ADDITEMS
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.extend_dict(vec![key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.extend_dict(items)?;
                }
                b'0' => drop(self.pop()?),
                b'c' => {
                    let (module, name) = (self.line()?, self.line()?);
                    self.push(Content::Global(module, name));
                }
                0x93 => self.stack_global()?,
                0x94 => self.remember(self.next_memo)?,
                b'q' => {
                    let [key] = self.take_array()?;
                    self.remember(key.into())?;
                }
                b'r' => {
                    let key = u32::from_le_bytes(self.take_array()?);
                    self.remember(key)?;
                }
                b'h' => {
                    let [key] = self.take_array()?;
                    self.recall(key.into())?;
                }
                b'j' => {
                    let key = u32::from_le_bytes(self.take_array()?);
                    self.recall(key)?;
                }
                b'R' => self.reduce()?,
                0x81 => {
                    // NEWOBJ
                    self.pop()?;
                    self.pop()?;
                    self.push(Content::Opaque);
                }
                b'b' => self.build()?,
                other => {
                    self.place -= 1;
                    return Err(self.bad(format!("the pickle's opcode {other:#04x} is not read")));
                }
            }
        }
    }

    /// A whole number of any length; one beyond 64 bits says nothing.
    fn long(&mut self) -> Result<(), IoError> {
        let range = self.take_counted(1)?;
        let bytes = &self.bytes[range];
        if bytes.len() > 8 {
            self.push(Content::Opaque);
            return Ok(());
        }
        let negative = bytes.last().is_some_and(|&byte| byte >= 0x80);
        let mut wide = [if negative { 0xff } else { 0 }; 8];
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Content::Int(i64::from_le_bytes(wide)));
        Ok(())
    }

    fn stack_global(&mut self) -> Result<(), IoError> {
        let name = self.pop()?;
        let module = self.pop()?;
        let (Some(module), Some(name)) = (self.short_text(module), self.short_text(name)) else {
            return Err(self.bad("the pickle names a class by what is no short text"));
        };
        self.push(Content::Global(module, name));
        Ok(())
    }

    /// A copy of a text of at most 200 bytes. A text may be referred to any number of times, so that copies of long ones could take
    /// any amount of memory.
    fn short_text(&self, node: Node) -> Option<String> {
        match &self.contents[node] {
            Content::Text(range) if range.len() <= 200 => {
                Some(String::from_utf8_lossy(&self.bytes[range.clone()]).into_owned())
            }
            _ => None,
        }
    }

    /// The first items of a tuple, for the same reason.
    fn first_items(&self, node: Node) -> Vec<Node> {
        match &self.contents[node] {
            Content::List(items) => items.iter().take(8).copied().collect(),
            _ => Vec::new(),
        }
    }

    /// The data that a call would give, of the few that are known; nothing is called.
    fn reduce(&mut self) -> Result<(), IoError> {
        let arguments = self.pop()?;
        let callable = self.pop()?;
        let arguments = self.first_items(arguments);
        let made = match &self.contents[callable] {
            Content::Global(module, name) => {
                let of_numpy = module == "numpy" || module.starts_with("numpy.");
                match (of_numpy, name.as_str(), &arguments[..]) {
                    (true, "_reconstruct", _) => Content::Array {
                        shape: Vec::new(),
                        fortran_order: false,
                        element_type: callable,
                        data: callable,
                    },
                    (true, "dtype", &[code, ..]) => match self.short_text(code) {
                        Some(code) => Content::ElementType(code, b'<'),
                        None => Content::Opaque,
                    },
                    (true, "scalar", &[element_type, data]) => Content::Scalar(element_type, data),
                    _ => Content::Opaque,
                }
            }
            _ => Content::Opaque,
        };
        self.push(made);
        Ok(())
    }

    /// The state of an array or of an element's type; that of anything else says nothing.
    fn build(&mut self) -> Result<(), IoError> {
        let state = self.pop()?;
        let object = self.top()?;
        let state = self.first_items(state);
        let built = match (&self.contents[object], &state[..]) {
            (Content::Array { .. }, &[_, shape, element_type, order, data]) => {
                let axes = match &self.contents[shape] {
                    Content::List(axes) if axes.len() <= LARGEST_AXES => axes.as_slice(),
                    _ => return Err(self.bad("an array has no shape")),
                };
                let lengths = axes.iter().map(|&axis| match self.contents[axis] {
                    Content::Int(length) => usize::try_from(length).ok(),
                    _ => None,
                });
                let shape = lengths.collect::<Option<Vec<usize>>>();
                let shape = shape.ok_or_else(|| self.bad("an array has no shape"))?;
                Some(Content::Array {
                    shape,
                    fortran_order: self.contents[order] == Content::Bool(true),
                    element_type,
                    data,
                })
            }
            (Content::ElementType(code, _), &[_, order, ..]) => match &self.contents[order] {
                Content::Text(range) => {
                    let order = self.bytes[range.clone()].first();
                    Some(Content::ElementType(
                        code.clone(),
                        order.copied().unwrap_or(b'<'),
                    ))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some(built) = built {
            self.contents[object] = built;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
