//! Whether the few bytes that lie unread on each connection of a finding may be a close_notify of
//! TLS. A short request looks the same, so that everything else must be ruled out first.

use super::finding::Finding;
use super::process::Descriptors;
use crate::model::Evidence;

/// A close_notify alert: 24 bytes with TLS 1.3, 31 with AES-GCM before, 23 with ChaCha20. With a MAC
/// it has the length of any line of text.
const BYTES: [u32; 3] = [23, 24, 31];

/// Whether the length fits, the bytes came with the FIN on connections on which something was sent
/// and all before was read, and those who hold them told that nothing keeps them from reading.
pub fn is_close_notify(finding: &Finding) -> bool {
    let set = &finding.set;
    let unread = set.recv_q.max.saturating_sub(1);
    BYTES.contains(&unread)
        && set.recv_q_min == set.recv_q.max
        && set.uncounted_fins == 0
        && set.closing_messages == set.sockets
        && finding.culprit.is_none()
        && finding.workers.backend().is_none()
        && !finding.evidence.is_empty()
        && finding.evidence.iter().all(may_read)
}

/// Whether a process told that it runs, rests and has descriptors left. What
/// was not asked is not ruled out.
fn may_read(evidence: &Evidence) -> bool {
    let has_descriptors = Descriptors::of(evidence).is_some_and(|left| left != Descriptors::Gone);
    evidence.threads.is_some()
        && evidence.cpu.is_some()
        && evidence.waits.is_some()
        && has_descriptors
}
