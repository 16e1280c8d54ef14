//! The values of sockets as numbers, so that a socket costs no allocation.

use std::net::IpAddr;

use rustc_hash::FxHashMap;

use super::dimension::Dimension;
use super::interned::Interned;
use super::value::Value;
use crate::classifier::owner::GroupOwner;
use crate::classifier::report::Report;
use crate::classifier::row::Row;
use crate::model::{Cause, Cgroup, Name, Owner, Pid, Placed, Protocol, Side, State};

/// The number of the value in each dimension.
pub(super) type Key = [u32; Dimension::ALL.len()];
const NONE: u32 = u32::MAX;
const UNKNOWN: u32 = u32::MAX - 1;
const OUTSIDE: u32 = u32::MAX - 2;
const UNCONNECTED: u32 = u32::MAX - 3;

pub(super) struct Values<'a> {
    report: &'a Report<'a>,
    peers: Interned<IpAddr>,
    programs: Interned<Vec<Name>>,
    pids: Interned<Vec<Pid>>,
    /// Units and containers.
    scopes: Interned<Name>,
    /// The number of the program of a process, if that is the only holder.
    of_process: FxHashMap<Pid, u32>,
    /// The number of a process among `pids`, if it is the only holder.
    of_pid: FxHashMap<Pid, u32>,
    last_pids: Option<(GroupOwner, u32)>,
    /// The holders of the last socket with several: such sockets are often adjacent.
    last: Option<(GroupOwner, u32)>,
}

