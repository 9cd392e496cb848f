//! Paths in checkpoints as the system's own bytes, for `#[serde(with)]`: they need not be Unicode.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Writes a path.
///
/// # Errors
/// Those of the serializer.
#[cfg(unix)]
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().serialize(serializer)
}

/// Reads a path.
///
/// # Errors
/// Those of the deserializer.
#[cfg(unix)]
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    use std::{ffi::OsString, os::unix::ffi::OsStringExt};
    Vec::<u8>::deserialize(deserializer).map(|bytes| OsString::from_vec(bytes).into())
}

/// Writes a path; one that is no Unicode is an error here.
///
/// # Errors
/// Those of the serializer.
#[cfg(not(unix))]
pub fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    path.serialize(serializer)
}

/// Reads a path.
///
/// # Errors
/// Those of the deserializer.
#[cfg(not(unix))]
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
    PathBuf::deserialize(deserializer)
}
