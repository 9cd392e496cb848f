//! Which of several streams is meant: what acquisition systems record side by side (AP and LFP bands, several probes).

use std::path::Path;

use crate::error::IoError;

/// The index of the stream to read. `names` has all of them, `usual` those that one would want without being asked.
///
/// `wanted` is a name, or a part of one that no other stream has, in any case.
///
/// # Errors
/// When `wanted` fits none or several, or nothing was wanted and several are usual.
pub(crate) fn choose(
    path: &Path,
    names: &[String],
    usual: &[usize],
    wanted: Option<&str>,
) -> Result<usize, IoError> {
    let several = |indices: &[usize]| IoError::SeveralStreams {
        path: path.to_owned(),
        streams: indices.iter().map(|&index| names[index].clone()).collect(),
    };
    let Some(wanted) = wanted else {
        return match *usual {
            [only] => Ok(only),
            [] if names.len() == 1 => Ok(0),
            [] => Err(several(&(0..names.len()).collect::<Vec<_>>())),
            _ => Err(several(usual)),
        };
    };
    if let Some(index) = names.iter().position(|name| name == wanted) {
        return Ok(index);
    }
    let wanted_lower = wanted.to_lowercase();
    let fitting: Vec<usize> = (0..names.len())
        .filter(|&index| names[index].to_lowercase().contains(&wanted_lower))
        .collect();
    match fitting[..] {
        [only] if !wanted.is_empty() => Ok(only),
        [_, _, ..] if !wanted.is_empty() => Err(several(&fitting)),
        _ => Err(IoError::NoSuchStream {
            path: path.to_owned(),
            stream: wanted.to_owned(),
            streams: names.to_vec(),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_name_is_enough_when_only_one_stream_has_it() {
        let names = ["A.ProbeA-AP", "A.ProbeA-LFP", "B.ProbeB-AP"].map(str::to_owned);
        let choose = |usual: &[usize], wanted| choose(Path::new("x"), &names, usual, wanted);
        assert_eq!(choose(&[], Some("A.ProbeA-LFP")).unwrap(), 1);
        assert_eq!(choose(&[], Some("probea-ap")).unwrap(), 0);
        assert_eq!(choose(&[2], None).unwrap(), 2);
        let error = choose(&[], Some("ProbeA")).unwrap_err();
        assert!(error.to_string().contains("`A.ProbeA-LFP`"), "{error}");
        assert!(!error.to_string().contains("ProbeB"), "{error}");
        for wanted in ["", "C"] {
            assert!(matches!(
                choose(&[], Some(wanted)),
                Err(IoError::NoSuchStream { .. })
            ));
        }
        let error = choose(&[0, 2], None).unwrap_err();
        assert!(error.hint().unwrap().contains("--stream"));
    }
}
