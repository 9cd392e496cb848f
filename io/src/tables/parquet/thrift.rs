//! Thrift's compact protocol, as far as the description of a Parquet file needs it. Source: Apache Thrift, "Thrift compact protocol
//! encoding".

/// Types of fields, by the protocol's names.
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// The bytes of a struct; fields come in the order of their numbers.
#[derive(Default)]
pub struct StructWriter {
    bytes: Vec<u8>,
    last_field: u8,
}

impl StructWriter {
    /// A 32-bit number.
    pub fn integer(&mut self, field: u8, value: i64) {
        self.field(field, I32);
        push_zigzag(&mut self.bytes, value);
    }

    /// A 64-bit number.
    pub fn long(&mut self, field: u8, value: i64) {
        self.field(field, I64);
        push_zigzag(&mut self.bytes, value);
    }

    /// Bytes.
    pub fn bytes(&mut self, field: u8, bytes: &[u8]) {
        self.field(field, BINARY);
        push_bytes(&mut self.bytes, bytes);
    }

    /// A text.
    pub fn text(&mut self, field: u8, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// A list of 32-bit numbers.
    pub fn integers(&mut self, field: u8, values: &[i64]) {
        self.list(field, I32, values.len());
        for &value in values {
            push_zigzag(&mut self.bytes, value);
        }
    }

    /// A list of texts.
    pub fn texts(&mut self, field: u8, texts: &[&str]) {
        self.list(field, BINARY, texts.len());
        for text in texts {
            push_bytes(&mut self.bytes, text.as_bytes());
        }
    }

    /// A struct that is finished.
    pub fn nested(&mut self, field: u8, ended: Vec<u8>) {
        self.field(field, STRUCT);
        self.bytes.extend_from_slice(&ended);
    }

    /// A list of structs that are finished.
    pub fn structs(&mut self, field: u8, ended: &[Vec<u8>]) {
        self.list(field, STRUCT, ended.len());
        for one in ended {
            self.bytes.extend_from_slice(one);
        }
    }

    /// The bytes, with the mark of the end.
    pub fn end(mut self) -> Vec<u8> {
        self.bytes.push(0);
        self.bytes
    }

    fn field(&mut self, field: u8, kind: u8) {
        debug_assert!(field > self.last_field && field - self.last_field < 16);
        self.bytes.push(((field - self.last_field) << 4) | kind);
        self.last_field = field;
    }

    fn list(&mut self, field: u8, kind: u8, length: usize) {
        self.field(field, LIST);
        if length < 15 {
            self.bytes.push(((length as u8) << 4) | kind);
        } else {
            self.bytes.push(0xf0 | kind);
            push_varint(&mut self.bytes, length as u64);
        }
    }
}

/// Seven bits a byte, lowest first.
pub fn push_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push((value as u8 & 0x7f) | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Small numbers of either sign are short.
fn push_zigzag(bytes: &mut Vec<u8>, value: i64) {
    push_varint(bytes, ((value << 1) ^ (value >> 63)) as u64);
}

fn push_bytes(bytes: &mut Vec<u8>, content: &[u8]) {
    push_varint(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand from the protocol's description.
    #[test]
    fn a_struct_has_the_bytes_of_the_protocol() {
        let mut inner = StructWriter::default();
        inner.long(3, -1);
        let mut outer = StructWriter::default();
        outer.integer(1, 150);
        outer.text(4, "ab");
        outer.integers(5, &[0; 15]);
        outer.nested(20, inner.end());
        let expected = [
            &[0x15, 0xac, 0x02, 0x38, 2, b'a', b'b', 0x19, 0xf5, 15][..],
            &[0; 15],
            &[0xfc, 0x36, 0x01, 0, 0],
        ]
        .concat();
        assert_eq!(outer.end(), expected);
    }
}
