//! Shared by the targets: a limit for each allocation, and checks of all output.

#[path = "../../tests/hostile/attacks.rs"]
pub mod attacks;
pub mod screen;

use std::alloc::{GlobalAlloc, Layout, System};

/// More than any input of a target needs in one allocation. A forged length may ask for more.
const MOST: usize = 16 << 20;

/// The system's allocator, for at most [`MOST`] bytes. libFuzzer's own limit counts only memory that is used.
struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

fn bounded(size: usize) {
    if size > MOST {
        // A panic would allocate.
        eprintln!("{size} bytes are asked for at once");
        std::process::abort();
    }
}

// SAFETY: it forwards every call to the system's allocator.
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
