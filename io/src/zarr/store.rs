//! The folder of a store, and the groups and arrays in it.

use std::path::{Component, Path, PathBuf};

use serde_json::{Map, Value};

use crate::error::IoError;
use crate::recording::flat::read_small;

/// Whether a folder is a group or an array of Zarr.
pub(crate) fn is_store(folder: &Path) -> bool {
    ["zarr.json", ".zgroup", ".zarray"]
        .iter()
        .any(|name| folder.join(name).is_file())
}

/// What a folder of a store is.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(crate) enum NodeKind {
    Group,
    Array,
}

/// A group or an array, with its attributes.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub kind: NodeKind,
    pub folder: PathBuf,
    /// 2 or 3.
    pub version: u8,
    /// The file that describes it, for messages.
    pub json_path: PathBuf,
    /// Its description: `.zgroup`, `.zarray` or `zarr.json`.
    pub json: Value,
    pub attributes: Map<String, Value>,
}

impl Node {
    /// The group or array in `folder`.
    ///
    /// # Errors
    /// When there is none, or its description is damaged or of another version.
    pub fn open(folder: &Path) -> Result<Node, IoError> {
        let v3 = folder.join("zarr.json");
        if v3.is_file() {
            return Self::open_v3(folder, v3);
        }
        let (kind, json_path) = if folder.join(".zarray").is_file() {
            (NodeKind::Array, folder.join(".zarray"))
        } else {
            (NodeKind::Group, folder.join(".zgroup"))
        };
        let json = read_python_json(&json_path)?;
        check_version(&json_path, &json, 2)?;
        let attributes_path = folder.join(".zattrs");
        let attributes = if attributes_path.is_file() {
            object(
                &attributes_path,
                "the file",
                read_python_json(&attributes_path)?,
            )?
        } else {
            Map::new()
        };
        Ok(Node {
            kind,
            folder: folder.to_owned(),
            version: 2,
            json_path,
            json,
            attributes,
        })
    }

    fn open_v3(folder: &Path, json_path: PathBuf) -> Result<Node, IoError> {
        let mut json = read_python_json(&json_path)?;
        check_version(&json_path, &json, 3)?;
        let kind = match json.get("node_type").and_then(Value::as_str) {
            Some("group") => NodeKind::Group,
            Some("array") => NodeKind::Array,
            _ => {
                let value = json.get("node_type").unwrap_or(&Value::Null);
                let expected = "`group` or `array`";
                return Err(IoError::bad_value(&json_path, "node_type", value, expected));
            }
        };
        let attributes = match json.get_mut("attributes").map(Value::take) {
            None | Some(Value::Null) => Map::new(),
            Some(attributes) => object(&json_path, "attributes", attributes)?,
        };
        Ok(Node {
            kind,
            folder: folder.to_owned(),
            version: 3,
            json_path,
            json,
            attributes,
        })
    }

    /// The group or array at a path below this one; `None` when there is none. A path that leads out of this group is an error.
    pub fn child(&self, path: &str) -> Result<Option<Node>, IoError> {
        let folder = join_inside(&self.folder, path).ok_or_else(|| {
            IoError::bad_value(
                &self.json_path,
                "a path",
                path,
                "a path inside of the store",
            )
        })?;
        is_store(&folder).then(|| Node::open(&folder)).transpose()
    }

    /// Names of the folders in this group that are groups or arrays, sorted.
    pub fn child_names(&self) -> Result<Vec<String>, IoError> {
        let failed = |source| IoError::read(&self.folder, source);
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if let Some(name) = path.file_name().and_then(|name| name.to_str())
                && is_store(&path)
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// The file that holds the attributes, for messages.
    pub fn attributes_path(&self) -> PathBuf {
        if self.version == 2 {
            self.folder.join(".zattrs")
        } else {
            self.json_path.clone()
        }
    }
}

/// `folder` and a path below it with `/` between its parts; `None` when the path would leave the folder.
pub(crate) fn join_inside(folder: &Path, path: &str) -> Option<PathBuf> {
    let path = Path::new(path.trim_matches('/'));
    let stays = path
        .components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
    stays.then(|| folder.join(path))
}

/// An object, or an error that says what is none.
fn object(path: &Path, key: &str, value: Value) -> Result<Map<String, Value>, IoError> {
    match value {
        Value::Object(map) => Ok(map),
        other => Err(IoError::bad_value(path, key, other, "a JSON object")),
    }
}

/// The format's version, which must be this one.
fn check_version(path: &Path, json: &Value, version: u64) -> Result<(), IoError> {
    match json.get("zarr_format") {
        Some(value) if value.as_u64() == Some(version) => Ok(()),
        Some(value) => {
            let expected = format!("{version}; versions 2 and 3 are read");
            Err(IoError::bad_value(path, "zarr_format", value, &expected))
        }
        None => Err(IoError::missing_key(path, "zarr_format")),
    }
}

/// Reads JSON as Python writes it: `NaN`, `Infinity` and `-Infinity`, which JSON lacks, become null.
pub(crate) fn read_python_json(path: &Path) -> Result<Value, IoError> {
    let bytes = read_small(path)?;
    let error = match serde_json::from_slice(&bytes) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    serde_json::from_slice(&without_nan(&bytes)).map_err(|_| {
        IoError::malformed(
            path,
            format!("line {}", error.line()),
            format!("not valid JSON: {error}"),
        )
    })
}

/// Replaces the numbers that JSON lacks by null, outside of texts.
fn without_nan(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    let (mut in_text, mut rest) = (false, bytes);
    while let Some((&byte, after)) = rest.split_first() {
        let words = [&b"NaN"[..], b"Infinity", b"-Infinity"];
        let word = words.iter().find(|word| !in_text && rest.starts_with(word));
        if let Some(word) = word {
            plain.extend(b"null");
            rest = &rest[word.len()..];
            continue;
        }
        plain.push(byte);
        rest = after;
        match byte {
            b'"' => in_text = !in_text,
            b'\\' if in_text => {
                plain.extend(after.first());
                rest = after.get(1..).unwrap_or_default();
            }
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_json_lacks_become_null_outside_of_texts() {
        let text = r#"{"a": NaN, "b \" NaN": [-Infinity, Infinity, "NaN\\"], "c": -1}"#;
        let json: Value = serde_json::from_slice(&without_nan(text.as_bytes())).unwrap();
        let expected = serde_json::json!({"a": null, "b \" NaN": [null, null, "NaN\\"], "c": -1});
        assert_eq!(json, expected);
        assert_eq!(without_nan(b"\"\\"), b"\"\\");
    }

    #[test]
    fn paths_stay_inside_of_the_store() {
        let folder = Path::new("store");
        for path in ["a/b", "/a/b/", "a/./b"] {
            assert_eq!(
                join_inside(folder, path),
                Some(folder.join("a/b")),
                "{path}"
            );
        }
        for path in ["..", "a/../..", "../a", "a/.."] {
            assert_eq!(join_inside(folder, path), None, "{path}");
        }
    }
}
