//! What can go wrong with a file, as one enum.
//!
//! Each variant says what and where (path, byte, line or key); [`IoError::hint`] says what to do. [`IoError::kind`] is all that
//! the command needs to choose an exit code: input (3) or output, lock, disk full (4).

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};

/// The family of an [`IoError`], for exit codes.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum IoErrorKind {
    /// An input is missing, unreadable, truncated or not supported.
    Input,
    /// What was asked for is not in the input.
    Usage,
    /// An output cannot be written, or exists already.
    Output,
    /// The disk of an output is full.
    DiskFull,
    /// Another process holds the folder.
    Locked,
}

/// Anything that reading or writing files can fail with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IoError {
    /// There is nothing at this path.
    #[error("`{}` does not exist", shown(path))]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The operating system refused to open or read an input.
    #[error("cannot read `{}`: {source}", shown(path))]
    Read {
        /// The input.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to create, write or rename an output.
    #[error("cannot write `{}`: {source}", shown(path))]
    Write {
        /// The output.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// An input is no longer what it was when it was opened.
    #[error("`{}` was changed while it was read", shown(path))]
    Changed {
        /// The input.
        path: PathBuf,
    },
    /// The file ends before the samples or header that it promises.
    #[error(
        "`{}` is truncated: it should have {expected_bytes} bytes and has {found_bytes}",
        shown(path)
    )]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Bytes that a header or the layout asks for.
        expected_bytes: u64,
        /// Bytes there are.
        found_bytes: u64,
    },
    /// The samples do not fill whole frames.
    #[error(
        "`{}` has {data_bytes} bytes of samples, which is not a multiple of {frame_bytes} ({n_channels} channels × {sample_bytes} bytes)",
        shown(path)
    )]
    NotWholeFrames {
        /// The file.
        path: PathBuf,
        /// Bytes of samples, after any header.
        data_bytes: u64,
        /// Bytes of one frame.
        frame_bytes: u64,
        /// Channels in the file.
        n_channels: usize,
        /// Bytes of one sample.
        sample_bytes: usize,
    },
    /// The sample type is not one that is read.
    #[error(
        "`{}` has samples of type `{}`, which is not supported",
        shown(path),
        plain(dtype)
    )]
    UnknownDtype {
        /// The file that names the type.
        path: PathBuf,
        /// The name that was given.
        dtype: String,
    },
    /// The data are packed by a codec that is not read.
    #[error("`{}` is packed by `{}`, which is not read", shown(path), plain(codec))]
    UnknownCodec {
        /// The file that names the codec.
        path: PathBuf,
        /// Its name.
        codec: String,
    },
    /// A key that is needed is absent.
    #[error("`{}` has no `{}`", shown(path), plain(key))]
    MissingKey {
        /// The header or JSON file.
        path: PathBuf,
        /// The absent key.
        key: String,
    },
    /// A key is there but its value makes no sense.
    #[error(
        "`{}`: `{}` is `{}`, expected {}",
        shown(path),
        plain(key),
        plain(value),
        plain(expected)
    )]
    BadValue {
        /// The header or JSON file.
        path: PathBuf,
        /// The key.
        key: String,
        /// Its value, shortened.
        value: String,
        /// What would be right.
        expected: String,
    },
    /// A header or table cannot be parsed.
    #[error("`{}`, {}: {}", shown(path), plain(place), plain(what))]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Byte, line or key.
        place: String,
        /// What is wrong there.
        what: String,
    },
    /// Something that a format allows and somata does not read.
    #[error("`{}`: {what}", shown(path))]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What is not read.
        what: String,
        /// What the user can do.
        hint: String,
    },
    /// The probe does not fit the recording's channels.
    #[error(
        "the probe in `{}` does not fit the recording: {}",
        shown(path),
        plain(what)
    )]
    ProbeMismatch {
        /// The file that holds the probe.
        path: PathBuf,
        /// In which way.
        what: String,
    },
    /// The probe itself makes no sense.
    #[error("the probe in `{}` is not usable: {}", shown(path), plain(what))]
    ProbeGeometry {
        /// The file that holds the probe.
        path: PathBuf,
        /// In which way.
        what: String,
    },
    /// No reader knows this path.
    #[error(
        "`{}` is not a recording that somata knows: {}",
        shown(path),
        plain(seen)
    )]
    Unrecognised {
        /// The path.
        path: PathBuf,
        /// What was looked at and seen.
        seen: String,
    },
    /// Several recordings are possible at this path.
    #[error("`{}` holds more than one recording: {}", shown(path), candidates.join(", "))]
    Ambiguous {
        /// The folder.
        path: PathBuf,
        /// Their names.
        candidates: Vec<String>,
    },
    /// Several streams are possible.
    #[error("`{}` holds more than one stream: {}", shown(path), quoted(streams))]
    SeveralStreams {
        /// The recording.
        path: PathBuf,
        /// Their names.
        streams: Vec<String>,
    },
    /// The stream that was asked for is not there.
    #[error(
        "`{}` has no stream `{stream}`, it has {}",
        shown(path),
        quoted(streams)
    )]
    NoSuchStream {
        /// The recording.
        path: PathBuf,
        /// What was asked for.
        stream: String,
        /// Names of those that are there.
        streams: Vec<String>,
    },
    /// Recordings cannot be read as one.
    #[error("`{}` cannot follow the first recording: {what}", shown(path))]
    DoesNotJoin {
        /// The one that does not fit.
        path: PathBuf,
        /// In which way.
        what: String,
    },
    /// A time or channel was asked for that the recording lacks.
    #[error("{what}")]
    BadSelection {
        /// Which.
        what: String,
        /// What there is.
        hint: String,
    },
    /// A stream was asked for where there are none to choose from.
    #[error(
        "`--stream {stream}` was given, but `{}` has one stream only",
        shown(path)
    )]
    NoStreams {
        /// The recording.
        path: PathBuf,
        /// What was asked for.
        stream: String,
    },
    /// A fact that the file cannot tell was not given.
    #[error("`{}` is a bare binary file: {} must be given", shown(path), missing.join(", "))]
    NeedOptions {
        /// The file.
        path: PathBuf,
        /// The options, as the user types them.
        missing: Vec<String>,
    },
    /// Samples beyond the end were asked for.
    #[error("samples {start_sample} to {end_sample} were asked for, the recording has {n_samples}")]
    OutOfRange {
        /// First sample asked for.
        start_sample: u64,
        /// One past the last sample asked for.
        end_sample: u64,
        /// Samples in the recording.
        n_samples: u64,
    },
    /// No reader knows this movie.
    #[error("`{}` is not a movie that somata knows: {}", shown(path), plain(seen))]
    NotAMovie {
        /// The path.
        path: PathBuf,
        /// What was looked at and seen.
        seen: String,
    },
    /// No reader knows this still image.
    #[error("`{}` is not an image that somata knows: {}", shown(path), plain(seen))]
    NotAnImage {
        /// The path.
        path: PathBuf,
        /// What was looked at and seen.
        seen: String,
    },
    /// A movie or image that makes no sense as a whole.
    #[error("`{}`: {}", shown(path), plain(what))]
    BadImage {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
        /// What the user can do.
        hint: String,
    },
    /// A page of a movie or image that cannot be used.
    #[error("`{}`, page {page}: {}", shown(path), plain(what))]
    BadPage {
        /// The file.
        path: PathBuf,
        /// The page, counted from 1.
        page: u64,
        /// What is wrong with it.
        what: String,
        /// What the user can do.
        hint: String,
    },
    /// Frames beyond the end of a movie were asked for.
    #[error("frames {start_frame} to {end_frame} were asked for, the movie has {n_frames}")]
    FramesOutOfRange {
        /// First frame asked for.
        start_frame: u64,
        /// One past the last frame asked for.
        end_frame: u64,
        /// Frames in the movie.
        n_frames: u64,
    },
    /// A plane or channel was asked for that the movie lacks.
    #[error(
        "plane {plane} and channel {channel} were asked for, the movie has {n_planes} planes and {n_channels} channels"
    )]
    NoSuchPlane {
        /// The plane asked for, from 0.
        plane: usize,
        /// The channel asked for, from 0.
        channel: usize,
        /// Planes in the movie.
        n_planes: usize,
        /// Channels in the movie.
        n_channels: usize,
    },
    /// A buffer given to a reader does not hold whole frames.
    #[error("a buffer of {buffer_bytes} bytes does not hold whole frames of {frame_bytes} bytes")]
    BufferNotWholeFrames {
        /// Bytes of the buffer.
        buffer_bytes: usize,
        /// Bytes of one frame.
        frame_bytes: usize,
    },
    /// Arrays given to a writer do not fit each other.
    #[error("cannot write `{}`: {what}", shown(path))]
    BadTables {
        /// The output.
        path: PathBuf,
        /// Which arrays, and their lengths.
        what: String,
    },
    /// An output is larger than its format can hold.
    #[error("cannot write `{}`: {what}", shown(path))]
    DoesNotFit {
        /// The output.
        path: PathBuf,
        /// What is too large, and what the format holds.
        what: String,
        /// What the user can do.
        hint: String,
    },
    /// A file of network weights is damaged, or is not for this network.
    #[error(
        "`{}` does not hold the weights that are needed: {}",
        shown(path),
        plain(what)
    )]
    BadWeights {
        /// The file, or the name of the embedded weights.
        path: PathBuf,
        /// Which tensor, and what is wrong with it.
        what: String,
    },
    /// The output is there already and replacing it was not asked for.
    #[error("`{}` exists already", shown(path))]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// Another process works in the folder.
    #[error("`{}` is in use by {holder}", shown(path))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as the lock file says.
        holder: String,
    },
}

