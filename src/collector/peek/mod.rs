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
    /// The gaps for sockets that could not be looked at, for those for which no holder was found, and for
    /// those that are not accepted.
    pub fn gaps(&self, hidden: u64, unaccepted: u64) -> Vec<Gap> {
        let hint: Words = match self.reason {
            Some(Errno::PERM | Errno::ACCESS) => by_capability("CAP_SYS_PTRACE").into(),
            Some(Errno::NOSYS) => "pidfd_getfd(2) needs Linux 5.6".into(),
            Some(_) => "".into(),
            // For root, the gap about the owners says more.
            None if rustix::process::geteuid().is_root() => "".into(),
            None => by_capability("CAP_SYS_PTRACE").into(),
        };
        let refused = gap(self.refused.saturating_add(hidden), "", hint);
        let why = ": they are not accepted, so no process has a descriptor";
        let unaccepted = gap(unaccepted, why, "".into());
        refused.into_iter().chain(unaccepted).collect()
    }
}

fn gap(count: u64, why: &str, hint: Words) -> Option<Gap> {
    let of = match count {
        0 => return None,
        1 => "1 socket".to_owned(),
        sockets => format!("{sockets} sockets"),
    };
    Some(Gap {
        kind: GapKind::EvidenceMissing,
        count,
        detail: format!("the unread bytes of {of} were not looked at{why}").into(),
        hint,
    })
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
        assert_eq!(closed.gaps(0, 0), [], "{closed:?}");
        let elsewhere = peek(Path::new("/host/proc"), &[unread(0), unread(1)]);
        let gaps = elsewhere.gaps(1, 5);
        assert_eq!(gaps.iter().map(|gap| gap.count).collect::<Vec<_>>(), [3, 5]);
        assert!(gaps[0].detail.raw().contains("3 sockets"), "{gaps:?}");
    }
}
