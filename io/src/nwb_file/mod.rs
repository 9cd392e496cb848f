//! Writes NWB files (Neurodata Without Borders), version 2.
//!
//! An NWB file is an HDF5 file in which every group and dataset has a type of a published schema. [`NwbWriter`] keeps what all files
//! have in common: the session, the types and identifiers of objects, the schema itself in `/specifications`, so that MatNWB and other
//! programs know the types without installing them. [`table`] has the format's tables. What a sorting and an imaging result become is in
//! [`crate::sorting_output::nwb_units`] and [`crate::imaging_output::nwb_ophys`]; both may go into one file.
//!
//! Objects are written children first, as [`crate::hdf5_writer`] asks. A path names the place of an object; groups above it that are
//! nothing but folders appear by themselves. The same content gives the same identifiers, so that two conversions can be compared.
//! Source: the "NWB Format Specification" and "hdmf-common" of the versions in `schema/`.

mod schema;
pub mod session;
pub mod table;

use std::collections::BTreeMap;
use std::path::Path;

pub use session::{NwbSession, NwbSubject, NwbTime};

use crate::error::IoError;
use crate::hdf5_writer::{Attribute, AttributeValue, Hdf5Writer, Link, ObjectAddress};

/// A type of the schema.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) struct Neurodata {
    namespace: &'static str,
    name: &'static str,
}

impl Neurodata {
    /// A type of the core schema.
    pub const fn core(name: &'static str) -> Neurodata {
        Neurodata {
            namespace: "core",
            name,
        }
    }

    /// A type of hdmf-common.
    pub const fn common(name: &'static str) -> Neurodata {
        Neurodata {
            namespace: "hdmf-common",
            name,
        }
    }
}

/// An NWB file that is being written. It appears under its name when [`NwbWriter::finish`] is done.
#[derive(Debug)]
pub struct NwbWriter {
    pub(crate) hdf5: Hdf5Writer,
    identifier: String,
    /// Groups whose links are still being gathered, by their path without the leading slash; the root is empty.
    open: BTreeMap<String, Vec<(String, Link)>>,
}

