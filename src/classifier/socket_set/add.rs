//! Adds one socket to the figures of a set.

use super::SocketSet;
use crate::classifier::facts::PeerEnd;
use crate::classifier::report::Report;
use crate::classifier::row::Row;
use crate::classifier::waiting::{Others, Wait};
use crate::model::{StateSet, TimerKind};

impl SocketSet {
    pub(super) fn add(&mut self, row: &Row<'_>, report: &Report<'_>) {
        let socket = row.socket;
        if let Some(missing) = row.missing {
            match self.missing.iter_mut().find(|(known, _)| *known == missing) {
                Some((_, count)) => *count += 1,
                None => self.missing.push((missing, 1)),
            }
        }
        self.recv_q.add(socket.recv_q);
        self.recv_q_min = self.recv_q_min.min(socket.recv_q);
        self.unread += u64::from(socket.unread() > 0);
        let facts = report.facts(row);
        self.uncounted_fins += u64::from(!facts.counts_fin);
        self.send_q_max = self.send_q_max.max(socket.send_q);
        self.unmeasured |= socket.unmeasured;
        let at_most_ms = row.idle.and_then(|idle| idle.at_most_ms);
        self.at_most_ms = self.at_most_ms.zip(at_most_ms).map(|(a, b)| a.max(b));
        match socket.timer {
            Some(timer) if timer.kind == TimerKind::Keepalive => {
                self.keepalive += 1;
                let next = self.next_probe_ms.unwrap_or(u32::MAX);
                self.next_probe_ms = Some(next.min(timer.expires_ms));
            }
            Some(_) => {}
            None => self.no_timer += 1,
        }
        let tcp = socket.tcp.as_ref();
        let silent = tcp
            .and_then(|tcp| tcp.bytes_received())
            .map(|bytes| bytes <= 1);
        self.silent = self
            .silent
            .zip(silent)
            .map(|(count, one)| count + u64::from(one));
        let unanswered = facts.answered_after_last_byte();
        self.unanswered = self
            .unanswered
            .zip(unanswered)
            .map(|(count, answered)| count + u64::from(!answered));
        self.half_closed.add(&facts);
        match report.peer(socket) {
            Some((PeerEnd::Waiting, state, holders)) => {
                self.peers.waiting += 1;
                self.peers.waiting_in = self.peers.waiting_in.union(StateSet::of(state));
                self.peers
                    .pids
                    .extend(holders.iter().map(|holder| holder.pid));
            }
            Some((PeerEnd::Orphaned, state, _)) => {
                self.peers.orphaned += 1;
                self.peers.orphaned_in = self.peers.orphaned_in.union(StateSet::of(state));
            }
            None => {}
        }
        let has_closing_message = facts.read_before == Some(true)
            && facts.ever_sent == Some(true)
            && facts.ends_with_data();
        self.closing_messages += u64::from(has_closing_message);
        self.no_tcp_info &= socket.tcp.is_none();
        if socket.inode != 0 {
            let holders = row.owner.holders().iter();
            self.held
                .extend(holders.map(|holder| (holder.pid, socket.inode)));
        }
    }

    pub(super) fn add_wait(
        &mut self,
        wait: Wait,
        row: &Row<'_>,
        report: &Report<'_>,
        others: &Others<'_>,
    ) {
        if let Some(waiting) = &mut self.waiting {
            waiting.add(wait, row.socket);
        }
        if let Some(other) = others.end(row.socket) {
            self.peers.waiting += 1;
            self.peers.waiting_in = self.peers.waiting_in.union(StateSet::of(other.state));
            let holders = report.holders().of(other.inode).iter();
            self.peers.pids.extend(holders.map(|holder| holder.pid));
        }
    }
}
