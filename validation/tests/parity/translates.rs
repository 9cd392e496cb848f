//! Every kernel translates to what Vulkan, Metal and DirectX read: portability that needs no such machine.

use naga::{
    Module, ShaderStage,
    back::{hlsl, msl, spv},
    front::wgsl,
    valid::{Capabilities, ModuleInfo, ValidationFlags, Validator},
};
use somata_shaders::sources;

/// Every kernel, parsed and validated without any optional feature.
pub fn modules() -> Vec<(&'static str, Module, ModuleInfo)> {
    sources()
        .iter()
        .map(|source| {
            let module = wgsl::parse_str(source.wgsl)
                .unwrap_or_else(|error| panic!("{}: {error}", source.stem));
            let info = Validator::new(ValidationFlags::all(), Capabilities::empty())
                .validate(&module)
                .unwrap_or_else(|error| panic!("{}: {error:?}", source.stem));
            (source.stem, module, info)
        })
        .collect()
}

#[test]
fn to_spirv_for_vulkan() {
    for (stem, module, info) in modules() {
        let words = spv::write_vec(&module, &info, &spv::Options::default(), None)
            .unwrap_or_else(|error| panic!("{stem}: {error}"));
        assert!(words.len() > 5, "{stem}");
    }
}

#[test]
fn to_msl_for_metal() {
    // Metal 2.0, which every Mac since 2017 has.
    let options = msl::Options {
        lang_version: (2, 0),
        ..Default::default()
    };
    for (stem, module, info) in modules() {
        let (text, _) =
            msl::write_string(&module, &info, &options, &msl::PipelineOptions::default())
                .unwrap_or_else(|error| panic!("{stem}: {error}"));
        assert!(text.contains("kernel void"), "{stem}");
    }
}

#[test]
fn to_hlsl_for_directx() {
    let options = hlsl::Options::default();
    let entry = hlsl::PipelineOptions {
        entry_point: Some((ShaderStage::Compute, "main".into())),
    };
    for (stem, module, info) in modules() {
        let mut text = String::new();
        hlsl::Writer::new(&mut text, &options, &entry)
            .write(&module, &info, None)
            .unwrap_or_else(|error| panic!("{stem}: {error}"));
        assert!(text.contains("numthreads"), "{stem}");
    }
}
