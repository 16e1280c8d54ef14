//! Key: what the sockets of a set have in common.
use crate::classifier::listeners::Bound;
use crate::classifier::owner::GroupOwner;
use crate::classifier::program::OwnerKey;
use crate::classifier::report::Report;
use crate::classifier::row::Row;
use crate::classifier::service::{Service, ServiceEnd};
use crate::model::Cause;

/// What the sockets of a set have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::classifier) struct Key {
    pub(super) netns: u16,
    pub(super) cause: Cause,
    /// Their age is unknown, and so is whether they linger.
    pub(super) is_age_missing: bool,
    pub(super) end: ServiceEnd,
    pub(super) listener: Option<Bound>,
    pub(super) kind: Option<&'static str>,
    pub(super) owner: OwnerKey,
}

impl Key {
    pub(in crate::classifier) fn of(
        report: &Report<'_>,
        row: &Row<'_>,
        netns: u16,
        cause: Cause,
        is_age_missing: bool,
    ) -> Key {
        let owner = GroupOwner::of(&row.owner);
        let is_one = owner.kind == Some("process") && owner.pids.len() == 1;
        Key {
            netns,
            cause,
            is_age_missing,
            end: ServiceEnd::One(end(report, row)),
            listener: listener(report, row),
            kind: owner.kind,
            owner: if is_one {
                OwnerKey::of(report.holders(), &owner, row.side())
            } else {
                OwnerKey::Processes(owner.pids)
            },
        }
    }
}

impl Key {
    /// Whether it is the key of a row whose owner is the same.
    pub(in crate::classifier) fn is_of(
        &self,
        report: &Report<'_>,
        row: &Row<'_>,
        netns: u16,
        cause: Cause,
        is_age_missing: bool,
    ) -> bool {
        self.netns == netns
            && self.cause == cause
            && self.is_age_missing == is_age_missing
            && self.end == ServiceEnd::One(end(report, row))
            && self.listener == listener(report, row)
    }

    /// Whether the sockets of another key are among those of this one, which may be of several
    /// services.
    pub(in crate::classifier) fn covers(&self, other: &Key) -> bool {
        let is_end = match self.end {
            ServiceEnd::One(_) => self.end == other.end,
            ServiceEnd::Several(side, _) => side == other.end.side() && other.listener.is_none(),
        };
        let rest = |key: &Key| {
            (
                key.netns,
                key.cause,
                key.is_age_missing,
                key.listener,
                key.kind,
            )
        };
        is_end && rest(self) == rest(other) && self.owner == other.owner
    }
}

/// The listener of an unaccepted connection.
pub(super) fn listener(report: &Report<'_>, row: &Row<'_>) -> Option<Bound> {
    let unaccepted = row.socket.is_unaccepted();
    let listener = unaccepted.then(|| report.listeners().queue_of(row.socket))??;
    Some(listener.bound)
}

/// The service of a connection. For an unaccepted connection this is the service of its listener,
/// even if it came to another port.
pub(super) fn end(report: &Report<'_>, row: &Row<'_>) -> Service {
    listener(report, row).map_or_else(|| row.service(), |listener| listener.service())
}
