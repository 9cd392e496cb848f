//! Types and shapes: the datatype and dataspace messages.

use super::header::{Header, kind, shared_header, unshared};
use super::source::{Cursor, Source};
use crate::error::IoError;

/// Axes that a dataset may have, by the format.
const MAX_RANK: u8 = 32;

/// Kinds of numbers.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum NumberKind {
    /// Unsigned integer.
    Unsigned,
    /// Signed integer in two's complement; numpy's booleans are such.
    Signed,
    /// IEEE 754 float.
    Float,
}

/// A number as it is stored.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct NumberType {
    /// What it is.
    pub kind: NumberKind,
    /// 1, 2, 4 or 8.
    pub size_bytes: usize,
    /// Byte order.
    pub big_endian: bool,
}

impl NumberType {
    /// numpy's name, as `int16`, without the byte order.
    pub fn numpy_name(self) -> String {
        let name = match self.kind {
            NumberKind::Unsigned => "uint",
            NumberKind::Signed => "int",
            NumberKind::Float => "float",
        };
        format!("{name}{}", 8 * self.size_bytes)
    }

    /// The value of one stored number; integers beyond 2^53 are rounded.
    pub fn to_f64(self, stored: &[u8]) -> f64 {
        let mut bytes = [0u8; 8];
        for (at, &byte) in stored.iter().take(8).enumerate() {
            let at = if self.big_endian {
                stored.len().min(8) - 1 - at
            } else {
                at
            };
            bytes[at] = byte;
        }
        let bits = u64::from_le_bytes(bytes);
        match (self.kind, self.size_bytes) {
            (NumberKind::Unsigned, _) => bits as f64,
            (NumberKind::Signed, size) => {
                let unused = 64 - 8 * size as u32;
                ((bits << unused) as i64 >> unused) as f64
            }
            (NumberKind::Float, 2) => f64::from(crate::tiff::samples::f16_to_f32(bits as u16)),
            (NumberKind::Float, 4) => f64::from(f32::from_bits(bits as u32)),
            (NumberKind::Float, _) => f64::from_bits(bits),
        }
    }
}

/// What one element of a dataset or attribute is.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum ElementType {
    /// A number.
    Number(NumberType),
    /// Text of a fixed length in bytes; what follows a zero byte, and spaces at the end, are filling.
    FixedText,
    /// Text of any length.
    Text,
    /// A reference to an object.
    Reference,
    /// Something that is not read, by its name.
    Other(&'static str),
}

/// A type and the bytes of one element.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Datatype {
    pub element: ElementType,
    pub size_bytes: usize,
}

impl Datatype {
    /// Of a dataset's header.
    pub fn of(source: &Source, header: &Header) -> Result<Datatype, IoError> {
        let message = header
            .find(kind::DATATYPE)
            .ok_or_else(|| source.malformed(header.address, "the dataset has no type"))?;
        if let Some(named) = unshared(source, message)? {
            return Datatype::named(source, &named);
        }
        Datatype::parse(&mut message.cursor(source))
    }

    /// Of a shared message: the type lies in the header of a named one.
    pub fn shared(source: &Source, cursor: &mut Cursor) -> Result<Datatype, IoError> {
        Datatype::named(source, &shared_header(source, cursor)?)
    }

    /// Of a named type's header, which refers to no other.
    fn named(source: &Source, header: &Header) -> Result<Datatype, IoError> {
        match header.find(kind::DATATYPE) {
            Some(message) if !message.is_shared() => Datatype::parse(&mut message.cursor(source)),
            _ => Err(source.malformed(header.address, "a named type should be here")),
        }
    }

    /// Reads the message; of types inside of a type only what is needed.
    pub fn parse(cursor: &mut Cursor) -> Result<Datatype, IoError> {
        let class_and_version = cursor.u8()?;
        let (class, version) = (class_and_version & 0x0f, class_and_version >> 4);
        if !(1..=5).contains(&version) {
            return Err(cursor.malformed(format!(
                "the type has version {version}; versions 1 to 5 are read"
            )));
        }
        let bits = cursor.bytes(3)?;
        let size_bytes = cursor.u32()? as usize;
        if size_bytes == 0 {
            return Err(cursor.malformed("a type has no bytes"));
        }
        let element = match class {
            0 => fixed_point(cursor, bits, size_bytes)?,
            1 => floating_point(cursor, bits, size_bytes)?,
            3 => ElementType::FixedText,
            7 if bits[0] & 0x0f == 0 && size_bytes == cursor.source.offset_bytes => {
                ElementType::Reference
            }
            // An enumeration is stored as its base type; h5py writes booleans so.
            8 => {
                let base = cursor.u8()?;
                if base & 0x0f != 0 {
                    ElementType::Other("an enumeration")
                } else {
                    let bits = cursor.bytes(3)?;
                    let base_bytes = cursor.u32()? as usize;
                    if base_bytes != size_bytes {
                        return Err(
                            cursor.malformed("an enumeration differs from its base in size")
                        );
                    }
                    fixed_point(cursor, bits, size_bytes)?
                }
            }
            9 if bits[0] & 0x0f == 1 && size_bytes == 8 + cursor.source.offset_bytes => {
                ElementType::Text
            }
            _ => ElementType::Other(class_name(class)),
        };
        Ok(Datatype {
            element,
            size_bytes,
        })
    }
}

