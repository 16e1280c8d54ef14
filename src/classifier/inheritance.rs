//! Inheritance: sockets that a process got from another process by fork(2), instead of opening them
//! itself.

use super::listeners::Listeners;
use crate::model::{Ago, Holder, Holders, Pid, Snapshot, Socket, State, TcpInfo};
use rustc_hash::FxHashMap;

/// How much younger than the last byte of a socket its holder must be to have inherited it, in
/// milliseconds: the two times are rounded and read at different moments.
const INHERITED_MARGIN_MS: u64 = 1_000;

/// The processes that hold several CLOSE_WAIT sockets which they cannot have opened, ordered. A
/// single such socket proves nothing: a server that forks for each connection gives one to each
/// child.
pub(super) fn inheritors(snapshot: &Snapshot, listeners: &Listeners) -> Vec<Pid> {
    let Some(holders) = &snapshot.holders else {
        return Vec::new();
    };
    let mut counts: FxHashMap<Pid, u32> = FxHashMap::default();
    for socket in &snapshot.sockets {
        if socket.state != State::CloseWait {
            continue;
        }
        let listener = listeners
            .covering(socket)
            .map_or([].as_slice(), |listener| &listener.holders);
        for holder in holders.of(socket.inode) {
            if has_inherited(socket, holder.pid, listener, holders) {
                *counts.entry(holder.pid).or_default() += 1;
            }
        }
    }
    let mut inheritors: Vec<Pid> = counts
        .into_iter()
        .filter(|(_, count)| *count > 1)
        .map(|(pid, _)| pid)
        .collect();
    inheritors.sort_unstable();
    inheritors
}

/// Whether a process inherited a socket. It did if it is younger than the last byte sent on it; or
/// if it does not hold the listener, and is younger than the last byte received, or is another
/// program started by a holder of the listener. (A worker of the same program may be an old one
/// that lost the listener in a reload. A holder of the listener may have accepted late what arrived
/// before it started.)
pub(super) fn has_inherited(
    socket: &Socket,
    pid: Pid,
    listener: &[Holder],
    holders: &Holders,
) -> bool {
    let tcp = socket.tcp.as_ref();
    let younger_than = |time: Option<Ago>| {
        time.zip(holders.age_ms(pid))
            .is_some_and(|(time, age)| time.is_before(age.saturating_add(INHERITED_MARGIN_MS)))
    };
    let sent = tcp
        .filter(|tcp| tcp.data_segs_out().is_some_and(|segments| segments > 0))
        .and_then(|tcp| tcp.last_data_sent());
    if younger_than(sent) {
        return true;
    }
    if listener.iter().any(|holder| holder.pid == pid) {
        return false;
    }
    let name = holders.name(pid);
    let started_by_the_listeners = holders.ancestors(pid).iter().any(|(ancestor, other)| {
        name.is_some_and(|name| name != other)
            && listener.iter().any(|holder| holder.pid == *ancestor)
    });
    younger_than(tcp.and_then(|tcp| received(socket, tcp))) || started_by_the_listeners
}

/// When data was last received. On CLOSE_WAIT no byte follows the FIN, so it is not after the last
/// acknowledgement.
pub(super) fn received(socket: &Socket, tcp: &TcpInfo) -> Option<Ago> {
    let received = tcp.last_data_recv()?;
    Some(match tcp.last_ack_recv() {
        Some(acked) if socket.state == State::CloseWait => received.not_after(acked),
        _ => received,
    })
}
