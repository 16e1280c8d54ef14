//! What the signs of the screen mean, as far as they occur on it.

use std::io::{self, Write};

use crate::renderer::frame;
use crate::renderer::style::{Look, NO_MARK, Role};

/// Signs of the table of groups, and what they mean.
const SIGNS: [(&str, &str); 7] = [
    (
        "Recv-Q 0/1/+",
        "Recv-Q 0/1/+: sockets with no, one, several bytes unread (a FIN is one)",
    ),
    ("Per min", "Per min: new minus gone"),
    (" / ", "p50: median"),
    ("≥", "≥: at least"),
    ("] +", "+N: N more processes"),
    ("] queued", "queued: not accepted yet"),
    ("? (", "?: hidden"),
];

/// Appends a line about the signs in `shown`; nothing in a pipe, where each line stands alone.
pub fn legend(look: Look, shown: &mut Vec<u8>) -> io::Result<()> {
    if !look.terminal {
        return Ok(());
    }
    let meanings = meanings(shown);
    if meanings.is_empty() {
        return Ok(());
    }
    for line in frame::wrapped(&meanings, look.width, NO_MARK.len()) {
        let line = look.paint(Role::Quiet, line);
        writeln!(shown, "{NO_MARK}{line}")?;
    }
    Ok(())
}

/// The meanings of the signs that are in a text.
fn meanings(text: &[u8]) -> String {
    let is_shown = |sign: &str| text.windows(sign.len()).any(|part| part == sign.as_bytes());
    let signs = SIGNS.iter().filter(|(sign, _)| is_shown(sign));
    let meanings: Vec<&str> = signs.map(|(_, meaning)| *meaning).collect();
    meanings.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_signs_that_are_shown_are_explained() {
        assert_eq!(meanings(b"  State Owner\n  LISTEN java[1]\n"), "");
        assert_eq!(
            meanings("java[1] +2 ≥7.2s".as_bytes()),
            "≥: at least; +N: N more processes"
        );
    }
}