fn class_name(class: u8) -> &'static str {
    match class {
        2 => "a time",
        4 => "a bit field",
        5 => "opaque bytes",
        6 => "a compound",
        7 => "a reference to a region or attribute",
        9 => "a list of any length",
        10 => "an array",
        11 => "a complex number",
        _ => "an unknown type",
    }
}

/// Integers that fill their bytes are numbers; others are named.
fn fixed_point(
    cursor: &mut Cursor,
    bits: &[u8],
    size_bytes: usize,
) -> Result<ElementType, IoError> {
    let offset = cursor.u16()?;
    let precision = usize::from(cursor.u16()?);
    if ![1, 2, 4, 8].contains(&size_bytes) || offset != 0 || precision != 8 * size_bytes {
        return Ok(ElementType::Other(
            "an integer of another width than its bytes",
        ));
    }
    Ok(ElementType::Number(NumberType {
        kind: if bits[0] & 0x08 != 0 {
            NumberKind::Signed
        } else {
            NumberKind::Unsigned
        },
        size_bytes,
        big_endian: bits[0] & 1 != 0,
    }))
}

/// Floats of IEEE 754 are numbers; others are named.
fn floating_point(
    cursor: &mut Cursor,
    bits: &[u8],
    size_bytes: usize,
) -> Result<ElementType, IoError> {
    let offset = cursor.u16()?;
    let precision = cursor.u16()?;
    let fields = cursor.bytes(4)?;
    let bias = cursor.u32()?;
    // Place and width of exponent and mantissa, and the exponent's bias.
    let expected: ([u8; 4], u32) = match size_bytes {
        2 => ([10, 5, 0, 10], 15),
        4 => ([23, 8, 0, 23], 127),
        8 => ([52, 11, 0, 52], 1023),
        _ => {
            return Ok(ElementType::Other(
                "a float of another width than 16, 32 or 64 bits",
            ));
        }
    };
    let is_vax = bits[0] & 0x40 != 0;
    let is_ieee = fields == expected.0
        && bias == expected.1
        && offset == 0
        && usize::from(precision) == 8 * size_bytes
        && usize::from(bits[1]) == 8 * size_bytes - 1
        && bits[0] & 0x30 == 0x20;
    if is_vax || !is_ieee {
        return Ok(ElementType::Other("a float of another form than IEEE 754"));
    }
    Ok(ElementType::Number(NumberType {
        kind: NumberKind::Float,
        size_bytes,
        big_endian: bits[0] & 1 != 0,
    }))
}

/// A shape.
#[derive(Clone, Eq, PartialEq, Debug)]
pub(crate) struct Dataspace {
    /// Elements along each axis; none for a single value.
    pub shape: Vec<u64>,
    /// What each axis may grow to; `None` for any length.
    pub max_shape: Vec<Option<u64>>,
    /// Whether there is nothing at all, not even a single value.
    pub is_null: bool,
}

impl Dataspace {
    /// Reads the message.
    pub fn parse(cursor: &mut Cursor) -> Result<Dataspace, IoError> {
        let version = cursor.version("the shape", &[1, 2])?;
        let rank = cursor.u8()?;
        let flags = cursor.u8()?;
        let mut is_null = false;
        if version == 1 {
            cursor.skip(5)?;
        } else {
            is_null = cursor.u8()? == 2;
        }
        if rank > MAX_RANK {
            return Err(cursor.malformed(format!("{rank} axes are more than {MAX_RANK}")));
        }
        let shape = lengths(cursor, rank)?;
        let max_shape = if flags & 1 != 0 {
            let longest = u64::MAX >> (64 - 8 * cursor.source.length_bytes as u32);
            lengths(cursor, rank)?
                .into_iter()
                .map(|axis| (axis != longest).then_some(axis))
                .collect()
        } else {
            shape.iter().map(|&axis| Some(axis)).collect()
        };
        let space = Dataspace {
            shape,
            max_shape,
            is_null,
        };
        if space.checked_count().is_none() {
            return Err(cursor.malformed("the shape has more elements than can be counted"));
        }
        Ok(space)
    }

    fn checked_count(&self) -> Option<u64> {
        if self.is_null {
            return Some(0);
        }
        self.shape
            .iter()
            .try_fold(1u64, |product, &axis| product.checked_mul(axis))
            .filter(|&count| count <= i64::MAX as u64)
    }

    /// Elements in all.
    pub fn n_elements(&self) -> u64 {
        self.checked_count().unwrap_or(0)
    }
}

fn lengths(cursor: &mut Cursor, rank: u8) -> Result<Vec<u64>, IoError> {
    (0..rank).map(|_| cursor.length()).collect()
}
