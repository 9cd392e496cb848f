//! Values of attributes and of small datasets.

use super::datatype::{Datatype, ElementType};
use super::heap::GlobalHeaps;
use super::source::Source;
use crate::error::IoError;

/// What an attribute or a small dataset holds, flat; a single value is a list of one.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    /// Numbers; integers beyond 2^53 are rounded.
    Numbers(Vec<f64>),
    /// Texts.
    Texts(Vec<String>),
    /// Addresses of objects, for [`super::Hdf5File::object_at`]; `None` where nothing is referred to.
    References(Vec<Option<u64>>),
    /// Nothing.
    Empty,
    /// Something that is not read, by its name.
    Other(&'static str),
}

impl Value {
    /// The first number.
    pub fn number(&self) -> Option<f64> {
        match self {
            Value::Numbers(numbers) => numbers.first().copied(),
            _ => None,
        }
    }

    /// The first text.
    pub fn text(&self) -> Option<&str> {
        match self {
            Value::Texts(texts) => texts.first().map(String::as_str),
            _ => None,
        }
    }

    /// Its length.
    pub fn len(&self) -> usize {
        match self {
            Value::Numbers(numbers) => numbers.len(),
            Value::Texts(texts) => texts.len(),
            Value::References(addresses) => addresses.len(),
            Value::Empty | Value::Other(_) => 0,
        }
    }

    /// Whether it has no element that is read.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Decodes stored elements.
pub(crate) fn decode(
    source: &Source,
    heaps: &GlobalHeaps,
    datatype: Datatype,
    stored: &[u8],
) -> Result<Value, IoError> {
    let elements = stored.chunks_exact(datatype.size_bytes);
    Ok(match datatype.element {
        ElementType::Number(number) => {
            Value::Numbers(elements.map(|element| number.to_f64(element)).collect())
        }
        ElementType::FixedText => Value::Texts(elements.map(fixed_text).collect()),
        ElementType::Text => {
            // Texts of a damaged file can refer to one place many times.
            let mut bytes_left = source.size_bytes.saturating_add(1 << 20);
            let mut texts = Vec::with_capacity(elements.len());
            for element in elements {
                let text = any_text(source, heaps, element)?;
                bytes_left = bytes_left.checked_sub(text.len() as u64).ok_or_else(|| {
                    source.malformed(0, "texts are longer together than the file")
                })?;
                texts.push(text);
            }
            Value::Texts(texts)
        }
        ElementType::Reference => {
            let mut addresses = Vec::with_capacity(elements.len());
            for element in elements {
                let address = source.cursor(0, element).address()?;
                addresses.push(address.filter(|&address| address != 0));
            }
            Value::References(addresses)
        }
        ElementType::Other(name) => Value::Other(name),
    })
}

/// Text of a fixed length without its filling.
fn fixed_text(stored: &[u8]) -> String {
    let text = stored.split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(text)
        .trim_end_matches(' ')
        .to_owned()
}

/// Text of any length: a length, and a place in a heap of texts.
fn any_text(source: &Source, heaps: &GlobalHeaps, stored: &[u8]) -> Result<String, IoError> {
    let mut cursor = source.cursor(0, stored);
    let length = cursor.u32()? as usize;
    let heap = cursor.address()?.filter(|&heap| heap != 0);
    let index = cursor.u32()?;
    let (Some(heap), true) = (heap, length > 0) else {
        return Ok(String::new());
    };
    let bytes = heaps.object(source, heap, index)?;
    let bytes = bytes
        .get(..length)
        .ok_or_else(|| source.malformed(heap, "a text is longer than its place"))?;
    Ok(String::from_utf8_lossy(bytes)
        .trim_end_matches('\0')
        .to_owned())
}
