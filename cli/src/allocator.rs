//! What happens when the system gives no more memory: a message and the exit code of memory, where Rust would abort.
//!
//! On most machines the system kills a process that takes too much, which schedulers see as 137. Where a limit is set on the
//! address space (`ulimit -v`, as some batch systems do) an allocation fails instead. Both should look alike.

#![cfg_attr(
    test,
    allow(
        dead_code,
        reason = "tests count what inputs take, with an allocator of their own"
    )
)]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    io::Write,
};

use crate::exit::ExitCode;

/// The system's allocator, which ends the process when there is no more.
pub struct Allocator;

#[expect(
    unsafe_code,
    reason = "the trait of allocators is unsafe; every call is handed to the system's allocator as it came"
)]
// SAFETY: as that of `System`; a null pointer is never handed on.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are those that `System` asks for, here and below.
        there(unsafe { System.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        there(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        there(unsafe { System.realloc(pointer, layout, size) }, size)
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

fn there(pointer: *mut u8, bytes: usize) -> *mut u8 {
    if pointer.is_null() {
        out_of_memory(bytes);
    }
    pointer
}

#[cold]
fn out_of_memory(bytes: usize) -> ! {
    // Nothing here may allocate: the text is made in place.
    let mut text = [0u8; 320];
    let mut rest = &mut text[..];
    let _ = write!(
        rest,
        "error: out of memory: the system gave no {bytes} bytes more\n\nhint: allow more memory, or give fewer `--threads`; the \
         same command goes on from the last finished stage\n"
    );
    let unused = rest.len();
    let _ = std::io::stderr().write_all(&text[..text.len() - unused]);
    std::process::exit(ExitCode::Memory as i32)
}

/// Gives memory that was freed back to the system. Its allocator keeps a good part of it, for every thread that there ever was, and
/// the buffers of one stage are of little use to the next.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub fn give_back() {
    #[expect(unsafe_code, reason = "a function of the system's library")]
    // SAFETY: `malloc_trim` takes a number of bytes to keep and may be called at any time, from any thread.
    unsafe {
        unsafe extern "C" {
            fn malloc_trim(keep_bytes: usize) -> std::ffi::c_int;
        }
        malloc_trim(0);
    }
}

/// Elsewhere the allocator is left alone.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub fn give_back() {}
