//! phy's `params.py`: bare `name = value` lines.
//!
//! phy runs it as Python; DataJoint's reader splits each line at `=` into two parts, so there is no blank line, no comment and
//! exactly one `=` a line. An `=` inside a path is therefore written as the escape `\x3d`.

use crate::recording::RawLayout;

/// The text of `params.py`. Without a flat raw file `dat_path` is empty, which phy takes as "no raw data".
pub(super) fn params_py(
    raw: Option<&RawLayout>,
    sampling_frequency_hz: f64,
    n_channels: usize,
) -> String {
    let (path, offset, n_channels, dtype) = match raw {
        Some(raw) => (
            python_string(&raw.path.to_string_lossy()),
            raw.offset_bytes,
            raw.n_channels,
            raw.dtype.as_str(),
        ),
        None => ("''".to_owned(), 0, n_channels, "int16"),
    };
    // `{:?}` writes 30000.0 with its point, which Python reads as a float.
    format!(
        "dat_path = {path}\nn_channels_dat = {n_channels}\ndtype = '{dtype}'\noffset = {offset}\nsample_rate = {sampling_frequency_hz:?}\nhp_filtered = False\n"
    )
}

/// A Python text literal without `=`, quotes or line breaks inside.
fn python_string(text: &str) -> String {
    let mut literal = String::from("'");
    for character in text.chars() {
        match character {
            '\\' => literal.push_str("\\\\"),
            '\'' => literal.push_str("\\x27"),
            '=' => literal.push_str("\\x3d"),
            '\n' => literal.push_str("\\n"),
            '\r' => literal.push_str("\\r"),
            other => literal.push(other),
        }
    }
    literal.push('\'');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_has_one_equals_sign_and_none_is_blank() {
        let raw = RawLayout {
            path: "C:\\data\\a=b 'c'\\raw.bin".into(),
            offset_bytes: 16,
            n_channels: 385,
            dtype: "int16".to_owned(),
            columns: vec![],
        };
        for raw in [Some(&raw), None] {
            let text = params_py(raw, 30000.0, 384);
            assert!(
                text.lines().all(|line| line.matches('=').count() == 1),
                "{text}"
            );
            assert!(text.ends_with("= False\n"));
        }
        assert!(
            params_py(Some(&raw), 30000.0, 384)
                .starts_with("dat_path = 'C:\\\\data\\\\a\\x3db \\x27c\\x27\\\\raw.bin'\n")
        );
    }
}
