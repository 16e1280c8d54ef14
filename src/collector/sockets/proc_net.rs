//! Parses /proc/net/tcp, tcp6, udp and udp6: the fallback if sock_diag is not available.
//!
//! The text has no cookies, no ages and no accept queue limits; see proc_pid_net(5) and
//! `net/ipv4/tcp_ipv4.c`, `tcp4_seq_show`.
//!
//! The kernel returns a page at a time, and resumes by hash bucket and position (`fs/seq_file.c`,
//! `tcp_seek_last_pos`). While connections open and close, a row may come twice or be skipped, and rows
//! show different moments: with at most 300 connections at a time, 325 different ones were read.

use std::io::{self, BufRead, BufReader, Read};

use rustc_hash::FxHashSet;

use crate::collector::sockets::capture::Form;
use crate::collector::sockets::proc_line::address;
pub use crate::collector::sockets::proc_line::{is_heading, socket};
use crate::collector::sockets::sock_diag::Dumped;
use crate::model::{Endpoint, Family, Protocol, Socket};

/// The longest line that the kernel writes has about 180 bytes; a longer line is malformed.
const LINE_MAX: usize = 1024;

/// What a reading returned besides sockets.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Reading {
    /// Lines that are not in the kernel's format.
    pub malformed: u64,
    /// Sockets that came again because the table changed between two pieces of it.
    pub repeated: u64,
    /// Rows left out that may be duplicates or other sockets: sockets on two devices can have the same
    /// ends.
    pub ambiguous: u64,
    /// Whether it came in several pieces.
    pub in_pieces: bool,
}

/// What identifies a row: the ends, the inode, and the hashed kernel address of the socket. The address
/// is 0 if `kptr_restrict` hides it, the inode is 0 for a socket without a file.
type Identity = (Endpoint, Endpoint, u32, u64);

/// Reads the text of `/proc/net/tcp` or `udp` (`Family::Inet`), `tcp6` or `udp6`. Lines that cannot be
/// parsed are counted and skipped; no line costs an allocation.
///
/// # Errors
/// When the text cannot be read, or is empty: a table without sockets still has a heading.
pub fn read(
    text: impl Read,
    protocol: Protocol,
    family: Family,
    keep: &mut impl FnMut(&Socket) -> bool,
    sockets: &mut Vec<Socket>,
) -> io::Result<Reading> {
    let mut lines = BufReader::with_capacity(64 * 1024, text);
    let mut line = Vec::with_capacity(LINE_MAX);
    let page = rustix::param::page_size();
    let mut seen: FxHashSet<Identity> = FxHashSet::default();
    let mut reading = Reading::default();
    let mut first = true;
    let mut bytes = 0usize;
    while read_line(&mut lines, &mut line)? {
        // Within the first piece no row comes twice.
        bytes = bytes.saturating_add(line.len());
        reading.in_pieces = bytes > page;
        if line.trim_ascii().is_empty() {
            continue;
        }
        if std::mem::take(&mut first) && is_heading(&line) {
            continue;
        }
        let Some(socket) = socket(&line, protocol, family) else {
            reading.malformed += 1;
            continue;
        };
        let address = address(&line);
        let is_new = seen.insert((socket.local, socket.remote, socket.inode, address));
        match (is_new, address, socket.inode) {
            (false, 0, 0) if reading.in_pieces => reading.ambiguous += 1,
            (false, 0, 0) | (true, ..) => {
                if keep(&socket) {
                    sockets.push(socket);
                }
            }
            (false, ..) => reading.repeated += 1,
        }
    }
    if first {
        let nothing = "it is empty, without even the kernel's heading";
        return Err(io::Error::new(io::ErrorKind::InvalidData, nothing));
    }
    Ok(reading)
}

/// Reads into `found`, and keeps the text if it has a capture.
pub(crate) fn read_into(
    found: &mut Dumped,
    text: impl Read,
    protocol: Protocol,
    family: Family,
    keep: &mut impl FnMut(&Socket) -> bool,
) -> io::Result<Reading> {
    let Dumped {
        sockets, capture, ..
    } = found;
    let Some(capture) = capture else {
        return read(text, protocol, family, keep, sockets);
    };
    capture.begin(Form::of_text(protocol, family));
    let reading = read(capture.copy(text), protocol, family, keep, sockets)?;
    capture.end();
    Ok(reading)
}

