//! Waits of clients: from when a peer sent its request until it hung up. A request that was sent to
//! another service in that time may be for that peer.

use super::report::Report;
use crate::model::{Ago, Side, Socket, State, Tick};

/// The time from the request of a client until it hung up.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientWait {
    pub(super) asked: Ago,
    /// When it hung up, at the latest; `None` if it still waits.
    left: Option<Ago>,
}

impl ClientWait {
    /// Of an accepted connection without an answer; `None` for others, or if times are unknown.
    pub(super) fn of(report: &Report<'_>, socket: &Socket) -> Option<ClientWait> {
        let tcp = socket.tcp?;
        let (asked, sent) = (tcp.last_data_recv()?, tcp.last_data_sent()?);
        let is_answered = sent.is_after(asked, report.snapshot.host.tick) == Some(true);
        if is_answered || report.context.sides.side(socket) != Some(Side::Server) {
            return None;
        }
        let left = match socket.state {
            State::CloseWait => {
                let idle = report.context.idle(socket)?.at_least_ms;
                Some(Ago::from_kernel(u32::try_from(idle).ok()?))
            }
            _ => None,
        };
        Some(ClientWait { asked, left })
    }

    /// Whether the client may have hung up after a request was sent.
    pub(super) fn may_outlast(&self, request: Ago, tick: Tick) -> bool {
        let is_later = |left| request.is_after(left, tick) == Some(true);
        !self.left.is_some_and(is_later)
    }

    /// Whether a request may have been sent for this client.
    pub(super) fn may_have_caused(&self, request: Ago, tick: Tick) -> bool {
        self.asked.is_after(request, tick) != Some(true)
    }
}

/// Sorts waits by their start, the latest first, and extends each to the latest end of all that
/// started no later. Then only the first wait that started early enough for a request needs to be
/// tested.
pub(super) fn cover(waits: &mut [ClientWait]) {
    waits.sort_by_key(|wait| wait.asked.milliseconds());
    let mut latest: Option<Option<Ago>> = None;
    for wait in waits.iter_mut().rev() {
        if let Some(known) = latest {
            wait.left = wait.left.zip(known).map(|(left, known)| left.latest(known));
        }
        latest = Some(wait.left);
    }
}

/// Whether a request may have been sent during one of these waits, which [`cover`] has prepared.
pub(super) fn may_cover(covered: &[ClientWait], request: Ago, tick: Tick) -> bool {
    let from = covered.partition_point(|wait| !wait.may_have_caused(request, tick));
    let first = covered.get(from);
    first.is_some_and(|wait| wait.may_outlast(request, tick))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_covered_if_it_lies_in_any_span() {
        let ago = Ago::from_kernel;
        let times = [0, 5, 9, 10, 400, 405, 1_000, 5_000];
        let each = times.iter().flat_map(|asked| {
            let ends = times.iter().map(|left| Some(ago(*left))).chain([None]);
            ends.map(|left| ClientWait {
                asked: ago(*asked),
                left,
            })
        });
        let each: Vec<ClientWait> = each.collect();
        let tick = Tick::LONGEST;
        for (one, other) in each
            .iter()
            .flat_map(|one| each.iter().map(move |o| (one, o)))
        {
            let waits = [*one, *other, each[3]];
            let mut covered = waits;
            cover(&mut covered);
            for request in times.map(ago) {
                let lies_in = |wait: &ClientWait| {
                    wait.may_have_caused(request, tick) && wait.may_outlast(request, tick)
                };
                let expected = waits.iter().any(lies_in);
                assert_eq!(may_cover(&covered, request, tick), expected, "{waits:?}");
            }
        }
    }
}
