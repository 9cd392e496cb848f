//! Types of elements: numbers, and texts of fixed or any length.

/// The type of an array's elements.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum DataType {
    Bool,
    I8,
    U8,
    I16,
    U16,
    I32,
    U32,
    I64,
    U64,
    F32,
    F64,
    /// Texts of so many letters at most, each of four bytes, filled with zeros.
    FixedText(usize),
    /// Texts of so many bytes at most, filled with zeros.
    FixedBytes(usize),
    /// Texts of any length; only one codec packs them.
    Text,
}

impl DataType {
    /// Bytes of one element; `None` for texts of any length.
    pub fn size_bytes(self) -> Option<usize> {
        Some(match self {
            DataType::Bool | DataType::I8 | DataType::U8 => 1,
            DataType::I16 | DataType::U16 => 2,
            DataType::I32 | DataType::U32 | DataType::F32 => 4,
            DataType::I64 | DataType::U64 | DataType::F64 => 8,
            DataType::FixedText(n_letters) => 4 * n_letters,
            DataType::FixedBytes(n_bytes) => n_bytes,
            DataType::Text => return None,
        })
    }

    /// Bytes that change places when the order of bytes does.
    pub fn swapped_bytes(self) -> usize {
        match self {
            DataType::FixedText(_) => 4,
            DataType::FixedBytes(_) | DataType::Text => 1,
            number => number.size_bytes().unwrap_or(1),
        }
    }

    /// From numpy's form as `<i2`, with whether its bytes are big-endian; `None` when it is not read.
    pub fn from_numpy(name: &str) -> Option<(DataType, bool)> {
        let (order, kind) = name.split_at_checked(1)?;
        let big_endian = match order {
            "<" | "|" => false,
            ">" => true,
            _ => return None,
        };
        // Longer texts than a page are no names.
        let length = |digits: &str| digits.parse().ok().filter(|n| (1..=1 << 12).contains(n));
        let data_type = match kind {
            "b1" => DataType::Bool,
            "i1" => DataType::I8,
            "u1" => DataType::U8,
            "i2" => DataType::I16,
            "u2" => DataType::U16,
            "i4" => DataType::I32,
            "u4" => DataType::U32,
            "i8" => DataType::I64,
            "u8" => DataType::U64,
            "f4" => DataType::F32,
            "f8" => DataType::F64,
            "O" => DataType::Text,
            _ => match kind.split_at_checked(1)? {
                ("U", digits) => DataType::FixedText(length(digits)?),
                ("S", digits) => DataType::FixedBytes(length(digits)?),
                _ => return None,
            },
        };
        Some((data_type, big_endian))
    }

    /// From version 3's name; `None` when it is not read.
    pub fn from_v3(name: &str) -> Option<DataType> {
        Some(match name {
            "bool" => DataType::Bool,
            "int8" => DataType::I8,
            "uint8" => DataType::U8,
            "int16" => DataType::I16,
            "uint16" => DataType::U16,
            "int32" => DataType::I32,
            "uint32" => DataType::U32,
            "int64" => DataType::I64,
            "uint64" => DataType::U64,
            "float32" => DataType::F32,
            "float64" => DataType::F64,
            "string" => DataType::Text,
            _ => return None,
        })
    }

    /// numpy's name of a number's type.
    pub fn numpy_name(self) -> &'static str {
        match self {
            DataType::Bool => "bool",
            DataType::I8 => "int8",
            DataType::U8 => "uint8",
            DataType::I16 => "int16",
            DataType::U16 => "uint16",
            DataType::I32 => "int32",
            DataType::U32 => "uint32",
            DataType::I64 => "int64",
            DataType::U64 => "uint64",
            DataType::F32 => "float32",
            DataType::F64 => "float64",
            DataType::FixedText(_) | DataType::FixedBytes(_) | DataType::Text => "text",
        }
    }

    /// Native-endian bytes of a number, rounded to the type as Python's writers do; `None` for texts.
    pub fn bytes_of(self, number: f64) -> Option<Vec<u8>> {
        Some(match self {
            DataType::Bool => vec![u8::from(number != 0.0)],
            DataType::I8 => vec![number as i8 as u8],
            DataType::U8 => vec![number as u8],
            DataType::I16 => (number as i16).to_ne_bytes().to_vec(),
            DataType::U16 => (number as u16).to_ne_bytes().to_vec(),
            DataType::I32 => (number as i32).to_ne_bytes().to_vec(),
            DataType::U32 => (number as u32).to_ne_bytes().to_vec(),
            DataType::I64 => (number as i64).to_ne_bytes().to_vec(),
            DataType::U64 => (number as u64).to_ne_bytes().to_vec(),
            DataType::F32 => (number as f32).to_ne_bytes().to_vec(),
            DataType::F64 => number.to_ne_bytes().to_vec(),
            DataType::FixedText(_) | DataType::FixedBytes(_) | DataType::Text => return None,
        })
    }

    /// The number of native-endian bytes; `None` for texts.
    pub fn number(self, bytes: &[u8]) -> Option<f64> {
        Some(match self {
            DataType::Bool | DataType::U8 => f64::from(*bytes.first()?),
            DataType::I8 => f64::from(*bytes.first()? as i8),
            DataType::I16 => f64::from(i16::from_ne_bytes(bytes.try_into().ok()?)),
            DataType::U16 => f64::from(u16::from_ne_bytes(bytes.try_into().ok()?)),
            DataType::I32 => f64::from(i32::from_ne_bytes(bytes.try_into().ok()?)),
            DataType::U32 => f64::from(u32::from_ne_bytes(bytes.try_into().ok()?)),
            DataType::I64 => i64::from_ne_bytes(bytes.try_into().ok()?) as f64,
            DataType::U64 => u64::from_ne_bytes(bytes.try_into().ok()?) as f64,
            DataType::F32 => f64::from(f32::from_ne_bytes(bytes.try_into().ok()?)),
            DataType::F64 => f64::from_ne_bytes(bytes.try_into().ok()?),
            DataType::FixedText(_) | DataType::FixedBytes(_) | DataType::Text => return None,
        })
    }
}
