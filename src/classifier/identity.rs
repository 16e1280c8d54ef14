//! By what the owners of a finding are recognized if their name alone does not say which program they
//! are: twelve processes may be called python3.

use super::program::Program;
use super::report::Report;
use super::socket_set::SocketSet;
use crate::model::command::is_interpreter;
use crate::model::{Command, Evidence, Holders, Manager, Name, Pid, Process};

/// What tells a process from others of its name.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// What it runs, if it is an interpreter.
    pub command: Option<Command>,
    /// Its service or container.
    pub manager: Option<Manager>,
}

impl Identity {
    /// `None` if nothing was read.
    fn of(evidence: &Evidence) -> Option<Identity> {
        let (command, manager) = (&evidence.command, &evidence.inside.manager);
        (command.is_some() || manager.is_some()).then(|| Identity {
            command: command.clone(),
            manager: manager.clone(),
        })
    }
}

/// The identities of the owners of a finding.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Identities {
    /// Those that were read, in no order.
    pub known: Vec<(Pid, Identity)>,
    /// The name of the first owner does not identify it.
    is_ambiguous: bool,
}

impl Identities {
    pub fn of(report: &Report<'_>, set: &SocketSet, evidence: &[Evidence]) -> Identities {
        let owners = &set.owner.pids;
        let known: Vec<_> = (evidence.iter())
            .filter(|evidence| owners.contains(&evidence.pid))
            .filter_map(|evidence| Some((evidence.pid, Identity::of(evidence)?)))
            .collect();
        let first = owners.first();
        let first = known.iter().find(|(pid, _)| Some(pid) == first);
        let holders = report.holders();
        let is_ambiguous = first.is_some_and(|(pid, identity)| {
            let program = Program::of(holders, *pid);
            program.is_some_and(|program| {
                says_little(&program.name, identity.command.as_ref())
                    || has_namesakes(holders, &program)
            })
        });
        Identities {
            known,
            is_ambiguous,
        }
    }

    pub fn of_process(&self, pid: Pid) -> Option<&Identity> {
        let (_, identity) = self.known.iter().find(|(known, _)| *known == pid)?;
        Some(identity)
    }

    /// What identifies the first of these owners, if its name does not, and whether the others are known
    /// to be the same.
    pub fn beyond_the_name(&self, owners: &[Pid]) -> Option<(&Identity, bool)> {
        let first = self
            .of_process(*owners.first()?)
            .filter(|_| self.is_ambiguous)?;
        let same = owners
            .iter()
            .all(|pid| self.of_process(*pid) == Some(first));
        Some((first, same))
    }
}

/// Whether another program of this name holds sockets.
fn has_namesakes(holders: &Holders, program: &Program) -> bool {
    let named = |process: &&Process| process.name.as_ref() == Some(&program.name);
    let mut others = holders.processes().iter().filter(named);
    others.any(|other| Program::of(holders, other.pid).as_ref() != Some(program))
}

/// Whether a name is that of an interpreter, or of none of the programs that the process runs.
fn says_little(name: &Name, command: Option<&Command>) -> bool {
    match command {
        Some(command) => !command.is_called(name),
        None => is_interpreter(name.bytes()),
    }
}
