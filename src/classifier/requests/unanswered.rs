//! Whether an answer is missing on a connection that a program opened.
use crate::classifier::report::Report;
use crate::model::{Ago, Endpoint, Pid, Socket, State, Tick};

/// A connection that never received anything belongs to a one-way protocol, such as syslog, if it
/// has sent this many segments of less than [`SEGMENT_SMALL`] bytes on average: a first request has
/// few segments, or full ones.
const SEGMENTS_MANY: u32 = 8;
const SEGMENT_SMALL: u64 = 500;
/// The most requests to one service whose other ends are searched.
pub(super) const ENDS_MAX: usize = 1_000;

/// When the last byte of an unanswered request was sent; `None` if there is none, or that is
/// unknown.
pub(super) fn unanswered(socket: &Socket, tick: Tick) -> Option<Ago> {
    let tcp = socket.tcp?;
    let sent = tcp.last_data_sent()?;
    let has_sent = tcp.data_segs_out().is_none_or(|segments| segments > 0);
    let waits = match tcp.bytes_received() {
        Some(0) => !is_one_way(socket),
        _ => sent.is_after(tcp.last_data_recv()?, tick) == Some(true),
    };
    (has_sent && waits).then_some(sent)
}

/// The local ends of connections of processes to a remote end on which an answer may be missing,
/// without those that were certainly answered.
pub(in crate::classifier) fn ends(
    report: &Report<'_>,
    netns: u16,
    pids: &[Pid],
    remote: Endpoint,
    state: State,
) -> Vec<Endpoint> {
    let tick = report.snapshot.host.tick;
    let may_wait = |socket: &&Socket| {
        let times = socket
            .tcp
            .and_then(|tcp| Some((tcp.last_data_sent()?, tcp.last_data_recv()?)));
        let is_answered =
            times.is_none_or(|(sent, received)| received.is_after(sent, tick) == Some(true));
        socket.state == state
            && socket.netns == netns
            && socket.remote.canonical() == remote
            && !(is_answered && state == State::Established)
    };
    let sockets = pids.iter().flat_map(|pid| report.context.held(*pid));
    sockets
        .filter(may_wait)
        .map(|socket| socket.local.canonical())
        .take(ENDS_MAX)
        .collect()
}

/// When the last byte of a request was sent, if no answer ever came.
pub(in crate::classifier) fn never_answered(socket: &Socket) -> Option<Ago> {
    let tcp = socket.tcp?;
    let waits = tcp.bytes_received() == Some(0)
        && tcp.data_segs_out().is_some_and(|segments| segments > 0)
        && !is_one_way(socket);
    tcp.last_data_sent().filter(|_| waits)
}

/// Whether a connection that received nothing looks like a one-way protocol.
fn is_one_way(socket: &Socket) -> bool {
    let sent = socket
        .tcp
        .and_then(|tcp| Some((tcp.data_segs_out()?, tcp.bytes_sent()?)));
    sent.is_some_and(|(segments, bytes)| {
        segments >= SEGMENTS_MANY && bytes < u64::from(segments).saturating_mul(SEGMENT_SMALL)
    })
}
