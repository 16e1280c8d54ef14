//! What the fuzz targets call beyond the public interface: parsers of foreign bytes that are private.
//! It is there under `--cfg fuzzing` alone.

use std::io::Cursor;

use crate::collector::owners::bpf::btf::Layout;
use crate::collector::owners::bpf::program::{self, Parts};

/// The types of a kernel, and the program that goes by where its fields are. Says whether there is one.
pub fn btf(bytes: &[u8]) -> bool {
    let layout = Layout::read(Cursor::new(bytes));
    let program = layout.map(|layout| {
        let parts = Parts {
            layout: &layout,
            state: 3,
            blocks: 4,
        };
        program::assemble(&parts)
    });
    program.is_ok_and(|program| !program.is_empty())
}