/// Reads a line into `line`, at most [`LINE_MAX`] bytes of it; false at the end.
fn read_line(lines: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let read = lines
        .by_ref()
        .take(LINE_MAX as u64)
        .read_until(b'\n', line)?;
    if read == LINE_MAX && !line.ends_with(b"\n") {
        lines.skip_until(b'\n')?;
    }
    Ok(read > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";

    fn read_all(text: &str, family: Family) -> (Vec<Socket>, Reading) {
        let mut sockets = Vec::new();
        let reading = read(
            text.as_bytes(),
            Protocol::Tcp,
            family,
            &mut |_| true,
            &mut sockets,
        )
        .unwrap();
        (sockets, reading)
    }

    #[test]
    fn a_malformed_line_is_counted_and_costs_no_other() {
        let good = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1\n";
        let text = format!(
            "{HEADER}garbage\n{good}   1: 0100007F 00000000:0000 0A\n   2: 0100007F:1F90 00000000:0000 FF 00000000:00000000 00:00000000 00000000     0        0 9 1\n{}\n\u{fffd}\u{fffd}",
            "9".repeat(5000)
        );
        let (sockets, reading) = read_all(&text, Family::Inet);
        assert_eq!(sockets.len(), 1);
        assert_eq!(reading.malformed, 5);
    }

    #[test]
    fn a_line_that_comes_again_is_one_socket() {
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 9 1\n";
        let (sockets, reading) = read_all(&format!("{line}{line}"), Family::Inet);
        assert_eq!((sockets.len(), reading.repeated), (1, 1));
    }

    /// A row of TIME_WAIT, which has no inode, with the kernel's address of the socket.
    fn time_wait(place: u64) -> String {
        format!(
            "   0: 0100007F:1F90 0100007F:9000 06 00000000:00000000 03:000016C3 00000000     0        0 0 3 {place:016x}\n"
        )
    }

    #[test]
    fn equal_rows_of_two_sockets_are_two() {
        let (sockets, reading) = read_all(
            &format!("{HEADER}{}{}", time_wait(1), time_wait(2)),
            Family::Inet,
        );
        assert_eq!((sockets.len(), reading), (2, Reading::default()));
        // Within one piece no row comes twice, whatever identifies it.
        let (sockets, reading) = read_all(
            &format!("{HEADER}{}{}", time_wait(0), time_wait(0)),
            Family::Inet,
        );
        assert_eq!((sockets.len(), reading), (2, Reading::default()));
    }

    #[test]
    fn a_row_that_may_have_come_twice_is_counted_as_that() {
        let page = rustix::param::page_size();
        let others: String = (1..)
            .map(|place| time_wait(place + 7).replace("9000", &format!("{place:04X}")))
            .scan(0, |bytes, line| {
                *bytes += line.len();
                (*bytes < page + line.len()).then_some(line)
            })
            .collect();
        let read = |place| {
            let text = format!("{HEADER}{}{others}{}", time_wait(place), time_wait(place));
            let (sockets, reading) = read_all(&text, Family::Inet);
            assert!(reading.in_pieces);
            (
                sockets.len() - others.lines().count(),
                reading.repeated,
                reading.ambiguous,
            )
        };
        assert_eq!(read(5), (1, 1, 0));
        assert_eq!(read(0), (1, 0, 1));
    }

    #[test]
    fn a_table_without_even_a_heading_is_not_a_table_of_no_sockets() {
        let mut keep = |_: &Socket| true;
        assert!(
            read(
                &b""[..],
                Protocol::Tcp,
                Family::Inet,
                &mut keep,
                &mut Vec::new()
            )
            .is_err()
        );
        assert!(
            read(
                HEADER.as_bytes(),
                Protocol::Tcp,
                Family::Inet,
                &mut keep,
                &mut Vec::new()
            )
            .is_ok()
        );
    }
}