impl IoError {
    /// Which family this belongs to.
    pub fn kind(&self) -> IoErrorKind {
        match self {
            IoError::Write { source, .. } if is_disk_full(source) => IoErrorKind::DiskFull,
            IoError::Write { .. } | IoError::Exists { .. } | IoError::BadTables { .. } => {
                IoErrorKind::Output
            }
            IoError::DoesNotFit { .. } => IoErrorKind::Output,
            IoError::Locked { .. } => IoErrorKind::Locked,
            IoError::BadSelection { .. } => IoErrorKind::Usage,
            _ => IoErrorKind::Input,
        }
    }

    /// What the user can do, as one or two sentences.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            IoError::Missing { .. } => "check the path".to_owned(),
            IoError::Read { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "check the permissions of the file".to_owned()
            }
            IoError::Read { .. } => "the file may be on a disk or network mount that was lost".to_owned(),
            IoError::Write { source, .. } if source.kind() == io::ErrorKind::FileTooLarge => {
                "no file may be that large here: raise the limit (`ulimit -f`), or write to a file system without it".to_owned()
            }
            IoError::Write { source, .. } if is_disk_full(source) => {
                "the disk or quota is full: free some space or write to another folder".to_owned()
            }
            IoError::Write { .. } => "check that the folder exists and can be written".to_owned(),
            IoError::Changed { .. } => "give the same command again when nothing writes to it any more".to_owned(),
            IoError::Truncated { .. } => "the copy may be incomplete: copy the file again".to_owned(),
            IoError::NotWholeFrames { .. } => {
                "the file may be truncated, or the number of channels, the sample type or the header's length may be wrong"
                    .to_owned()
            }
            IoError::UnknownDtype { .. } => {
                format!("the supported types are {}", crate::recording::SUPPORTED_DTYPES.join(", "))
            }
            IoError::UnknownCodec { .. } => {
                "save it again with Blosc, Zstandard, LZ4, zlib or gzip, or without compression".to_owned()
            }
            IoError::MissingKey { path, .. } | IoError::BadValue { path, .. } | IoError::Malformed { path, .. } => {
                format!("`{}` may be damaged, or written by a version that is not known yet", name_of(path))
            }
            IoError::ProbeMismatch { .. } => {
                "give the probe of this recording with `--probe`, or leave out channels without a contact with `--channels wired`".to_owned()
            }
            IoError::ProbeGeometry { .. } => {
                "correct the probe file, or give another one with `--probe`; `-1` in `device_channel_indices` marks a contact \
                 without a channel"
                    .to_owned()
            }
            IoError::Unrecognised { .. } => {
                "give a folder with `recording.bin` and `recording.json`, a folder or Zarr store saved by SpikeInterface, a SpikeGLX \
                 `.bin` or `.cbin`, an Open Ephys folder, an Intan `.rhd` or `.rhs`, a Blackrock `.ns1` to `.ns6`, NWB in HDF5 or Zarr, or a bare binary file with `--sampling-frequency`, `--n-channels` and \
                 `--dtype`"
                    .to_owned()
            }
            IoError::Ambiguous { .. } => "give the path of one of them".to_owned(),
            IoError::SeveralStreams { .. } | IoError::NoSuchStream { .. } => {
                "choose one with `--stream NAME`; a part of the name that no other has is enough".to_owned()
            }
            IoError::DoesNotJoin { .. } => {
                "give recordings of the same channels, in the order of time, or sort each by itself".to_owned()
            }
            IoError::NoStreams { .. } => "leave out `--stream`".to_owned(),
            IoError::NeedOptions { missing, .. } => format!("add {}", missing.join(" ")),
            IoError::BadWeights { .. } => {
                "give a `.safetensors` file that `training/convert.py` made; it converts Cellpose 2 and 3 checkpoints".to_owned()
            }
            IoError::Exists { .. } => "choose another folder, or replace it with `--force`".to_owned(),
            IoError::Locked { .. } => "wait until the other run has ended, or choose another folder".to_owned(),
            IoError::NotAMovie { .. } => {
                "give TIFF files in the order of time, a folder of them, a Zarr store, or a bare binary file with `--height` and `--width`".to_owned()
            }
            IoError::NotAnImage { .. } => "give a TIFF, PNG or JPEG file".to_owned(),
            IoError::BadImage { hint, .. } | IoError::BadPage { hint, .. } | IoError::BadSelection { hint, .. } => hint.clone(),
            IoError::DoesNotFit { hint, .. } | IoError::Unsupported { hint, .. } => hint.clone(),
            IoError::FramesOutOfRange { .. } | IoError::NoSuchPlane { .. } => return None,
            IoError::OutOfRange { .. } | IoError::BufferNotWholeFrames { .. } | IoError::BadTables { .. } => return None,
        };
        Some(text)
    }

    /// A failed read of `path`; an absent file becomes [`IoError::Missing`].
    pub(crate) fn read(path: &Path, source: io::Error) -> IoError {
        if source.kind() == io::ErrorKind::NotFound {
            IoError::Missing {
                path: path.to_owned(),
            }
        } else {
            IoError::Read {
                path: path.to_owned(),
                source,
            }
        }
    }

    /// A failed write of `path`.
    pub(crate) fn write(path: &Path, source: io::Error) -> IoError {
        IoError::Write {
            path: path.to_owned(),
            source,
        }
    }

    /// A value that makes no sense; a long value is cut.
    pub(crate) fn bad_value(
        path: &Path,
        key: &str,
        value: impl std::fmt::Display,
        expected: &str,
    ) -> IoError {
        let mut value = value.to_string();
        if value.chars().count() > 60 {
            value = value.chars().take(57).chain("...".chars()).collect();
        }
        IoError::BadValue {
            path: path.to_owned(),
            key: key.to_owned(),
            value,
            expected: expected.to_owned(),
        }
    }

    /// A parse failure.
    pub(crate) fn malformed(
        path: &Path,
        place: impl Into<String>,
        what: impl Into<String>,
    ) -> IoError {
        IoError::Malformed {
            path: path.to_owned(),
            place: place.into(),
            what: what.into(),
        }
    }

    /// An absent key.
    pub(crate) fn missing_key(path: &Path, key: &str) -> IoError {
        IoError::MissingKey {
            path: path.to_owned(),
            key: key.to_owned(),
        }
    }
}

