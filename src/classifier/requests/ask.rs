//! Whose requests are looked for, and what was found of those to one service.

use crate::classifier::client_wait::ClientWait;
use crate::classifier::report::Report;
use crate::model::{Ago, Endpoint, Pid, Socket};

/// The most connections in question that are looked at.
pub(super) const VICTIMS_MAX: usize = 1_000;

/// Whose requests are asked for, and on whose behalf they may have been sent.
pub(in crate::classifier) struct Ask<'a> {
    pub(in crate::classifier) netns: u16,
    pub(in crate::classifier) pids: &'a [Pid],
    /// Those of the connections in question that wait for an answer.
    pub(super) victims: Vec<ClientWait>,
    /// How many connections are in question, and when the last byte came in on each, the longest ago.
    pub(super) sockets: usize,
    pub(super) asked: Option<Ago>,
}

impl<'a> Ask<'a> {
    /// What these processes have asked, and whether that explains these connections.
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

/// Those to one remote service.
#[derive(Default)]
pub(super) struct Asked {
    pub(super) connections: usize,
    /// When each unanswered one was sent.
    pub(super) sent: Vec<Ago>,
    /// This end of those.
    pub(super) ends: Vec<Endpoint>,
    /// On one of those, something had come in before.
    pub(super) heard: bool,
}
