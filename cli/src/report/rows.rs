//! Numbers in a page: rows of packed little-endian values as base64, of which a script decodes only those that are shown.
//!
//! All rows of a block have one layout and so one length, a multiple of three bytes: a row is then a piece of the text that is found
//! without reading what is before it.

use serde_json::{Value, json};

/// A number that can be packed.
pub trait Scalar: Copy {
    /// As the scripts call it.
    const NAME: &'static str;
    /// Bytes.
    const SIZE: usize;
    /// Appends the value.
    fn put(self, bytes: &mut Vec<u8>);
}

macro_rules! scalar {
    ($type:ty, $name:literal) => {
        impl Scalar for $type {
            const NAME: &'static str = $name;
            const SIZE: usize = size_of::<$type>();
            fn put(self, bytes: &mut Vec<u8>) {
                bytes.extend_from_slice(&self.to_le_bytes());
            }
        }
    };
}
scalar!(u8, "u8");
scalar!(i16, "i16");
scalar!(u16, "u16");
scalar!(u32, "u32");
scalar!(f32, "f32");

struct Field {
    name: &'static str,
    scalar: &'static str,
    offset: usize,
    count: usize,
    bytes: usize,
}

/// Names, types and places of the values of a row.
#[derive(Default)]
pub struct Layout {
    fields: Vec<Field>,
    bytes: usize,
}

impl Layout {
    /// Adds `count` values.
    #[must_use]
    pub fn with<T: Scalar>(mut self, name: &'static str, count: usize) -> Self {
        let bytes = count * T::SIZE;
        self.fields.push(Field {
            name,
            scalar: T::NAME,
            offset: self.bytes,
            count,
            bytes,
        });
        self.bytes += bytes;
        self
    }

    /// Bytes of a row, so that base64 needs no padding.
    fn row_bytes(&self) -> usize {
        self.bytes.next_multiple_of(3)
    }

    /// What a script needs to find a value.
    pub fn description(&self, n_rows: usize) -> Value {
        let fields: serde_json::Map<String, Value> = self
            .fields
            .iter()
            .map(|f| (f.name.to_owned(), json!([f.scalar, f.offset, f.count])))
            .collect();
        json!({ "row_bytes": self.row_bytes(), "n_rows": n_rows, "fields": fields })
    }
}

/// A row in the making: its fields in the order of the layout.
#[derive(Default)]
pub struct Row {
    bytes: Vec<u8>,
    ends: Vec<(&'static str, &'static str, usize)>,
}

impl Row {
    /// Appends the next field.
    #[must_use]
    pub fn with<T: Scalar>(
        mut self,
        name: &'static str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        for value in values {
            value.put(&mut self.bytes);
        }
        self.ends.push((name, T::NAME, self.bytes.len()));
        self
    }

    /// The bytes of the row; fields that are shorter than the layout says are filled up with zeros.
    ///
    /// # Panics
    /// When the fields are not those of the layout, or one is too long.
    pub fn finish(self, layout: &Layout) -> Vec<u8> {
        let mut out = vec![0u8; layout.row_bytes()];
        let mut start = 0;
        assert_eq!(self.ends.len(), layout.fields.len(), "fields of a row");
        for (field, (name, scalar, end)) in layout.fields.iter().zip(self.ends) {
            assert_eq!(
                (field.name, field.scalar),
                (name, scalar),
                "fields in order"
            );
            let bytes = &self.bytes[start..end];
            assert!(bytes.len() <= field.bytes, "`{name}` is too long");
            out[field.offset..][..bytes.len()].copy_from_slice(bytes);
            start = end;
        }
        out
    }
}

/// Base64 (RFC 4648) with padding.
pub fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let at = |k: usize| u32::from(group.get(k).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for digit in 0..4 {
            text.push(if digit <= group.len() {
                char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63])
            } else {
                '='
            });
        }
    }
    text
}

/// A value between `low` and `high` as 16 bits; what is not finite is 0.
pub fn to_u16(value: f64, low: f64, high: f64) -> u16 {
    // The cast saturates and takes NaN for 0.
    ((value - low) / (high - low).max(f64::MIN_POSITIVE) * 65535.0).round() as u16
}

/// A value between `low` and `high` as 8 bits; what is not finite is 0.
pub fn to_u8(value: f64, low: f64, high: f64) -> u8 {
    ((value - low) / (high - low).max(f64::MIN_POSITIVE) * 255.0).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        // The examples of RFC 4648, section 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[251, 255, 191]), "+/+/");
    }

    #[test]
    fn rows_have_one_length_and_short_fields_are_filled_up() {
        let layout = Layout::default().with::<u8>("a", 2).with::<u16>("b", 2);
        assert_eq!(
            layout.description(7),
            json!({ "row_bytes": 6, "n_rows": 7, "fields": { "a": ["u8", 0, 2], "b": ["u16", 2, 2] } })
        );
        let row = Row::default().with("a", [1u8]).with("b", [2u16, 0x0403]);
        assert_eq!(row.finish(&layout), [1, 0, 2, 0, 3, 4]);
    }

    #[test]
    fn numbers_are_cut_off_at_their_range() {
        assert_eq!(
            [-1.0, 0.0, 5.0, 11.0, f64::NAN].map(|v| to_u16(v, 0.0, 10.0)),
            [0, 0, 32768, 65535, 0]
        );
        assert_eq!([0.0, 5.0, 10.0].map(|v| to_u8(v, 0.0, 10.0)), [0, 128, 255]);
        assert_eq!(to_u8(3.0, 3.0, 3.0), 0);
    }
}
