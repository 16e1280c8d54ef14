//! A page that is drawn again in place: on the lines that the last drawing took, and never more than
//! the terminal has. It needs no second screen, so there is nothing to restore when it ends.

use std::io::{self, Write};

use unicode_width::UnicodeWidthChar;

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

/// The lines of the last drawing; the cursor is at the start of the line below them.
#[derive(Debug, Default)]
pub struct Screen {
    lines: usize,
    size: Option<Size>,
}

impl Screen {
    /// Draws a page over the last one. If it has too many lines, the last one that fits is
    /// `more(LEFT_OUT)`, and after it come the last `below` lines of the page.
    ///
    /// # Errors
    /// If the page is not UTF-8, or the terminal cannot be written to.
    pub fn draw(
        &mut self,
        page: &[u8],
        below: usize,
        size: Size,
        more: impl Fn(usize) -> String,
        out: &mut impl Write,
    ) -> io::Result<()> {
        let page = std::str::from_utf8(page).map_err(io::Error::other)?;
        let mut bytes = String::from("\r");
        match self.size {
            // A terminal that was resized has wrapped the lines anew: where they begin is unknown.
            Some(last) if last != size => bytes.push_str("\x1b[H\x1b[J"),
            _ if self.lines > 0 => bytes.push_str(&format!("\x1b[{}A", self.lines)),
            _ => {}
        }
        let lines = fitting(page, below, size, more);
        for line in &lines {
            push_cut(line, size.columns, &mut bytes);
            bytes.push_str("\x1b[K\n");
        }
        bytes.push_str("\x1b[J");
        self.lines = lines.len();
        self.size = Some(size);
        out.write_all(bytes.as_bytes())?;
        out.flush()
    }
}

/// The lines that fit, with one row left for the cursor.
fn fitting(page: &str, below: usize, size: Size, more: impl Fn(usize) -> String) -> Vec<String> {
    let mut lines: Vec<String> = page.lines().map(str::to_owned).collect();
    let room = size.rows.saturating_sub(1).max(below + 2);
    if lines.len() > room {
        let kept = room - below - 1;
        let left_out = lines.len() - below - kept;
        lines.splice(kept..kept + left_out, [more(left_out)]);
    }
    lines
}

/// Appends a line, cut to so many columns; escape sequences take none.
fn push_cut(line: &str, columns: usize, out: &mut String) {
    let mut used = 0;
    let mut sequence = false;
    for c in line.chars() {
        if sequence {
            // All sequences are colours, which end in `m`.
            sequence = c != 'm';
        } else if c == '\x1b' {
            sequence = true;
        } else {
            used += c.width().unwrap_or(0);
            if used > columns {
                continue;
            }
        }
        out.push(c);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: Size = Size {
        columns: 10,
        rows: 5,
    };

    fn drawn(screen: &mut Screen, page: &str, size: Size) -> String {
        let mut out = Vec::new();
        let more = |left_out| format!("+{left_out}");
        screen
            .draw(page.as_bytes(), 1, size, more, &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_page_is_drawn_over_the_last_one() {
        let mut screen = Screen::default();
        assert_eq!(
            drawn(&mut screen, "a\nb\n", SIZE),
            "\ra\x1b[K\nb\x1b[K\n\x1b[J"
        );
        assert_eq!(drawn(&mut screen, "c\n", SIZE), "\r\x1b[2Ac\x1b[K\n\x1b[J");
        let larger = Size {
            columns: 12,
            rows: 5,
        };
        assert_eq!(
            drawn(&mut screen, "d\n", larger),
            "\r\x1b[H\x1b[Jd\x1b[K\n\x1b[J"
        );
    }

    #[test]
    fn no_more_is_drawn_than_the_terminal_shows() {
        let mut screen = Screen::default();
        let text = drawn(&mut screen, "1\n2\n3\n4\n5\nend\n", SIZE);
        assert_eq!(text, "\r1\x1b[K\n2\x1b[K\n+3\x1b[K\nend\x1b[K\n\x1b[J");
        let text = drawn(&mut screen, "1\n2\n3\nend\n", SIZE);
        assert!(text.contains("3\x1b[K\nend"), "{text:?}");
    }

    #[test]
    fn a_line_is_cut_by_columns_and_keeps_its_colours() {
        let mut out = String::new();
        push_cut("\x1b[1mab日本\x1b[0m", 5, &mut out);
        assert_eq!(out, "\x1b[1mab日\x1b[0m");
    }
}
