//! Files that lie beside the input folder and that nothing in it may lead to.

use std::path::{Path, PathBuf};

use somata_io::recording::{OpenOptions, open};

use crate::seeds::whole_folder;

/// A folder of files that must not be read.
pub struct Secrets {
    folder: PathBuf,
}

/// Bytes of the secret file: whole frames for up to four channels of any type.
const SECRET_BYTES: usize = 9600;

impl Secrets {
    /// Writes them to `outside` in `root`; inputs are folders beside it.
    pub fn new(root: &Path) -> Secrets {
        let folder = root.join("outside");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("secret.raw"), vec![0x5e; SECRET_BYTES]).unwrap();
        Secrets { folder }
    }

    /// Texts that lead to them, or to files of the system that never end.
    pub fn paths(&self) -> Vec<String> {
        let absolute = self.folder.join("secret.raw").to_str().unwrap().to_owned();
        [
            absolute.as_str(),
            "../outside/secret.raw",
            "./../outside/secret.raw",
            "a/../../outside/secret.raw",
            "/dev/zero",
            "/proc/self/environ",
            "..",
            ".",
            "/",
            "",
        ]
        .map(str::to_owned)
        .to_vec()
    }
}

/// Checks that each file that a reader names lies in the input folder.
pub fn check_inside(folder: &Path, paths: &[PathBuf]) {
    let folder = folder.canonicalize().unwrap();
    for path in paths {
        if let Ok(path) = path.canonicalize() {
            assert!(
                path.starts_with(&folder),
                "a file outside of the input was read: {}",
                path.display()
            );
        }
    }
}

#[test]
fn a_folder_of_spikeinterface_cannot_name_files_outside_of_it() {
    let root = tempfile::tempdir().unwrap();
    let secrets = Secrets::new(root.path());
    let inside = root.path().join("in");
    let seed = whole_folder("spikeinterface/two_probes");
    for (name, bytes) in &seed.files {
        std::fs::create_dir_all(inside.join(name).parent().unwrap()).unwrap();
        std::fs::write(inside.join(name), bytes).unwrap();
    }
    let json_path = inside.join("binary.json");
    let json: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&json_path).unwrap()).unwrap();
    open(&inside, &OpenOptions::default()).unwrap();
    for path in secrets.paths() {
        let mut json = json.clone();
        json["kwargs"]["file_paths"] = serde_json::json!([path]);
        std::fs::write(&json_path, json.to_string()).unwrap();
        match open(&inside, &OpenOptions::default()) {
            Ok(_) => panic!("`{path}` was opened"),
            Err(error) => assert!(!error.to_string().contains("Is a directory"), "{error}"),
        }
    }
    // The name that an absolute path ends with is looked up in the folder: folders are moved.
    let mut json = json.clone();
    json["kwargs"]["file_paths"] = serde_json::json!(["/data/long/gone/traces_cached_seg0.raw"]);
    std::fs::write(&json_path, json.to_string()).unwrap();
    open(&inside, &OpenOptions::default()).unwrap();
}