impl NwbWriter {
    /// Starts a file. `content` stands for what the file will hold: the same content has the same identifiers.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn create(
        path: &Path,
        session: &NwbSession,
        content: &blake3::Hash,
    ) -> Result<NwbWriter, IoError> {
        let identifier = match &session.identifier {
            Some(identifier) => identifier.clone(),
            None => uuid(content.as_bytes()),
        };
        let mut nwb = NwbWriter {
            hdf5: Hdf5Writer::create(path)?,
            identifier,
            open: BTreeMap::new(),
        };
        for folder in [
            "acquisition",
            "analysis",
            "general",
            "processing",
            "stimulus/presentation",
            "stimulus/templates",
        ] {
            nwb.open.entry(folder.to_owned()).or_default();
        }
        session.write(&mut nwb)?;
        schema::write(&mut nwb)?;
        Ok(nwb)
    }

    /// The name that the file will have.
    pub fn path(&self) -> &Path {
        self.hdf5.path()
    }

    /// What tells this file from all others.
    pub fn identifier(&self) -> &str {
        &self.identifier
    }

    /// Writes what is left and gives the file its name.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(mut self) -> Result<(), IoError> {
        let mut specifications = None;
        // Deepest first: closing a group may open the one above it.
        while let Some(path) = self
            .open
            .keys()
            .filter(|path| !path.is_empty())
            .max_by_key(|path| path.matches('/').count())
            .cloned()
        {
            let at = self.close(&path, &[])?;
            if path == "specifications" {
                specifications = Some(at);
            }
        }
        let mut attributes = self.typed("", Neurodata::core("NWBFile"));
        attributes.push(Attribute::text("nwb_version", schema::CORE_VERSION));
        if let Some(at) = specifications {
            attributes.push(Attribute::new(".specloc", AttributeValue::Reference(at)));
        }
        let links = self.open.remove("").unwrap_or_default();
        self.hdf5.finish(&attributes, &links)
    }

    /// Type and identifier of the object at `path`.
    pub(crate) fn typed(&self, path: &str, kind: Neurodata) -> Vec<Attribute> {
        let seed = format!("{}/{path}", self.identifier);
        vec![
            Attribute::text("namespace", kind.namespace),
            Attribute::text("neurodata_type", kind.name),
            Attribute::text("object_id", uuid(blake3::hash(seed.as_bytes()).as_bytes())),
        ]
    }

    /// Notes that a written object is at `path`.
    pub(crate) fn place(&mut self, path: &str, link: Link) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let links = self.open.entry(folder.to_owned()).or_default();
        links.push((name.to_owned(), link));
    }

    /// Whether something was placed at `path`, and the group above it is not closed.
    fn is_placed(&self, path: &str) -> bool {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
        let links = self.open.get(folder).into_iter().flatten();
        links.into_iter().any(|(found, _)| found == name)
    }

    /// Whether something was placed in the group at `path`, and it is not closed.
    pub(crate) fn is_open(&self, path: &str) -> bool {
        self.open.contains_key(path)
    }

    /// Writes the group at `path` with what was placed in it.
    pub(crate) fn close(
        &mut self,
        path: &str,
        attributes: &[Attribute],
    ) -> Result<ObjectAddress, IoError> {
        let links = self.open.remove(path).unwrap_or_default();
        let at = self.hdf5.group(attributes, &links)?;
        self.place(path, Link::Hard(at));
        Ok(at)
    }

    /// Writes the group at `path`, an object of a type, with what was placed in it.
    pub(crate) fn close_typed(
        &mut self,
        path: &str,
        kind: Neurodata,
        more: &[(&str, &str)],
    ) -> Result<ObjectAddress, IoError> {
        let mut attributes = self.typed(path, kind);
        attributes.extend(more.iter().map(|&(name, text)| Attribute::text(name, text)));
        self.close(path, &attributes)
    }

    /// A text at `path`.
    pub(crate) fn text(&mut self, path: &str, text: &str) -> Result<(), IoError> {
        let at = self.hdf5.texts(&[], &[text], &[])?;
        self.place(path, Link::Hard(at));
        Ok(())
    }

    /// A list of texts at `path`.
    pub(crate) fn texts(&mut self, path: &str, texts: &[impl AsRef<str>]) -> Result<(), IoError> {
        let at = self.hdf5.texts(&[texts.len()], texts, &[])?;
        self.place(path, Link::Hard(at));
        Ok(())
    }

    /// A device: a probe or a microscope.
    pub(crate) fn device(
        &mut self,
        name: &str,
        description: &str,
        manufacturer: Option<&str>,
    ) -> Result<Link, IoError> {
        let mut path = format!("general/devices/{}", object_name(name));
        while self.is_placed(&path) {
            path.push('_');
        }
        let mut more = vec![("description", description)];
        more.extend(manufacturer.map(|manufacturer| ("manufacturer", manufacturer)));
        self.close_typed(&path, Neurodata::core("Device"), &more)?;
        Ok(Link::Soft(format!("/{path}")))
    }
}

/// A UUID out of a hash: version 8 of RFC 9562, which leaves the other bits free.
fn uuid(hash: &[u8; 32]) -> String {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&hash[..16]);
    bytes[6] = (bytes[6] & 0x0f) | 0x80;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (place, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&place) {
            text.push('-');
        }
        text.push_str(&format!("{byte:02x}"));
    }
    text
}

/// A name that a group can have: a slash would be a folder, a zero its end, and readers of the format refuse a colon.
pub(crate) fn object_name(name: &str) -> String {
    let name = name
        .trim()
        .replace(|c: char| c == '/' || c == ':' || c.is_control(), "_");
    match name.as_str() {
        "" | "." | ".." => "unnamed".to_owned(),
        _ => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_of_the_form_of_a_uuid() {
        let text = uuid(blake3::hash(b"a").as_bytes());
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(&text[14..15], "8");
        assert!("89ab".contains(&text[19..20]), "{text}");
        assert_ne!(text, uuid(blake3::hash(b"b").as_bytes()));
    }

    #[test]
    fn names_lead_nowhere_else() {
        assert_eq!(object_name("shank 0"), "shank 0");
        assert_eq!(object_name("../a:b\0"), ".._a_b_");
        assert_eq!(object_name(" .. "), "unnamed");
    }
}
