//! The text of a `.meta` file: one `key=value` a line, tables in parentheses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::IoError;
use crate::recording::flat::read_small;

/// More channels than any probe has; a header that says more is damaged.
pub const MAX_CHANNELS: usize = 1 << 16;

/// Keys and values; the `~` before the name of a table is dropped.
#[derive(Clone, PartialEq, Debug)]
pub struct Meta {
    path: PathBuf,
    values: BTreeMap<String, String>,
}

impl Meta {
    /// Reads a `.meta` file.
    ///
    /// # Errors
    /// When it cannot be read or has no `key=value` line.
    pub fn read(path: &Path) -> Result<Meta, IoError> {
        let bytes = read_small(path)?;
        Meta::parse(path, &bytes)
    }

    /// Parses the bytes of a `.meta` file; `path` is for messages.
    ///
    /// # Errors
    /// When there is no `key=value` line.
    pub fn parse(path: &Path, bytes: &[u8]) -> Result<Meta, IoError> {
        // Paths of Windows machines in these files are not always UTF-8; no key that is used here depends on them.
        let text = String::from_utf8_lossy(bytes);
        let values: BTreeMap<String, String> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| {
                (
                    key.trim().trim_start_matches('~').to_owned(),
                    value.trim().to_owned(),
                )
            })
            .collect();
        if values.is_empty() {
            return Err(IoError::malformed(
                path,
                "whole file",
                "there is no `key=value` line",
            ));
        }
        Ok(Meta {
            path: path.to_owned(),
            values,
        })
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A value, if the key is there.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str)
    }

    /// A value that must be there.
    ///
    /// # Errors
    /// When the key is absent.
    pub fn text(&self, key: &str) -> Result<&str, IoError> {
        self.get(key)
            .ok_or_else(|| IoError::missing_key(&self.path, key))
    }

    /// A number that must be there.
    ///
    /// # Errors
    /// When the key is absent or its value is not a finite number.
    pub fn number(&self, key: &str) -> Result<f64, IoError> {
        let number: Option<f64> = self.text(key)?.parse().ok();
        number
            .filter(|number| number.is_finite())
            .ok_or_else(|| self.bad(key, "a number"))
    }

    /// A number that may be absent.
    ///
    /// # Errors
    /// When the key is there and its value is not a finite number.
    pub fn optional_number(&self, key: &str) -> Result<Option<f64>, IoError> {
        self.get(key).map(|_| self.number(key)).transpose()
    }

    /// A whole number that must be there.
    ///
    /// # Errors
    /// When the key is absent or its value is not a whole number.
    pub fn whole_number(&self, key: &str) -> Result<u64, IoError> {
        self.text(key)?
            .parse()
            .map_err(|_| self.bad(key, "a whole number"))
    }

    /// A whole number that may be absent or empty.
    ///
    /// # Errors
    /// When its value is something else.
    pub fn optional_whole_number(&self, key: &str) -> Result<Option<u64>, IoError> {
        match self.get(key) {
            None | Some("") => Ok(None),
            Some(_) => self.whole_number(key).map(Some),
        }
    }

    /// Numbers of channels, separated by commas.
    ///
    /// # Errors
    /// When the key is absent or a part is not a whole number of channels.
    pub fn counts(&self, key: &str) -> Result<Vec<usize>, IoError> {
        let counts: Option<Vec<usize>> = self
            .text(key)?
            .split(',')
            .map(|part| {
                part.trim()
                    .parse()
                    .ok()
                    .filter(|&count| count <= MAX_CHANNELS)
            })
            .collect();
        counts.ok_or_else(|| self.bad(key, "numbers of channels, separated by commas"))
    }

    /// The acquired index of each saved channel.
    ///
    /// # Errors
    /// When `snsSaveChanSubset` is absent, is no list of ranges, or does not list `n_saved` channels.
    pub fn saved_channels(&self, n_saved: usize) -> Result<Vec<usize>, IoError> {
        let key = "snsSaveChanSubset";
        let wrong = || {
            self.bad(
                key,
                &format!("`all` or ranges of {n_saved} channels, as `0:383,768`"),
            )
        };
        let text = self.text(key)?;
        if text.eq_ignore_ascii_case("all") {
            return Ok((0..n_saved).collect());
        }
        let mut channels = Vec::new();
        for part in text.split(',') {
            let (first, last) = part.split_once(':').unwrap_or((part, part));
            let (first, last): (usize, usize) = match (first.trim().parse(), last.trim().parse()) {
                (Ok(first), Ok(last)) if first <= last && last <= MAX_CHANNELS => (first, last),
                _ => return Err(wrong()),
            };
            channels.extend(first..=last);
            if channels.len() > n_saved {
                return Err(wrong());
            }
        }
        if channels.len() == n_saved {
            Ok(channels)
        } else {
            Err(wrong())
        }
    }

    /// A table `(header)(entry)(entry)…`, each part split at `separators`; `None` when the key is absent.
    ///
    /// # Errors
    /// When the value is not made of closed parentheses.
    pub fn table(&self, key: &str, separators: &[char]) -> Result<Option<Table<'_>>, IoError> {
        let Some(text) = self.get(key) else {
            return Ok(None);
        };
        let wrong = || self.bad(key, "a table of `(…)(…)`");
        let mut entries = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (inside, after) = rest
                .strip_prefix('(')
                .and_then(|rest| rest.split_once(')'))
                .ok_or_else(wrong)?;
            entries.push(inside.split(separators).collect());
            rest = after.trim_start();
        }
        if entries.is_empty() {
            return Err(wrong());
        }
        let header = entries.remove(0);
        Ok(Some(Table { header, entries }))
    }

    /// The error that `key`'s value makes no sense.
    pub fn bad(&self, key: &str, expected: &str) -> IoError {
        IoError::bad_value(&self.path, key, self.get(key).unwrap_or("absent"), expected)
    }
}

/// A table of a `.meta`, still as text.
#[derive(Clone, PartialEq, Debug)]
pub struct Table<'a> {
    /// The first parenthesis.
    pub header: Vec<&'a str>,
    /// The others.
    pub entries: Vec<Vec<&'a str>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(text: &str) -> Meta {
        Meta::parse(Path::new("a.meta"), text.as_bytes()).unwrap()
    }

    #[test]
    fn keys_tables_and_subsets_are_parsed() {
        let meta =
            meta("a=1\r\n~tbl=(x,2)(0:1:2)(3:4:5)\r\nsnsSaveChanSubset=0:2,768\r\nempty=\r\n");
        assert_eq!(meta.whole_number("a").unwrap(), 1);
        let table = meta.table("tbl", &[',', ':']).unwrap().unwrap();
        assert_eq!(table.header, ["x", "2"]);
        assert_eq!(table.entries[1], ["3", "4", "5"]);
        assert_eq!(meta.saved_channels(4).unwrap(), [0, 1, 2, 768]);
        assert!(meta.saved_channels(3).is_err());
        assert_eq!(meta.optional_whole_number("empty").unwrap(), None);
        assert!(matches!(meta.text("b"), Err(IoError::MissingKey { .. })));
    }

    #[test]
    fn a_huge_range_is_refused_before_it_is_listed() {
        let meta = meta("snsSaveChanSubset=0:99999999999\n");
        assert!(meta.saved_channels(385).is_err());
    }
}
