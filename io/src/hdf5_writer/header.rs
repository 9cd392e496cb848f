//! Object headers, version 2: a list of messages under one checksum.

use super::datatype::Datatype;
use super::{Link, UNDEFINED};
use crate::hdf5::checksum::lookup3;

/// Types of messages.
mod message {
    pub const DATASPACE: u8 = 0x01;
    pub const LINK_INFO: u8 = 0x02;
    pub const DATATYPE: u8 = 0x03;
    pub const FILL_VALUE: u8 = 0x05;
    pub const LINK: u8 = 0x06;
    pub const LAYOUT: u8 = 0x08;
    pub const GROUP_INFO: u8 = 0x0a;
    pub const FILTERS: u8 = 0x0b;
    pub const ATTRIBUTE: u8 = 0x0c;
    pub const ATTRIBUTE_INFO: u8 = 0x15;
}

/// A message that says that the object is not shared.
const PLAIN: u8 = 0;
/// The flag of a message whose content never changes, as datatypes and fill values.
const CONSTANT: u8 = 1;

/// The header of a group or dataset, message after message.
pub(super) struct ObjectHeader {
    messages: Vec<u8>,
    has_attributes: bool,
    /// What does not fit into a message.
    too_long: Option<String>,
}

impl ObjectHeader {
    fn new() -> ObjectHeader {
        ObjectHeader {
            messages: Vec::new(),
            has_attributes: false,
            too_long: None,
        }
    }

    /// A group without links.
    pub fn of_group() -> ObjectHeader {
        let mut header = ObjectHeader::new();
        header.message(message::LINK_INFO, PLAIN, "links", &no_dense_storage());
        header.message(message::GROUP_INFO, CONSTANT, "group", &[0, 0]);
        header
    }

    /// A dataset, whose layout is still to be said.
    pub fn of_dataset(datatype: &Datatype, shape: &[usize]) -> ObjectHeader {
        let mut header = ObjectHeader::new();
        header.message(message::DATASPACE, PLAIN, "shape", &dataspace(shape));
        header.message(message::DATATYPE, CONSTANT, "type", &datatype.encode());
        // Version 3; space is given when data come, and zeros are written only where a value was set.
        header.message(message::FILL_VALUE, CONSTANT, "fill value", &[3, 0x0a]);
        header
    }

    /// The data lie in one piece.
    pub fn contiguous(&mut self, place: u64, size_bytes: u64) {
        let mut body = vec![3, 1];
        body.extend_from_slice(&place.to_le_bytes());
        body.extend_from_slice(&size_bytes.to_le_bytes());
        self.message(message::LAYOUT, PLAIN, "layout", &body);
    }

    /// The data lie in shuffled and deflated chunks, whose index is at `index`.
    pub fn chunked(&mut self, index: u64, chunk: &[usize], element_bytes: usize, level: u32) {
        let mut filters = vec![2, 2];
        for (id, value) in [(2u16, element_bytes as u32), (1, level)] {
            filters.extend_from_slice(&id.to_le_bytes());
            // Flags (none: a reader must know it), and the number of values.
            filters.extend_from_slice(&[0, 0, 1, 0]);
            filters.extend_from_slice(&value.to_le_bytes());
        }
        self.message(message::FILTERS, PLAIN, "filters", &filters);
        let mut body = vec![3, 2, chunk.len() as u8 + 1];
        body.extend_from_slice(&index.to_le_bytes());
        for &length in chunk.iter().chain([&element_bytes]) {
            body.extend_from_slice(&(length as u32).to_le_bytes());
        }
        self.message(message::LAYOUT, PLAIN, "layout", &body);
    }

    /// A name in a group.
    pub fn link(&mut self, name: &str, link: &Link) {
        // Bytes of the name's length (two), type and character set are told.
        let mut body = vec![1, 0b1_1001];
        body.push(u8::from(matches!(link, Link::Soft(_))));
        body.push(1);
        body.extend_from_slice(&(name.len() as u16).to_le_bytes());
        body.extend_from_slice(name.as_bytes());
        match link {
            Link::Hard(at) => body.extend_from_slice(&at.0.to_le_bytes()),
            Link::Soft(path) => {
                body.extend_from_slice(&(path.len() as u16).to_le_bytes());
                body.extend_from_slice(path.as_bytes());
            }
        }
        self.message(message::LINK, PLAIN, name, &body);
    }

    /// An attribute.
    pub fn attribute(&mut self, name: &str, datatype: &Datatype, shape: &[usize], data: &[u8]) {
        if !self.has_attributes {
            self.has_attributes = true;
            let body = no_dense_storage();
            self.message(message::ATTRIBUTE_INFO, PLAIN, "attributes", &body);
        }
        let (datatype, dataspace) = (datatype.encode(), dataspace(shape));
        let mut body = vec![3, 0];
        for length in [name.len() + 1, datatype.len(), dataspace.len()] {
            body.extend_from_slice(&(length as u16).to_le_bytes());
        }
        // The name is UTF-8.
        body.push(1);
        body.extend_from_slice(name.as_bytes());
        body.push(0);
        body.extend_from_slice(&datatype);
        body.extend_from_slice(&dataspace);
        body.extend_from_slice(data);
        self.message(message::ATTRIBUTE, PLAIN, name, &body);
    }

    fn message(&mut self, kind: u8, flags: u8, name: &str, body: &[u8]) {
        if body.len() > usize::from(u16::MAX) {
            self.too_long = Some(format!(
                "`{name}` takes {} bytes, and HDF5 holds at most 65,535 there",
                body.len()
            ));
            return;
        }
        self.messages.push(kind);
        self.messages
            .extend_from_slice(&(body.len() as u16).to_le_bytes());
        self.messages.push(flags);
        self.messages.extend_from_slice(body);
    }

    /// The header's bytes.
    ///
    /// # Errors
    /// A sentence on what is too long for a message.
    pub fn encode(self) -> Result<Vec<u8>, String> {
        if let Some(what) = self.too_long {
            return Err(what);
        }
        // Version 2; the size of what follows has four bytes.
        let mut out = b"OHDR\x02\x02".to_vec();
        out.extend_from_slice(&(self.messages.len() as u32).to_le_bytes());
        out.extend_from_slice(&self.messages);
        let sum = lookup3(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        Ok(out)
    }
}

/// Links or attributes lie in the header itself: no heap, no index of names.
fn no_dense_storage() -> [u8; 18] {
    let mut body = [0; 18];
    body[2..10].copy_from_slice(&UNDEFINED.to_le_bytes());
    body[10..].copy_from_slice(&UNDEFINED.to_le_bytes());
    body
}

/// The dataspace message: a scalar where there is no axis.
fn dataspace(shape: &[usize]) -> Vec<u8> {
    let mut body = vec![2, shape.len() as u8, 0, u8::from(!shape.is_empty())];
    for &length in shape {
        body.extend_from_slice(&(length as u64).to_le_bytes());
    }
    body
}
