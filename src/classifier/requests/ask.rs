//! For which processes requests are searched, and what was found to one service.

use crate::classifier::client_wait::ClientWait;
use crate::classifier::report::Report;
use crate::model::{Ago, Endpoint, Pid, Socket};

/// The most connections in question that are used.
pub(super) const VICTIMS_MAX: usize = 1_000;

/// The processes whose requests are searched, and the clients that may wait for them.
pub(in crate::classifier) struct Ask<'a> {
    pub(in crate::classifier) netns: u16,
    pub(in crate::classifier) pids: &'a [Pid],
    /// The connections in question that wait for an answer.
    pub(super) victims: Vec<ClientWait>,
    /// The number of connections in question, and the earliest time at which one last received
    /// data.
    pub(super) sockets: usize,
    pub(super) asked: Option<Ago>,
}

impl<'a> Ask<'a> {
    /// For the requests of these processes, which may explain these connections.
    pub(in crate::classifier) fn of<'b>(
        report: &Report<'_>,
        netns: u16,
        pids: &'a [Pid],
        sockets: impl Iterator<Item = &'b Socket>,
    ) -> Ask<'a> {
        let mut ask = Ask {
            netns,
            pids,
            victims: Vec::new(),
            sockets: 0,
            asked: None,
        };
        for socket in sockets.take(VICTIMS_MAX) {
            ask.sockets += 1;
            let asked = socket.tcp.and_then(|tcp| tcp.last_data_recv());
            ask.asked = match (ask.asked, asked) {
                (Some(known), Some(asked)) => Some(known.earliest(asked)),
                (known, asked) => known.or(asked),
            };
            ask.victims.extend(ClientWait::of(report, socket));
        }
        ask
    }
}

/// Connections to one remote service.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) connections: usize,
    /// When each unanswered request was sent.
    pub(super) sent: Vec<Ago>,
    /// The local ends of those.
    pub(super) ends: Vec<Endpoint>,
    /// Something was received on one of those before.
    pub(super) heard: bool,
}
