//! How fast: criterion benches of the hot kernels (`kernels/`), and figures of whole runs (`runs/`).
//!
//! The package has no code of its own: the benches call the twins of `somata-shaders` on sizes of a real window.