/// Letters of a text that an input puts into a message at most.
const LONGEST_TEXT: usize = 400;

/// A text that may come from an input, as a message shows it: cut when it is long, and without control characters, since a file
/// must not write to the reader's terminal.
fn plain(text: &str) -> Cow<'_, str> {
    let is_short = text.chars().nth(LONGEST_TEXT).is_none();
    if is_short && !text.contains(char::is_control) {
        return Cow::Borrowed(text);
    }
    let mut letters: Vec<char> = text.chars().take(LONGEST_TEXT + 1).collect();
    if letters.len() > LONGEST_TEXT {
        letters.truncate(LONGEST_TEXT - 1);
        letters.push('…');
    }
    Cow::Owned(letters.into_iter().map(visible).collect())
}

/// Letters of a path in a message at most.
const LONGEST_PATH: usize = 600;

/// A path as a message shows it: without control characters, and without its middle when it is long. Its last parts may come from an
/// input, which can name files without end.
fn shown(path: &Path) -> String {
    let text = path.to_string_lossy();
    let n_letters = text.chars().count();
    if n_letters <= LONGEST_PATH {
        return text.chars().map(visible).collect();
    }
    let half = LONGEST_PATH / 2;
    let begin = text.chars().take(half);
    let end = text.chars().skip(n_letters - (half - 1));
    begin.chain(['…']).chain(end).map(visible).collect()
}

