//! Whether the few unread bytes on each connection of a finding may be a TLS close_notify. A short
//! request looks the same, so everything else must be ruled out first.

use super::finding::Finding;
use super::process::Descriptors;
use crate::model::Evidence;

/// The size of a close_notify record: 24 bytes with TLS 1.3, 31 with AES-GCM before, 23 with
/// ChaCha20. Cipher suites with a MAC have no typical size.
const BYTES: [u32; 3] = [23, 24, 31];

/// Whether the length fits, the bytes came with the FIN after this side had sent and read
/// everything before, and nothing prevents the holders from reading.
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

/// Whether a process is known to run, rest and have descriptors left. Unknown facts do not rule out
/// a problem.
fn may_read(evidence: &Evidence) -> bool {
    let has_descriptors = Descriptors::of(evidence).is_some_and(|left| left != Descriptors::Gone);
    evidence.threads.is_some()
        && evidence.cpu.is_some()
        && evidence.waits.is_some()
        && has_descriptors
}
