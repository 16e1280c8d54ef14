//! What the sockets of a pool that the server closed are consistent with.

use super::owner::{is_blocked, is_free};
use super::{Pool, PoolVerdict};
use crate::classifier::Report;
use crate::classifier::culprit::Culprit;
use crate::classifier::rules::Thresholds;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::time_pattern::Pattern;
use crate::classifier::workers::Workers;
use crate::model::{Cause, Evidence};

/// A leak of which the first came after this part of a program's life, in percent, is as old as the
/// program: it had to start, and the server to lose its patience.
const LIFE_PERCENT: u64 = 75;

impl PoolVerdict {
    /// Of the connections that a server closed, by what their owners told; `None` of others, and
    /// where somebody else must act.
    pub(in crate::classifier) fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &[Evidence],
        workers: &Workers,
        thresholds: &Thresholds,
    ) -> Option<PoolVerdict> {
        let pool = set.pool?;
        if Culprit::of(report, set, evidence, workers).is_some() {
            return None;
        }
        let callers = pool.callers.unwrap_or_default();
        if pool.is_all_gone() && pool.was_used_before() && is_free(set, callers, evidence, workers)
        {
            return Some(PoolVerdict::Exhausted);
        }
        if set.cause != Cause::StalePool {
            return None;
        }
        if evidence.iter().any(|evidence| is_blocked(set, evidence)) {
            return Some(PoolVerdict::Blocked);
        }
        if pool.leaks_otherwise() {
            return Some(PoolVerdict::Leak);
        }
        let kind = pool.pattern.map(|pattern| pattern.kind);
        Some(match kind {
            // No pool is that large; and where callers wait, all of it may be gone.
            Some(Pattern::Burst) if set.sockets >= thresholds.critical => PoolVerdict::Ambiguous,
            Some(Pattern::Burst) if pool.is_all_gone() => PoolVerdict::Ambiguous,
            Some(Pattern::Burst) => PoolVerdict::AtRest,
            Some(Pattern::Spread) if pool.is_as_old_as_its_owner(set) => PoolVerdict::Leak,
            Some(Pattern::Spread | Pattern::Mixed | Pattern::Few) | None => PoolVerdict::Ambiguous,
        })
    }
}

impl Pool {
    /// Whether they were closed one by one ever since the program started.
    fn is_as_old_as_its_owner(&self, set: &SocketSet) -> bool {
        let patience = set.patience.map_or(0, |patience| patience.p50_ms.into());
        let since = self
            .pattern
            .map(|pattern| pattern.oldest_ms.saturating_add(patience));
        since.zip(self.life_ms).is_some_and(|(since, life)| {
            since.saturating_mul(100) >= life.saturating_mul(LIFE_PERCENT)
        })
    }
}
