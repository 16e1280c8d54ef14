//! Readings of many hosts, summed by line, with the hosts of each.

use rustc_hash::FxHashMap;

use super::tally::{Dimension, Told, tally};
use super::{Report, StateCounts};
use crate::model::Gap;

/// One host's part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is called among the others.
    pub host: String,
    pub taken_at_ns: i128,
    /// The selected sockets of TCP by state.
    pub states: StateCounts,
    /// All selected sockets.
    pub sockets: u64,
    pub complete: bool,
    pub gaps: Vec<Gap>,
}

/// The sockets that have the same values, of all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub values: Vec<Told>,
    pub sockets: u64,
    pub close_wait: u64,
    /// The position of each host that has any, and how many; the most first.
    pub hosts: Vec<(usize, u64)>,
}

/// Readings of many hosts.
#[derive(Debug, Clone, Default)]
pub struct Merged {
    pub parts: Vec<Part>,
    lines: FxHashMap<Vec<Told>, Line>,
}

impl Merged {
    /// Adds a host's reading under a name of its own.
    pub fn add(&mut self, host: String, report: &Report<'_>, dimensions: &[Dimension]) {
        let at = self.parts.len();
        self.parts.push(Part {
            host,
            taken_at_ns: report.snapshot.taken_at_ns,
            states: report.states,
            sockets: report.len() as u64,
            complete: report.is_complete(),
            gaps: report.gaps.clone(),
        });
        for line in tally(report, dimensions) {
            let told = line.values.iter().map(|value| value.told(report.snapshot));
            let values: Vec<Told> = told.collect();
            let all = self.lines.entry(values.clone()).or_insert(Line {
                values,
                sockets: 0,
                close_wait: 0,
                hosts: Vec::new(),
            });
            all.sockets += line.sockets;
            all.close_wait += line.close_wait;
            // Several values may be told alike.
            match all.hosts.last_mut().filter(|(host, _)| *host == at) {
                Some((_, sockets)) => *sockets += line.sockets,
                None => all.hosts.push((at, line.sockets)),
            }
        }
    }

    /// The lines, the largest first.
    pub fn lines(&self) -> Vec<Line> {
        let mut lines: Vec<Line> = self.lines.values().cloned().collect();
        lines.sort_unstable_by(|a, b| {
            (b.sockets.cmp(&a.sockets)).then_with(|| a.values.cmp(&b.values))
        });
        for line in &mut lines {
            line.hosts
                .sort_by_key(|(host, sockets)| (std::cmp::Reverse(*sockets), *host));
        }
        lines
    }

    /// All selected sockets of all hosts.
    pub fn sockets(&self) -> u64 {
        self.parts.iter().map(|part| part.sockets).sum()
    }
}
