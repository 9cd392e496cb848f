//! Types of elements, and how the format writes them down.

use crate::npy::NpyElement;

/// The type of a dataset's elements.
#[derive(Clone, Eq, PartialEq, Debug)]
pub enum Datatype {
    /// A whole number.
    Integer {
        /// 1, 2, 4 or 8.
        size_bytes: u8,
        /// Whether it has a sign.
        signed: bool,
    },
    /// A number of 32 or 64 bits (4 or 8 bytes).
    Float {
        /// 4 or 8.
        size_bytes: u8,
    },
    /// UTF-8 of any length.
    Text,
    /// A reference to an object.
    Reference,
    /// Fields in order, without gaps.
    Compound(Vec<(&'static str, Datatype)>),
}

/// A number that can be an element.
pub trait Hdf5Element: NpyElement {
    /// Its type in a file.
    fn datatype() -> Datatype;
}

/// Implements [`Hdf5Element`] for one primitive.
macro_rules! hdf5_element {
    ($($kind:ty => $datatype:expr),*) => {$(
        impl Hdf5Element for $kind {
            fn datatype() -> Datatype {
                $datatype
            }
        }
    )*};
}
hdf5_element!(
    u8 => Datatype::Integer { size_bytes: 1, signed: false },
    i32 => Datatype::Integer { size_bytes: 4, signed: true },
    u32 => Datatype::Integer { size_bytes: 4, signed: false },
    i64 => Datatype::Integer { size_bytes: 8, signed: true },
    u64 => Datatype::Integer { size_bytes: 8, signed: false },
    f32 => Datatype::Float { size_bytes: 4 },
    f64 => Datatype::Float { size_bytes: 8 }
);

impl Datatype {
    /// Bytes of an element.
    pub fn size_bytes(&self) -> usize {
        match self {
            Datatype::Integer { size_bytes, .. } | Datatype::Float { size_bytes } => {
                usize::from(*size_bytes)
            }
            Datatype::Text => 16,
            Datatype::Reference => 8,
            Datatype::Compound(fields) => fields.iter().map(|(_, field)| field.size_bytes()).sum(),
        }
    }

    /// The datatype message.
    pub(super) fn encode(&self) -> Vec<u8> {
        match self {
            Datatype::Integer { size_bytes, signed } => {
                let mut out = self.head(0, 1, [u8::from(*signed) << 3, 0, 0]);
                // Bit of the lowest digit, and how many there are.
                out.extend_from_slice(&0u16.to_le_bytes());
                out.extend_from_slice(&(8 * u16::from(*size_bytes)).to_le_bytes());
                out
            }
            Datatype::Float { size_bytes } => {
                // IEEE 754: place of the sign; place and bits of the exponent; bits of the mantissa; bias.
                let (sign, exponent, mantissa, bias) = match size_bytes {
                    4 => (31, [23, 8], 23, 127u32),
                    _ => (63, [52, 11], 52, 1023),
                };
                // 0x20: the mantissa's first one is implied.
                let mut out = self.head(1, 1, [0x20, sign, 0]);
                out.extend_from_slice(&0u16.to_le_bytes());
                out.extend_from_slice(&(8 * u16::from(*size_bytes)).to_le_bytes());
                out.extend_from_slice(&[exponent[0], exponent[1], 0, mantissa]);
                out.extend_from_slice(&bias.to_le_bytes());
                out
            }
            Datatype::Text => {
                // A string, ended by a zero where it is in memory, in UTF-8.
                let mut out = self.head(9, 1, [1, 1, 0]);
                out.extend_from_slice(&u8::datatype().encode());
                out
            }
            Datatype::Reference => self.head(7, 1, [0; 3]),
            Datatype::Compound(fields) => {
                let n = (fields.len() as u16).to_le_bytes();
                let mut out = self.head(6, 3, [n[0], n[1], 0]);
                let mut offset = 0;
                for (name, field) in fields {
                    out.extend_from_slice(name.as_bytes());
                    // The offset has as few bytes as the size of all fields needs: one, up to 255 bytes.
                    out.extend_from_slice(&[0, offset]);
                    out.extend_from_slice(&field.encode());
                    offset += field.size_bytes() as u8;
                }
                out
            }
        }
    }

    /// Class, version, flags and size.
    fn head(&self, class: u8, version: u8, flags: [u8; 3]) -> Vec<u8> {
        let mut out = vec![(version << 4) | class];
        out.extend_from_slice(&flags);
        out.extend_from_slice(&(self.size_bytes() as u32).to_le_bytes());
        out
    }
}
