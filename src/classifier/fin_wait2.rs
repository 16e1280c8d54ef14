//! What will end FIN_WAIT2 sockets, and when.

use super::report::Report;
use super::service::Service;
use crate::model::State;

/// What will end FIN_WAIT2 sockets, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FinWait2 {
    /// Sockets without a process: the kernel ends them.
    pub orphaned: u64,
    /// The time until the last of those ends, in milliseconds.
    pub last_ends_ms: Option<u32>,
    /// The service that all of those are connections to, if it is one.
    pub orphaned_to: Option<Service>,
    /// Sockets that a process holds: nothing ends them.
    pub held: u64,
}

impl FinWait2 {
    pub fn of(report: &Report<'_>) -> FinWait2 {
        let mut all = FinWait2::default();
        for row in report.rows() {
            let socket = row.socket;
            match (socket.state, socket.inode) {
                (State::FinWait2, 0) => {
                    all.orphaned += 1;
                    let ends = socket.timer.map(|timer| timer.expires_ms);
                    all.last_ends_ms = all.last_ends_ms.max(ends);
                    let service = Some(row.service());
                    let is_first = all.orphaned == 1;
                    all.orphaned_to = service.filter(|_| is_first || all.orphaned_to == service);
                }
                (State::FinWait2, _) => all.held += 1,
                _ => {}
            }
        }
        all
    }
}
