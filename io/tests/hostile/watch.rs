//! What an input does to the process: an allocator that counts, and a hook that remembers where a panic was.

#![allow(
    unsafe_code,
    reason = "an allocator cannot be written without it; every call is passed on unchanged"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

thread_local! {
    /// Bytes that this thread holds, and the most it held; memory that another thread frees is not subtracted there.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static WATCHING: Cell<bool> = const { Cell::new(false) };
    static PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The system's allocator, watched.
struct Watched;

// SAFETY: every call goes to the system's allocator with the arguments as they came.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: the caller keeps `alloc`'s contract.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size() as isize);
        // SAFETY: the caller keeps `alloc_zeroed`'s contract.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size as isize - layout.size() as isize);
        // SAFETY: the caller keeps `realloc`'s contract.
        unsafe { System.realloc(pointer, layout, size) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(-(layout.size() as isize));
        // SAFETY: the caller keeps `dealloc`'s contract.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watched = Watched;

fn note(change: isize) {
    // A thread that is being taken down has no cells any more.
    let _ = LIVE.try_with(|live| {
        let now = live.get().saturating_add(change);
        live.set(now);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now)));
    });
}

/// What [`watched`] saw.
pub struct Seen<T> {
    /// The result, or the place and the text of a panic.
    pub result: Result<T, String>,
    /// Bytes that were held at once at most, beyond what was held before.
    pub peak_bytes: usize,
}

/// Runs `action`; a panic in it is caught and printed nowhere.
pub fn watched<T>(action: impl FnOnce() -> T) -> Seen<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if WATCHING.get() {
                let text = panic.payload_as_str().unwrap_or("no text").to_owned();
                let place = panic
                    .location()
                    .map_or_else(String::new, |place| place.to_string());
                PANIC.set(Some(format!("panic at {place}: {text}")));
            } else {
                usual(panic);
            }
        }));
    });
    let before = LIVE.get();
    PEAK.set(before);
    WATCHING.set(true);
    let result = catch_unwind(AssertUnwindSafe(action));
    WATCHING.set(false);
    Seen {
        result: result.map_err(|_| PANIC.take().unwrap_or_else(|| "panic".to_owned())),
        peak_bytes: usize::try_from(PEAK.get() - before).unwrap_or(0),
    }
}

#[test]
fn memory_that_was_freed_again_and_panics_are_seen() {
    let seen = watched(|| {
        drop(std::hint::black_box(vec![1u8; 3_000_000]));
        drop(std::hint::black_box(vec![1u8; 2_000_000]));
    });
    assert!(seen.result.is_ok());
    assert!(
        (3_000_000..4_000_000).contains(&seen.peak_bytes),
        "{}",
        seen.peak_bytes
    );
    let seen = watched(|| panic!("on purpose {}", 7));
    let text: Result<(), String> = seen.result;
    let text = text.unwrap_err();
    assert!(
        text.contains("watch.rs") && text.contains("on purpose 7"),
        "{text}"
    );
}
