//! HDF5 files for the tests: groups, and datasets in one piece, in the format's oldest form.

/// A file that is being written.
pub struct Hdf5 {
    bytes: Vec<u8>,
}

/// The value of an attribute.
pub enum Attribute {
    Text(&'static str),
    Float(f64),
}

/// Bytes of the superblock.
const SUPERBLOCK_BYTES: usize = 96;

impl Hdf5 {
    /// The type of signed 16-bit little-endian integers, as a message.
    pub const INT16: [u8; 12] = [0x10, 8, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0];
    /// That of 64-bit little-endian floats.
    const FLOAT64: [u8; 20] = [
        0x11, 0x20, 63, 0, 8, 0, 0, 0, 0, 0, 64, 0, 52, 11, 0, 52, 0xff, 3, 0, 0,
    ];

    /// An empty file.
    pub fn new() -> Self {
        Self {
            bytes: vec![0; SUPERBLOCK_BYTES],
        }
    }

    /// Writes a dataset and returns its address.
    pub fn dataset(&mut self, shape: &[u64], datatype: &[u8], data: &[u8]) -> u64 {
        self.dataset_with(shape, datatype, data, &[])
    }

    /// Writes a dataset with attributes.
    pub fn dataset_with(
        &mut self,
        shape: &[u64],
        datatype: &[u8],
        data: &[u8],
        attributes: &[(&str, Attribute)],
    ) -> u64 {
        let data_at = self.bytes.len() as u64;
        self.bytes.extend(data);
        let space = Self::space(shape);
        let mut layout = vec![3, 1];
        layout.extend(data_at.to_le_bytes());
        layout.extend((data.len() as u64).to_le_bytes());
        let mut messages = vec![(1, space), (3, datatype.to_vec()), (8, layout)];
        messages.extend(attributes.iter().map(Self::attribute));
        self.object(&messages)
    }

    /// A shape as a message.
    fn space(shape: &[u64]) -> Vec<u8> {
        let mut space = vec![1, shape.len() as u8, 0, 0, 0, 0, 0, 0];
        space.extend(shape.iter().flat_map(|axis| axis.to_le_bytes()));
        space
    }

    /// An attribute as a message of version 3.
    fn attribute((name, value): &(&str, Attribute)) -> (u16, Vec<u8>) {
        let (datatype, data) = match value {
            Attribute::Text(text) => {
                let mut datatype = vec![0x13, 0, 0, 0];
                datatype.extend((text.len() as u32).to_le_bytes());
                (datatype, text.as_bytes().to_vec())
            }
            Attribute::Float(value) => (Self::FLOAT64.to_vec(), value.to_le_bytes().to_vec()),
        };
        let space = Self::space(&[]);
        let mut message = vec![3, 0];
        for length in [name.len() + 1, datatype.len(), space.len()] {
            message.extend((length as u16).to_le_bytes());
        }
        message.push(0);
        message.extend(name.as_bytes());
        message.push(0);
        message.extend([datatype, space, data].concat());
        (12, message)
    }

    /// Writes a dataset of floats.
    pub fn floats(&mut self, shape: &[u64], values: &[f64]) -> u64 {
        let data: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.dataset(shape, &Self::FLOAT64, &data)
    }

    /// Writes NWB's `starting_time`.
    pub fn clock(&mut self, rate_hz: f64) -> u64 {
        let rate = [("rate", Attribute::Float(rate_hz))];
        self.dataset_with(&[], &Self::FLOAT64, &0f64.to_le_bytes(), &rate)
    }

    /// Writes a group of members that are written.
    pub fn group(&mut self, members: &[(&str, u64)], attributes: &[(&str, Attribute)]) -> u64 {
        let mut messages: Vec<(u16, Vec<u8>)> = members
            .iter()
            .map(|(name, address)| {
                let mut link = vec![1, 0, name.len() as u8];
                link.extend(name.as_bytes());
                link.extend(address.to_le_bytes());
                (6, link)
            })
            .collect();
        messages.extend(attributes.iter().map(Self::attribute));
        self.object(&messages)
    }

    /// The bytes of the file, with these members and attributes of its root.
    pub fn finish(mut self, members: &[(&str, u64)], attributes: &[(&str, Attribute)]) -> Vec<u8> {
        let root = self.group(members, attributes);
        let mut superblock = b"\x89HDF\r\n\x1a\n".to_vec();
        superblock.extend([0, 0, 0, 0, 0, 8, 8, 0, 4, 0, 16, 0, 0, 0, 0, 0]);
        for address in [0, u64::MAX, self.bytes.len() as u64, u64::MAX, 0, root] {
            superblock.extend(address.to_le_bytes());
        }
        self.bytes[..superblock.len()].copy_from_slice(&superblock);
        self.bytes
    }

    /// Writes a header of messages and returns its address.
    fn object(&mut self, messages: &[(u16, Vec<u8>)]) -> u64 {
        self.bytes.resize(self.bytes.len().next_multiple_of(8), 0);
        let address = self.bytes.len() as u64;
        let mut block = Vec::new();
        for (kind, message) in messages {
            let length = message.len().next_multiple_of(8);
            block.extend(kind.to_le_bytes());
            block.extend((length as u16).to_le_bytes());
            block.extend([0; 4]);
            block.extend(message);
            block.resize(block.len() + length - message.len(), 0);
        }
        self.bytes.extend([1, 0]);
        self.bytes.extend((messages.len() as u16).to_le_bytes());
        self.bytes.extend(1u32.to_le_bytes());
        self.bytes.extend((block.len() as u32).to_le_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend(block);
        address
    }
}