impl<'a> Values<'a> {
    pub(super) fn of(report: &'a Report<'a>) -> Values<'a> {
        Values {
            report,
            peers: Interned::default(),
            programs: Interned::default(),
            pids: Interned::default(),
            scopes: Interned::default(),
            of_process: FxHashMap::default(),
            of_pid: FxHashMap::default(),
            last_pids: None,
            last: None,
        }
    }

    pub(super) fn key(&mut self, dimensions: &[Dimension], row: &Row<'_>) -> Key {
        let mut key = Key::default();
        for (part, dimension) in key.iter_mut().zip(dimensions) {
            *part = self.number(*dimension, row);
        }
        key
    }

    pub(super) fn of_key(&self, dimensions: &[Dimension], key: &Key) -> Vec<Value> {
        let parts = key.iter().zip(dimensions);
        parts
            .map(|(number, dimension)| self.value(*dimension, *number))
            .collect()
    }

    fn number(&mut self, dimension: Dimension, row: &Row<'_>) -> u32 {
        let socket = row.socket;
        match dimension {
            Dimension::Protocol => socket.protocol as u32,
            Dimension::State if socket.is_unconnected() => UNCONNECTED,
            Dimension::State => socket.state as u32,
            Dimension::Side => row.side().map_or(UNKNOWN, |side| side as u32),
            Dimension::Port => row.service().port().map_or(UNKNOWN, u32::from),
            Dimension::Peer if socket.remote.port == 0 => NONE,
            Dimension::Peer => self.peers.number(socket.remote.canonical().addr),
            Dimension::Program => self.program(&row.owner),
            Dimension::Pid => self.pids(&row.owner),
            // User id -1 does not exist: setuid(2) treats it as "none".
            Dimension::User => socket.user().unwrap_or(NONE),
            Dimension::Unit => self.scope(row, |cgroup| cgroup.unit.as_ref()),
            Dimension::Container => self.scope(row, |cgroup| cgroup.container.as_ref()),
            Dimension::Netns => socket.netns.into(),
            Dimension::Cause => row.cause.map_or(NONE, |cause| cause as u32),
        }
    }

    fn scope(&mut self, row: &Row<'_>, of: fn(&Cgroup) -> Option<&Name>) -> u32 {
        let Some(cgroups) = &self.report.snapshot.cgroups else {
            return UNKNOWN;
        };
        match cgroups.of(row.socket, &row.owner) {
            Placed::In(cgroup) => of(cgroup).map_or(OUTSIDE, |name| self.scopes.number_of(name)),
            Placed::Nowhere => NONE,
            Placed::Unknown => UNKNOWN,
        }
    }

    fn pids(&mut self, owner: &Owner<'_>) -> u32 {
        let holders = owner.holders();
        let Some(first) = holders.first() else {
            return match owner {
                Owner::Kernel => NONE,
                _ => UNKNOWN,
            };
        };
        if holders.iter().any(|holder| holder.pid != first.pid) {
            if let Some((last, number)) = &self.last_pids
                && last.is(owner)
            {
                return *number;
            }
            let several = GroupOwner::of(owner);
            let number = self.pids.number(several.pids.clone());
            self.last_pids = Some((several, number));
            return number;
        }
        if let Some(number) = self.of_pid.get(&first.pid) {
            return *number;
        }
        let number = self.pids.number(vec![first.pid]);
        self.of_pid.insert(first.pid, number);
        number
    }

    fn program(&mut self, owner: &Owner<'_>) -> u32 {
        let holders = owner.holders();
        let Some(first) = holders.first() else {
            return match owner {
                Owner::Kernel => NONE,
                _ => UNKNOWN,
            };
        };
        if holders.iter().all(|holder| holder.pid == first.pid) {
            if let Some(number) = self.of_process.get(&first.pid) {
                return *number;
            }
            let number = self.programs.number(vec![self.name(first.pid)]);
            self.of_process.insert(first.pid, number);
            return number;
        }
        if let Some((last, number)) = &self.last
            && last.is(owner)
        {
            return *number;
        }
        let several = GroupOwner::of(owner);
        let mut names: Vec<Name> = several.pids.iter().map(|pid| self.name(*pid)).collect();
        names.sort_unstable();
        names.dedup();
        let number = self.programs.number(names);
        self.last = Some((several, number));
        number
    }

    fn name(&self, pid: Pid) -> Name {
        let name = self.report.holders().name(pid);
        // The process ended before its name was read.
        name.cloned().unwrap_or_else(|| Name::new(*b"?"))
    }

    fn value(&self, dimension: Dimension, number: u32) -> Value {
        let narrow = u16::try_from(number).ok();
        let value = match (dimension, number) {
            (_, NONE) => return Value::None,
            // The largest user id is the number of UNKNOWN; users are never unknown.
            (Dimension::User, _) => Some(Value::User(number)),
            (_, UNKNOWN) => return Value::Unknown,
            (Dimension::Protocol, _) => [Protocol::Tcp, Protocol::Mptcp, Protocol::Udp]
                .into_iter()
                .find(|protocol| *protocol as u32 == number)
                .map(Value::Protocol),
            (Dimension::State, UNCONNECTED) => Some(Value::Unconnected),
            (Dimension::State, _) => State::ALL
                .into_iter()
                .find(|state| *state as u32 == number)
                .map(Value::State),
            (Dimension::Side, _) => [Side::Server, Side::Client]
                .into_iter()
                .find(|side| *side as u32 == number)
                .map(Value::Side),
            (Dimension::Cause, _) => Cause::ALL
                .into_iter()
                .find(|cause| *cause as u32 == number)
                .map(Value::Cause),
            (Dimension::Port, _) => narrow.map(Value::Port),
            (Dimension::Netns, _) => narrow.map(Value::Netns),
            (Dimension::Peer, _) => self.peers.thing(number).copied().map(Value::Peer),
            (Dimension::Unit | Dimension::Container, OUTSIDE) => Some(Value::Outside),
            (Dimension::Unit | Dimension::Container, _) => {
                self.scopes.thing(number).cloned().map(Value::Scope)
            }
            (Dimension::Pid, _) => self.pids.thing(number).cloned().map(Value::Pids),
            (Dimension::Program, _) => self.programs.thing(number).cloned().map(Value::Programs),
        };
        value.unwrap_or(Value::Unknown)
    }
}
