//! No kernel needs more than what WebGPU promises on every device, so none fails on a small GPU.

use naga::AddressSpace;
use somata_shaders::sources;

use crate::translates::modules;

/// WebGPU's defaults: bytes of workgroup memory, invocations of a workgroup, its size along z, storage buffers, bytes
/// of a uniform.
const WORKGROUP_BYTES: u32 = 16 << 10;
const INVOCATIONS: u32 = 256;
const SIZE_Z: u32 = 64;
const STORAGE_BUFFERS: usize = 8;
const UNIFORM_BYTES: u32 = 64 << 10;

#[test]
fn workgroups_are_small_enough() {
    for (stem, module, _) in modules() {
        let bytes: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
            .map(|(_, variable)| {
                module.types[variable.ty]
                    .inner
                    .size(module.to_ctx())
                    .next_multiple_of(16)
            })
            .sum();
        assert!(
            bytes <= WORKGROUP_BYTES,
            "{stem} takes {bytes} bytes of workgroup memory"
        );
        assert_eq!(module.entry_points.len(), 1, "{stem} has one entry point");
        let size = module.entry_points[0].workgroup_size;
        assert!(
            size.iter().product::<u32>() <= INVOCATIONS && size[2] <= SIZE_Z,
            "{stem}: workgroups of {size:?}"
        );
    }
}

#[test]
fn bindings_are_few_enough() {
    for source in sources() {
        assert!(
            source.bindings.len() <= STORAGE_BUFFERS,
            "{} binds {} buffers",
            source.stem,
            source.bindings.len()
        );
        assert!(source.params_size <= UNIFORM_BYTES, "{}", source.stem);
    }
}

#[test]
fn bindings_are_arrays_of_words() {
    for (stem, module, _) in modules() {
        for (_, variable) in module
            .global_variables
            .iter()
            .filter(|(_, v)| matches!(v.space, AddressSpace::Storage { .. }))
        {
            let naga::TypeInner::Array { stride, .. } = module.types[variable.ty].inner else {
                panic!("{stem}: {:?} is no array", variable.name)
            };
            assert_eq!(stride, 4, "{stem}: {:?}", variable.name);
        }
    }
}
