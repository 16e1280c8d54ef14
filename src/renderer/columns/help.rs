//! `--columns help`: every column and what it says.

use std::io::{self, Write};

use super::{Column, width};

/// Writes the list.
pub fn help(out: &mut impl Write) -> io::Result<()> {
    let widest = Column::all().map(|column| width(column.name())).max();
    let widest = widest.unwrap_or(0);
    writeln!(
        out,
        "The columns of `closewait list`, by the names that --columns, --sort, CSV and JSON share.\n\
         --columns A,B shows these alone, --columns +A,B adds to the usual ones. `-` or an empty\n\
         field is unknown; `_us` are microseconds, `_ms` milliseconds.\n"
    )?;
    for column in Column::all() {
        writeln!(out, "{:widest$}  {}", column.name(), column.about())?;
    }
    Ok(())
}
