//! The format's tables: a group with a dataset a column, in which rows of a column may be lists.

use super::{Neurodata, NwbWriter};
use crate::error::IoError;
use crate::hdf5_writer::{Attribute, AttributeValue, Hdf5Element, Hdf5Writer, Link, ObjectAddress};
use crate::tables::{Column, NamedColumn};

/// A table that is being written.
pub(crate) struct NwbTable<'w> {
    nwb: &'w mut NwbWriter,
    path: String,
    names: Vec<String>,
}

impl<'w> NwbTable<'w> {
    /// A table of as many rows as there are ids.
    pub fn new(nwb: &'w mut NwbWriter, path: &str, ids: &[i64]) -> Result<Self, IoError> {
        let mut table = NwbTable {
            nwb,
            path: path.to_owned(),
            names: Vec::new(),
        };
        table.dataset(
            "id",
            Neurodata::common("ElementIdentifiers"),
            &[],
            |hdf5, attributes| hdf5.array(&[ids.len()], ids, attributes),
        )?;
        Ok(table)
    }

    fn dataset(
        &mut self,
        name: &str,
        kind: Neurodata,
        more: &[Attribute],
        write: impl FnOnce(&mut Hdf5Writer, &[Attribute]) -> Result<ObjectAddress, IoError>,
    ) -> Result<ObjectAddress, IoError> {
        let path = format!("{}/{name}", self.path);
        let mut attributes = self.nwb.typed(&path, kind);
        attributes.extend_from_slice(more);
        let at = write(&mut self.nwb.hdf5, &attributes)?;
        self.nwb.place(&path, Link::Hard(at));
        Ok(at)
    }

    /// A column that `write` writes, with these attributes and `more`.
    pub fn column(
        &mut self,
        name: &str,
        description: &str,
        more: &[Attribute],
        write: impl FnOnce(&mut Hdf5Writer, &[Attribute]) -> Result<ObjectAddress, IoError>,
    ) -> Result<ObjectAddress, IoError> {
        self.names.push(name.to_owned());
        let mut attributes = vec![Attribute::text("description", description)];
        attributes.extend_from_slice(more);
        self.dataset(name, Neurodata::common("VectorData"), &attributes, write)
    }

    /// A column of numbers.
    pub fn numbers<T: Hdf5Element>(
        &mut self,
        name: &str,
        description: &str,
        values: &[T],
    ) -> Result<(), IoError> {
        self.column(name, description, &[], |hdf5, attributes| {
            hdf5.array(&[values.len()], values, attributes)
        })?;
        Ok(())
    }

    /// A column of texts.
    pub fn texts(
        &mut self,
        name: &str,
        description: &str,
        texts: &[impl AsRef<str>],
    ) -> Result<(), IoError> {
        self.column(name, description, &[], |hdf5, attributes| {
            hdf5.texts(&[texts.len()], texts, attributes)
        })?;
        Ok(())
    }

    /// A column of references to other objects.
    pub fn references(
        &mut self,
        name: &str,
        description: &str,
        objects: &[ObjectAddress],
    ) -> Result<(), IoError> {
        self.column(name, description, &[], |hdf5, attributes| {
            hdf5.references(objects, attributes)
        })?;
        Ok(())
    }

    /// A column of a table in memory. Unknown texts become empty.
    pub fn named(
        &mut self,
        name: &str,
        description: &str,
        column: &NamedColumn,
    ) -> Result<(), IoError> {
        match &column.values {
            Column::Integer(values) => self.numbers(name, description, values),
            Column::Float32(values) => self.numbers(name, description, values),
            Column::Float64(values) => self.numbers(name, description, values),
            Column::Text(values) => {
                let texts: Vec<&str> = values
                    .iter()
                    .map(|text| text.as_deref().unwrap_or_default())
                    .collect();
                self.texts(name, description, &texts)
            }
        }
    }

    /// A column of lists of rows of another table, which `write` writes one after the other; `ends` says where each ends.
    pub fn regions(
        &mut self,
        name: &str,
        description: &str,
        ends: &[u64],
        table: ObjectAddress,
        write: impl FnOnce(&mut Hdf5Writer, &[Attribute]) -> Result<ObjectAddress, IoError>,
    ) -> Result<(), IoError> {
        self.names.push(name.to_owned());
        let more = region_attributes(description, table);
        let kind = Neurodata::common("DynamicTableRegion");
        let at = self.dataset(name, kind, &more, write)?;
        self.index(name, ends, at)
    }

    /// Makes the rows of the column `name`, which is at `target`, lists: the list of a row ends where `ends` says.
    pub fn index(
        &mut self,
        name: &str,
        ends: &[u64],
        target: ObjectAddress,
    ) -> Result<(), IoError> {
        let more = [
            Attribute::text("description", format!("Index for VectorData '{name}'")),
            Attribute::new("target", AttributeValue::Reference(target)),
        ];
        self.dataset(
            &format!("{name}_index"),
            Neurodata::common("VectorIndex"),
            &more,
            |hdf5, attributes| {
                // numpy makes floats of int64 and uint64 together, and SpikeInterface then fails to slice; of uint32 it does not.
                let short: Result<Vec<u32>, _> = ends.iter().map(|&end| end.try_into()).collect();
                match short {
                    Ok(ends) => hdf5.array(&[ends.len()], &ends, attributes),
                    Err(_) => hdf5.array(&[ends.len()], ends, attributes),
                }
            },
        )?;
        Ok(())
    }

    /// Whether a column of that name is there, or would be taken for a part of one.
    pub fn has(&self, name: &str) -> bool {
        let is_index = |found: &String| name.strip_prefix(found.as_str()) == Some("_index");
        name == "id"
            || self
                .names
                .iter()
                .any(|found| found == name || is_index(found))
    }

    /// Writes the table itself.
    pub fn finish(self, kind: Neurodata, description: &str) -> Result<ObjectAddress, IoError> {
        let mut attributes = self.nwb.typed(&self.path, kind);
        attributes.push(Attribute::text("description", description));
        attributes.push(Attribute::new(
            "colnames",
            AttributeValue::Texts(self.names),
        ));
        self.nwb.close(&self.path, &attributes)
    }
}

/// What a list of rows of a table has beside its type.
pub(crate) fn region_attributes(description: &str, table: ObjectAddress) -> Vec<Attribute> {
    vec![
        Attribute::text("description", description),
        Attribute::new("table", AttributeValue::Reference(table)),
    ]
}
