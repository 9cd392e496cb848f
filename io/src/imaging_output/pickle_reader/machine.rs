//! The stack machine that a pickle is a program of, as far as it builds data.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use super::{Content, Node};
use crate::error::IoError;

/// Axes that an array of numpy's can have.
const LARGEST_AXES: usize = 64;

/// Follows the opcodes.
pub(super) struct Machine<'a> {
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

impl<'a> Machine<'a> {
    /// Stands at byte `place` of a file; `path` is only for messages.
    pub fn new(path: &'a Path, bytes: &'a [u8], place: usize) -> Self {
        Machine {
            path,
            bytes,
            place,
            contents: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            next_memo: 0,
        }
    }

    /// All values of the pickle, and the number of the one that it is.
    pub fn run(mut self) -> Result<(Vec<Content>, Node), IoError> {
        let root = self.follow()?;
        Ok((self.contents, root))
    }

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

    fn follow(&mut self) -> Result<Node, IoError> {
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
