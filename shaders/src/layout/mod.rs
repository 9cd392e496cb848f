//! The uniforms of the kernels: plain structs that WGSL and Rust read alike, and the workgroups each needs.
//!
//! Every field is 32 bits wide, so the two layouts agree without padding; the build reflects the size of the
//! WGSL struct and a parity test compares it with the Rust one.

/// Declares the uniform of a kernel, its kernel, and the workgroups that its sizes need.
macro_rules! kernel {
    (
        $(#[$doc:meta])* $area:ident / $stem:ident => $name:ident {
            $($(#[$field_doc:meta])* $field:ident : $kind:ty),* $(,)?
        }
        workgroups($self:ident) $workgroups:block
    ) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $kind),*
        }
        impl KernelParams for $name {
            const KERNEL: &'static Kernel = &Kernel {
                area: stringify!($area),
                stem: stringify!($stem),
                cpu: cpu::$area::$stem::run,
            };
            fn workgroups(&$self) -> [u32; 3] $workgroups
        }
        impl $name {
            /// Name of the kernel and bytes of its uniform, for the test that compares layouts.
            pub const LAYOUT: (&'static str, usize) = (stringify!($stem), size_of::<$name>());
        }
    };
}

mod imaging;
mod sorting;

pub use imaging::*;
pub use sorting::*;

/// Kernel name and size of the Rust uniform, for every kernel.
pub fn layouts() -> impl Iterator<Item = (&'static str, usize)> {
    let areas: [&'static [_]; 2] = [sorting::layouts(), imaging::layouts()];
    areas.into_iter().flatten().copied()
}
