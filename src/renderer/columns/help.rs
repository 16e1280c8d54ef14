//! `--columns help`: every column and what it shows.

use std::io::{self, Write};

use super::Column;

/// Writes the list.
pub fn help(out: &mut impl Write) -> io::Result<()> {
    let widest = Column::all().map(|column| column.name().len()).max();
    let widest = widest.unwrap_or(0);
    writeln!(
        out,
        "The columns of `closewait list`. --columns, --sort, CSV and JSON use the same names.\n\
         --columns A,B shows only these; --columns +A,B adds them to the default columns. `-` or an\n\
         empty field means unknown. `_us` is microseconds, `_ms` milliseconds.\n"
    )?;
    for column in Column::all() {
        writeln!(out, "{:widest$}  {}", column.name(), column.about())?;
    }
    Ok(())
}
