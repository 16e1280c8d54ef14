//! What must have been read for a column to be known.

use super::Column;
use crate::model::DetailSet;

/// What must have been read for a column to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// Who holds the sockets.
    pub owners: bool,
    /// tcp_info: times, and which end opened a connection.
    pub times: bool,
    pub details: DetailSet,
    /// The control groups of the holders.
    pub cgroups: bool,
}

impl Needs {
    pub fn and(self, other: Needs) -> Needs {
        Needs {
            owners: self.owners || other.owners,
            times: self.times || other.times,
            details: self.details.union(other.details),
            cgroups: self.cgroups || other.cgroups,
        }
    }

    /// What several columns need together.
    pub fn of(columns: &[Column]) -> Needs {
        let each = columns.iter().map(|column| column.needs());
        each.fold(Needs::default(), Needs::and)
    }
}

impl Column {
    /// What must be read for it to be known.
    pub fn needs(self) -> Needs {
        let mut needs = Needs::default();
        match self {
            Column::Owner
            | Column::OwnerKind
            | Column::Owners
            | Column::Pids
            | Column::Programs => needs.owners = true,
            Column::Cgroup | Column::Unit | Column::Container => {
                (needs.owners, needs.cgroups) = (true, true);
            }
            Column::Cause => (needs.owners, needs.times) = (true, true),
            Column::Age | Column::IdleAtLeast | Column::IdleAtMost | Column::Side => {
                needs.times = true
            }
            Column::Congestion => needs.details = DetailSet::CONGESTION,
            Column::Tos | Column::Tclass => needs.details = DetailSet::CLASS,
            Column::Shutdown => needs.details = DetailSet::SHUTDOWN,
            Column::Figure(figure) => needs.details = figure.needs(),
            _ => {}
        }
        needs
    }
}
