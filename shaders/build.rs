//! Parses and validates every `wgsl/AREA/STEM.wgsl` with naga and writes the table of kernel sources.
//!
//! A typo in WGSL is therefore a build failure with file and line, not a surprise on a user's machine. The table
//! holds what the executor needs and nobody should repeat by hand: bindings, workgroup size, size of the uniform.

use std::{env, fmt::Write as _, fs, path::Path};

use naga::{
    AddressSpace, StorageAccess,
    front::wgsl,
    valid::{Capabilities, ValidationFlags, Validator},
};

fn main() {
    println!("cargo::rerun-if-changed=wgsl");
    let mut table = String::from("pub(crate) static SOURCES: &[KernelSource] = &[\n");
    for area in ["common", "sorting", "imaging"] {
        let folder = Path::new("wgsl").join(area);
        let Ok(entries) = fs::read_dir(&folder) else {
            continue;
        };
        let mut files: Vec<_> = entries
            .map(|entry| entry.expect("readable folder").path())
            .collect();
        files.sort();
        for file in files.iter().filter(|file| {
            file.extension()
                .is_some_and(|extension| extension == "wgsl")
        }) {
            table.push_str(&describe(area, file));
        }
    }
    table.push_str("];\n");
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("sources.rs");
    fs::write(out, table).expect("writable OUT_DIR");
}

/// One row of the table for one kernel file.
fn describe(area: &str, file: &Path) -> String {
    let text = fs::read_to_string(file).expect("readable kernel");
    let module = wgsl::parse_str(&text).unwrap_or_else(|error| {
        panic!(
            "{}",
            error.emit_to_string_with_path(&text, &file.display().to_string())
        )
    });
    Validator::new(ValidationFlags::all(), Capabilities::empty())
        .validate(&module)
        .unwrap_or_else(|error| {
            panic!(
                "{}",
                error.emit_to_string_with_path(&text, &file.display().to_string())
            )
        });
    let entry = module
        .entry_points
        .iter()
        .find(|entry| entry.name == "main")
        .unwrap_or_else(|| {
            panic!(
                "{}: a kernel needs one entry point called `main`",
                file.display()
            );
        });
    let mut bindings: Vec<_> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| variable.binding.as_ref().map(|binding| (binding, variable)))
        .collect();
    bindings.sort_by_key(|(binding, _)| binding.binding);
    let mut params_size = 0;
    let mut rows = String::new();
    for (index, (binding, variable)) in bindings.iter().enumerate() {
        assert!(
            binding.group == 0 && binding.binding as usize == index,
            "{}: bindings must be group 0, numbered from 0 without a gap",
            file.display()
        );
        let access = match variable.space {
            AddressSpace::Uniform => {
                assert!(
                    index == 0,
                    "{}: the uniform `params` is binding 0",
                    file.display()
                );
                params_size = module.types[variable.ty].inner.size(module.to_ctx());
                continue;
            }
            AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => {
                "ReadWrite"
            }
            AddressSpace::Storage { .. } => "Read",
            space => panic!("{}: unexpected address space {space:?}", file.display()),
        };
        let name = variable.name.as_deref().unwrap_or("unnamed");
        write!(
            rows,
            "BindingInfo {{ name: {name:?}, access: BindingAccess::{access} }}, "
        )
        .expect("string");
    }
    let stem = file.file_stem().expect("has a stem").to_string_lossy();
    let path = fs::canonicalize(file).expect("exists");
    format!(
        "    KernelSource {{ area: {area:?}, stem: {stem:?}, wgsl: include_str!({:?}), workgroup_size: {:?}, params_size: {params_size}, bindings: &[{rows}] }},\n",
        path.display().to_string(),
        entry.workgroup_size,
    )
}
