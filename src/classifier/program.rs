//! Programs: processes that are counted and shown together, by name and common ancestor.

use super::owner::GroupOwner;
use crate::model::{Holders, Name, Pid, Side};

/// A program: a name, and the first of the successive ancestors that have the same name. A process
/// with unknown ancestors is a program of its own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Program {
    pub name: Name,
    pub first: Pid,
}

impl Program {
    /// The program of a holder; `None` if its name is unknown.
    pub fn of(holders: &Holders, pid: Pid) -> Option<Program> {
        let name = holders.name(pid)?;
        let ancestors = holders.ancestors(pid).iter();
        let first = ancestors.take_while(|(_, other)| other == name).last();
        Some(Program {
            name: name.clone(),
            first: first.map_or(pid, |(ancestor, _)| *ancestor),
        })
    }

    /// The programs of several holders, each once, ordered.
    pub fn all(holders: &Holders, pids: &[Pid]) -> Vec<Program> {
        let mut programs: Vec<Program> = pids
            .iter()
            .filter_map(|pid| Program::of(holders, *pid))
            .collect();
        programs.sort_unstable();
        programs.dedup();
        programs
    }
}

/// A key for owners: sockets of one service are grouped if their keys are equal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum OwnerKey {
    /// A program by its name; on the client side also by the first of its ancestors with that name.
    Program(Name, Option<Pid>),
    Processes(Vec<Pid>),
}

impl OwnerKey {
    /// The key of an owner.
    pub fn of(holders: &Holders, owner: &GroupOwner, side: Option<Side>) -> OwnerKey {
        let alone = || OwnerKey::Processes(owner.pids.clone());
        let programs = Program::all(holders, &owner.pids);
        let Some(program) = programs.first() else {
            return alone();
        };
        let same = programs.iter().all(|other| match side {
            Some(Side::Server) => other.name == program.name,
            Some(Side::Client) | None => other == program,
        });
        let named = owner.pids.iter().all(|pid| holders.name(*pid).is_some());
        if !same || !named {
            return alone();
        }
        let first = (side != Some(Side::Server)).then_some(program.first);
        OwnerKey::Program(program.name.clone(), first)
    }
}
