//! Looks at the first unread bytes of sockets that findings name, for `--peek`. Nothing is consumed.
//!
//! pidfd_getfd(2) gives a second descriptor of the socket, and recv(2) with `MSG_PEEK` copies what lies
//! unread. While the second descriptor is open, a close(2) of the program sends no FIN. So sockets are
//! borrowed one at a time, each for a few microseconds.
//!
//! Only what [`content::of`] recognizes leaves this module: never the bytes.

pub mod content;
mod http;
mod option;
mod socket;
mod text;
mod tls;

use std::path::Path;

use rustix::io::Errno;

use self::socket::{Look, Process};
use crate::collector::access::by_capability;
use crate::collector::procfs::is_ours;
use crate::model::{Gap, GapKind, Peeked, Pid, Unread, Words};

/// What was seen of unread bytes.
#[derive(Debug, Default)]
pub struct Peeks {
    /// Each with the process whose descriptor was used.
    pub seen: Vec<(Pid, Peeked)>,
    /// How many sockets could not be looked at, and why the first of them. Sockets that were closed or
    /// read meanwhile do not count.
    refused: u64,
    reason: Option<Errno>,
}

/// Looks at these sockets.
pub fn peek(proc_root: &Path, sockets: &[Unread]) -> Peeks {
    let mut peeks = Peeks::default();
    let mut last: Option<(Pid, Result<Process, Errno>)> = None;
    for unread in sockets {
        let pid = unread.holder.pid;
        let (_, process) = match last.take() {
            Some(open) if open.0 == pid => last.insert(open),
            _ => last.insert((pid, Process::open(pid))),
        };
        let look = match process {
            // The numbers of another procfs may be those of other processes here.
            _ if !is_ours(proc_root) => Err(Errno::OPNOTSUPP),
            Ok(process) => process.look(unread),
            Err(error) => Err(*error),
        };
        match look {
            Ok(Look::Seen(peeked)) => peeks.seen.push((pid, peeked)),
            Ok(Look::Another | Look::Empty) | Err(Errno::SRCH | Errno::BADF | Errno::AGAIN) => {}
            Err(reason) => {
                peeks.refused += 1;
                peeks.reason.get_or_insert(reason);
            }
        }
    }
    peeks
}

impl Peeks {
    /// The gap for sockets that could not be looked at, and for those for which no holder was found.
    pub fn gap(&self, hidden: u64) -> Option<Gap> {
        let hint: Words = match self.reason {
            Some(Errno::PERM | Errno::ACCESS) => by_capability("CAP_SYS_PTRACE").into(),
            Some(Errno::NOSYS) => "pidfd_getfd(2) needs Linux 5.6".into(),
            Some(_) => "".into(),
            // For root, the gap about the owners says more.
            None if rustix::process::geteuid().is_root() => "".into(),
            None => by_capability("CAP_SYS_PTRACE").into(),
        };
        let count = self.refused.saturating_add(hidden);
        let of = match count {
            0 => return None,
            1 => "1 socket".to_owned(),
            sockets => format!("{sockets} sockets"),
        };
        Some(Gap {
            kind: GapKind::EvidenceMissing,
            count,
            detail: format!("the unread bytes of {of} were not looked at").into(),
            hint,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Holder;

    #[test]
    fn sockets_that_may_not_be_looked_at_are_a_gap_and_closed_ones_are_not() {
        let unread = |fd| Unread {
            holder: Holder {
                inode: 1,
                pid: Pid(std::process::id()),
                fd,
            },
            cookie: None,
        };
        let closed = peek(Path::new("/proc"), &[unread(u32::MAX), unread(1_000_000)]);
        assert_eq!(closed.gap(0), None, "{closed:?}");
        let elsewhere = peek(Path::new("/host/proc"), &[unread(0), unread(1)]);
        let gap = elsewhere.gap(1).unwrap();
        assert_eq!(gap.count, 3);
        assert!(gap.detail.raw().contains("3 sockets"), "{gap:?}");
    }
}