/// A letter, or what stands for a control character.
fn visible(letter: char) -> char {
    if letter.is_control() {
        '\u{fffd}'
    } else {
        letter
    }
}

/// The last part of a path, for messages.
pub(crate) fn name_of(path: &Path) -> String {
    path.file_name()
        .unwrap_or(path.as_os_str())
        .to_string_lossy()
        .into_owned()
}

/// Names in backticks, for messages; the first dozen where there are many.
fn quoted(names: &[String]) -> String {
    let mut shown: Vec<String> = names
        .iter()
        .take(12)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > shown.len() {
        shown.push(format!("and {} more", names.len() - shown.len()));
    }
    shown.join(", ")
}

/// Whether the operating system says that the disk, the quota or the size that a file may have is used up.
fn is_disk_full(source: &io::Error) -> bool {
    matches!(
        source.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_apart_from_other_write_errors() {
        // 28 is ENOSPC on Linux and macOS.
        #[cfg(unix)]
        {
            let full = IoError::write(Path::new("out"), io::Error::from_raw_os_error(28));
            assert_eq!(full.kind(), IoErrorKind::DiskFull);
            assert!(full.hint().unwrap().contains("full"));
        }
        let denied = IoError::write(
            Path::new("out"),
            io::Error::from(io::ErrorKind::PermissionDenied),
        );
        assert_eq!(denied.kind(), IoErrorKind::Output);
    }

    #[test]
    fn a_text_of_a_file_cannot_write_to_the_terminal_or_go_on_for_ever() {
        let error = IoError::malformed(Path::new("a"), "member \u{1b}[31m", "é\n".repeat(10_000));
        let text = error.to_string();
        assert!(!text.contains(char::is_control), "{text}");
        assert!(text.chars().count() < 450, "{text}");
        assert_eq!(plain("a µ"), "a µ");
        assert_eq!(plain(&"é".repeat(LONGEST_TEXT)), "é".repeat(LONGEST_TEXT));
    }

    #[test]
    fn a_path_without_end_loses_its_middle_in_a_message() {
        let short = Path::new("/data/day 1/µ.bin");
        assert_eq!(shown(short), short.to_str().unwrap());
        let whole = "é".repeat(LONGEST_PATH);
        assert_eq!(shown(Path::new(&whole)), whole);
        let long = Path::new("/data").join("a\n/".repeat(10_000)).join("b.bin");
        let text = IoError::read(&long, io::Error::other("no")).to_string();
        assert!(
            text.contains("`/data/a") && text.contains("/b.bin`"),
            "{text}"
        );
        assert!(text.chars().count() < LONGEST_PATH + 30, "{text}");
        assert!(!text.contains(char::is_control), "{text}");
    }

    #[test]
    fn a_long_value_is_cut_in_the_message() {
        let error = IoError::bad_value(Path::new("a.meta"), "k", "x".repeat(1000), "a number");
        assert!(error.to_string().len() < 200);
    }
}
