//! How fast: criterion benches of the hot kernels (`kernels/`) and of stages (`stages/`), and figures of whole runs (`runs/`).
//!
//! The package has no code of its own: the benches call the twins of `somata-shaders` and the stages of `somata-engine` on sizes of
//! real data.
