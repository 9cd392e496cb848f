//! A kernel is one stem: its WGSL, its twin, its parity test and its layout stand or fall together.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use somata_shaders::{layout::layouts, sources};

fn shaders() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shaders")
}

/// `AREA/STEM` of all files with this extension in the area folders; `keep` sees their text.
fn stems(root: &Path, extension: &str, keep: impl Fn(&str) -> bool) -> BTreeSet<String> {
    let mut stems = BTreeSet::new();
    for area in fs::read_dir(root).unwrap_or_else(|error| panic!("{}: {error}", root.display())) {
        let area = area.expect("readable folder").path();
        let name = area
            .file_name()
            .expect("has a name")
            .to_string_lossy()
            .into_owned();
        if !area.is_dir() || name == "shared" {
            continue;
        }
        for file in fs::read_dir(&area).expect("readable folder") {
            let file = file.expect("readable folder").path();
            if file.extension().is_some_and(|found| found == extension)
                && keep(&fs::read_to_string(&file).expect("readable file"))
            {
                stems.insert(format!(
                    "{name}/{}",
                    file.file_stem().expect("has a stem").to_string_lossy()
                ));
            }
        }
    }
    stems
}

#[test]
fn every_wgsl_has_a_twin_a_parity_test_and_a_layout_and_the_reverse() {
    let kernels = stems(&shaders().join("wgsl"), "wgsl", |_| true);
    assert!(!kernels.is_empty(), "there are kernels");
    // A twin is a file that an executor can call; others in the folder are shared by twins.
    let twins = stems(&shaders().join("src/cpu"), "rs", |text| {
        text.contains("fn run(bytes: &[u8]")
    });
    assert_eq!(kernels, twins, "WGSL files, and twins");
    let tests = stems(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity"),
        "rs",
        |text| text.contains("#[test]"),
    );
    assert_eq!(kernels, tests, "WGSL files, and parity tests");
    let main =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/main.rs"))
            .expect("main.rs");
    for kernel in &kernels {
        let stem = kernel.split('/').next_back().expect("a stem");
        assert!(
            main.contains(&format!("mod {stem};")),
            "the parity test of {stem} is listed in main.rs"
        );
    }
    let built: BTreeSet<_> = sources()
        .iter()
        .map(|source| format!("{}/{}", source.area, source.stem))
        .collect();
    assert_eq!(
        kernels, built,
        "WGSL files, and the table that the build wrote"
    );
    let listed: BTreeSet<_> = layouts().map(|(stem, _)| stem.to_string()).collect();
    let sourced: BTreeSet<_> = sources()
        .iter()
        .map(|source| source.stem.to_string())
        .collect();
    assert_eq!(listed, sourced, "layouts, and WGSL files");
    assert_eq!(listed.len(), layouts().count(), "no layout is listed twice");
}

#[test]
fn uniforms_have_one_size_in_rust_and_wgsl() {
    for source in sources() {
        let (_, size) = layouts()
            .find(|(stem, _)| *stem == source.stem)
            .expect("a layout");
        assert_eq!(
            source.params_size as usize, size,
            "bytes of the uniform of {}",
            source.stem
        );
    }
}

#[test]
fn uniforms_have_the_same_fields_in_rust_and_wgsl() {
    // Equal sizes do not show two fields that changed places.
    let layouts: String = ["sorting", "imaging"]
        .iter()
        .map(|area| {
            let path = shaders().join(format!("src/layout/{area}.rs"));
            fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect();
    for source in sources() {
        let rust = layouts
            .split(&format!("{} / {} =>", source.area, source.stem))
            .nth(1)
            .and_then(|rest| rest.split("workgroups(self)").next())
            .unwrap_or_else(|| panic!("{} is in layout/", source.stem));
        let wgsl = source
            .wgsl
            .split("struct Params {")
            .nth(1)
            .and_then(|rest| rest.split('}').next())
            .expect("Params");
        assert_eq!(fields(rust), fields(wgsl), "fields of {}", source.stem);
    }
}

/// `name: type` of every field, in order.
fn fields(text: &str) -> Vec<String> {
    text.lines()
        .map(|line| line.trim().trim_end_matches(','))
        .filter(|line| !line.starts_with("//"))
        .filter(|line| {
            line.ends_with(": u32") || line.ends_with(": f32") || line.ends_with(": i32")
        })
        .map(str::to_string)
        .collect()
}
