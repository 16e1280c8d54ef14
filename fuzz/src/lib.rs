//! What targets share: a bound on each allocation, and what must hold of all that is printed.

#[path = "../../tests/hostile/attacks.rs"]
pub mod attacks;
pub mod screen;

use std::alloc::{GlobalAlloc, Layout, System};

/// More than any input of a target needs at once; a length that an input merely claims may be more.
const MOST: usize = 16 << 20;

/// The system's allocator for requests of at most [`MOST`] bytes. libFuzzer's own limit sees only
/// memory that is touched.
struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

fn bounded(size: usize) {
    if size > MOST {
        // Not by a panic, which allocates.
        eprintln!("{size} bytes are asked for at once");
        std::process::abort();
    }
}

// SAFETY: every call is the system's.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        bounded(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        bounded(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        bounded(size);
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        unsafe { System.dealloc(old, layout) }
    }
}
