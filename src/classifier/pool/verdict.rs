//! Decides what the sockets of a pool that the server closed are consistent with.

use super::owner::{is_blocked, is_free};
use super::{Pool, PoolVerdict};
use crate::classifier::Report;
use crate::classifier::culprit::Culprit;
use crate::classifier::rules::Thresholds;
use crate::classifier::socket_set::SocketSet;
use crate::classifier::stacks::SharedStacks;
use crate::classifier::time_pattern::Pattern;
use crate::classifier::workers::Workers;
use crate::model::{Cause, Evidence};

/// A leak whose first connection is older than this share of the age of its program, in percent, is
/// as old as the program: that had to start, and the server's timeout to expire.
const LIFE_PERCENT: u64 = 75;

impl PoolVerdict {
    /// Decides by the evidence of the owners; `None` if the server did not close the connections,
    /// or somebody else must act.
    pub(in crate::classifier) fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &[Evidence],
        workers: &Workers,
        stacks: &SharedStacks,
        thresholds: &Thresholds,
    ) -> Option<PoolVerdict> {
        let pool = set.pool?;
        if Culprit::of(report, set, evidence, workers, stacks).is_some() {
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
            // No pool is that large; and if clients wait, all of it may be in use.
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
