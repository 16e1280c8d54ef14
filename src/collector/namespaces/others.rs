//! The network namespaces that were not read: how many there are.

use super::find::Search;
use super::netns;
use super::omission::Omission;
use super::place::Key;
use crate::collector::procfs::is_ours;
use crate::collector::request::{NetnsChoice, Request};
use crate::model::{Namespace, OtherNamespaces, Pid, Words};

/// Counts the namespaces that were not read; `None` if all were to be read, or the filter names the
/// processes whose namespaces were.
pub(in crate::collector) fn others(
    request: &Request,
    read: &[Namespace],
) -> Option<OtherNamespaces> {
    let of_one = match &request.netns {
        NetnsChoice::All | NetnsChoice::Of { .. } | NetnsChoice::Missing(_) => return None,
        NetnsChoice::Own => Some(Pid(1)).filter(|_| !is_ours(&request.proc_root)),
        NetnsChoice::One(name) => name.0.parse().ok().map(Pid),
    };
    let search = Search::of_processes(&request.proc_root);
    let of_one = of_one.and_then(|pid| search.key_of(pid));
    let found = search.found();
    let own_was_read = request.netns == NetnsChoice::Own || is_own(read);
    let was_read = |key: &Key| match key {
        Key::Own => own_was_read,
        Key::Inode(number) => read
            .iter()
            .any(|namespace| namespace.inode == Some(*number)),
        // It was read from the files of a process in it.
        Key::Table(_) => of_one == Some(*key),
    };
    let mut others = OtherNamespaces {
        unknown: found.unknown,
        doubt: found
            .omissions
            .first()
            .map(Omission::words)
            .map(Words::from),
        ..OtherNamespaces::default()
    };
    let mut closed = 0;
    for (key, place) in found.places.iter().filter(|(key, _)| !was_read(key)) {
        others.namespaces += 1;
        others.processes += place.processes;
        closed += u64::from(matches!(key, Key::Table(_)));
    }
    // Each may be one of the mounts, which were counted.
    others.namespaces -= found.unidentified.min(closed);
    Some(others)
}

/// Whether one of the namespaces is the one that this process is in.
fn is_own(read: &[Namespace]) -> bool {
    let own = netns::current();
    own.is_some() && read.iter().any(|namespace| namespace.inode == own)
}
