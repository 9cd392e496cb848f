//! What a manifest keeps so that its result can be made again from it alone, and what must then agree.
//!
//! The arguments of a command that say what is read and how are kept as they are typed in the code, with absolute paths; the
//! parameters lie beside them in full. Where the result goes, threads, memory and messages do not belong to it.

use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::{
    exit::{ExitCode, Failure, Outcome},
    run::RunArguments,
};

/// A path as text; bytes that are no Unicode are replaced, since JSON cannot hold them.
pub fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// The command line, for the manifest.
pub fn command_line() -> Vec<String> {
    std::env::args_os()
        .map(|argument| argument.to_string_lossy().into_owned())
        .collect()
}

/// A path that does not depend on the working folder; as it is where that one is not known.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Serialises paths as absolute texts.
pub fn absolute_paths<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    let texts: Vec<String> = paths
        .iter()
        .map(|path| path_text(&absolute(path)))
        .collect();
    texts.serialize(serializer)
}

/// Serialises a path, where there is one, as absolute text.
pub fn absolute_option<S: Serializer>(
    path: &Option<PathBuf>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    path.as_deref()
        .map(|path| path_text(&absolute(path)))
        .serialize(serializer)
}

/// A result that is to be made again, as its manifest describes it.
#[derive(Clone, Debug)]
pub struct Again {
    /// Its manifest.
    pub manifest: PathBuf,
    /// Version that made it.
    pub version: String,
    /// Name of the device that made it.
    pub device: String,
    /// Fingerprint of its input.
    pub fingerprint: String,
    /// Hash of the weights of its network, where it has one.
    pub weights: Option<String>,
}

impl Again {
    /// What a manifest says.
    ///
    /// # Errors
    /// When it lacks one of the fields.
    pub fn of(path: &Path, manifest: &Value) -> Outcome<Self> {
        let field = |name: &str| {
            manifest[name].as_str().map(str::to_owned).ok_or_else(|| {
                Failure::new(
                    ExitCode::Input,
                    format!("`{}` has no `{name}`", path.display()),
                )
                .hint("it may be damaged, or of a version whose results cannot be made again from their manifests")
            })
        };
        Ok(Self {
            manifest: path.to_owned(),
            version: field("somata")?,
            device: field("device")?,
            fingerprint: field("input_fingerprint")?,
            weights: manifest["weights"].as_str().map(str::to_owned),
        })
    }

    /// In what this run is not that of the manifest, though the input is; `device` is the one that is open.
    pub fn differences(&self, device: &str) -> Vec<String> {
        let mut differences = Vec::new();
        let version = env!("CARGO_PKG_VERSION");
        if self.version != version {
            differences.push(format!(
                "`{}` was made by somata {}, this is {version}: the result may differ",
                self.manifest.display(),
                self.version
            ));
        }
        if self.device != device {
            differences.push(format!(
                "`{}` was made on `{}`, this is `{device}`: the results are alike, not the same",
                self.manifest.display(),
                self.device
            ));
        }
        differences
    }
}

impl RunArguments {
    /// Refuses an input that is not the one of the result that is to be made again; does nothing in another run.
    ///
    /// # Errors
    /// When the fingerprints differ.
    pub fn check_input(&self, fingerprint: &str) -> Outcome {
        let Some(again) = &self.again else {
            return Ok(());
        };
        if again.fingerprint == fingerprint {
            return Ok(());
        }
        Err(Failure::new(
            ExitCode::Input,
            format!(
                "the input is not the one of `{}`: its files, or how they are read, have changed",
                again.manifest.display()
            ),
        )
        .hint(if again.version == env!("CARGO_PKG_VERSION") {
            "restore the input; to process it as it is now, use the command itself".to_owned()
        } else {
            format!(
                "restore the input, or use somata {}, which made that result",
                again.version
            )
        }))
    }

    /// As [`RunArguments::check_input`], of the network's weights.
    ///
    /// # Errors
    /// When they are not the same.
    pub fn check_weights(&self, weights: &str) -> Outcome {
        match &self.again {
            Some(again) if again.weights.as_deref().is_some_and(|w| w != weights) => {
                Err(Failure::new(
                    ExitCode::Input,
                    format!(
                        "the network's weights are not those of `{}`",
                        again.manifest.display()
                    ),
                )
                .hint(format!(
                    "restore the file that `--weights` named, or use somata {} if the program's own were used",
                    again.version
                )))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_differs_is_told_and_a_manifest_that_lacks_something_is_refused() {
        let manifest = json!({
            "somata": "0.0.1", "device": "cpu", "input_fingerprint": "a", "weights": "w",
        });
        let again = Again::of(Path::new("m.json"), &manifest).unwrap();
        let told = again.differences("a card (vulkan)");
        assert!(told[0].contains("somata 0.0.1"), "{told:?}");
        assert!(told[1].contains("a card (vulkan)"), "{told:?}");
        let run = RunArguments {
            again: Some(again),
            ..RunArguments::on("cpu", true)
        };
        assert!(run.check_input("a").is_ok() && run.check_weights("w").is_ok());
        for failure in [
            run.check_input("b").unwrap_err(),
            run.check_weights("v").unwrap_err(),
        ] {
            assert_eq!(failure.code, ExitCode::Input);
            assert!(failure.hint.unwrap().contains("somata 0.0.1"));
        }
        let lacking = Again::of(Path::new("m.json"), &json!({ "somata": "0.0.1" }));
        assert!(lacking.unwrap_err().message.contains("`device`"));
    }
}
