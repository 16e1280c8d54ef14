//! What a scenario file holds: the keys of the TOML, and nothing about what they mean.
//!
//! `fixtures/scenarios/README.md` documents them. An unknown key is an error: a misspelt
//! expectation would otherwise be met by everything.

use std::collections::BTreeMap;

use closewait::model::{Inside, Tools};
use serde::Deserialize;

use super::halt::Halted;
use super::origin::Origins;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    pub title: String,
    pub why: String,
    #[serde(default)]
    pub source: Source,
    #[serde(default)]
    pub listeners: Vec<String>,
    pub sockets: Vec<String>,
    /// How many CLOSE_WAIT sockets have each cause; those of no socket are left out.
    pub causes: BTreeMap<String, u64>,
    /// Kinds of gaps that the judgement must add; none by default.
    #[serde(default)]
    pub gaps: Vec<String>,
    /// What the program gets wrong today. The test then passes while the scenario fails.
    pub wrong_today: Option<String>,
    #[serde(default)]
    pub host: Host,
    #[serde(default)]
    pub rules: Rules,
    #[serde(default)]
    pub process: Vec<Process>,
    /// The findings, in the order in which they are shown.
    #[serde(default)]
    pub expect: Vec<Expect>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    #[default]
    Netlink,
    Procfs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// `first-last`.
    pub ephemeral: Option<String>,
    pub somaxconn: Option<u32>,
    /// What the kernel's times are known to.
    pub tick: Option<String>,
    pub listen_overflows: Option<u64>,
    pub listen_drops: Option<u64>,
    /// Processes whose open files cannot be read.
    #[serde(default)]
    pub unreadable_processes: u32,
    /// `false`: owners were not asked for.
    pub owners: Option<bool>,
    /// The tools that a shell finds; omitted: not looked up.
    pub tools: Option<Tools>,
    /// The namespace is another than the reader's, and was asked for by this name.
    pub netns: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    pub grace: Option<String>,
    pub warning: Option<u64>,
    pub critical: Option<u64>,
    pub fd_warning: Option<u64>,
    pub fd_critical: Option<u64>,
    pub queue_warning: Option<u64>,
    pub queue_critical: Option<u64>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    pub pid: u32,
    /// Others with the same evidence.
    #[serde(default)]
    pub also: Vec<u32>,
    pub age: Option<String>,
    /// The parent first: `bash[10]`.
    #[serde(default)]
    pub ancestors: Vec<String>,
    pub runtime: Option<String>,
    pub fds: Option<u64>,
    pub fd_limit: Option<Limit>,
    pub dead_sockets: Option<u64>,
    pub threads: Option<u32>,
    /// Of the threads: stopped, in uninterruptible sleep, running.
    #[serde(default)]
    pub stopped: u32,
    #[serde(default)]
    pub disk: u32,
    #[serde(default)]
    pub running: u32,
    pub cpu_percent: Option<f64>,
    /// Of the busiest thread.
    pub busiest_percent: Option<f64>,
    /// Of the sample, what the busiest thread ran, where that is less.
    pub ran_percent: Option<f64>,
    /// Threads that are known to have been ready throughout.
    #[serde(default)]
    pub restless: u32,
    /// What keeps it from running.
    #[serde(default)]
    pub halt: Halted,
    pub waits: Option<Vec<String>>,
    /// The threads by name.
    #[serde(default)]
    pub names: Vec<String>,
    #[serde(default)]
    pub locks: Vec<String>,
    /// Where in its code it waits.
    pub stacks: Option<Vec<String>>,
    /// How many stacks moved, or were left out.
    #[serde(default)]
    pub stacks_moved: u32,
    #[serde(default)]
    pub stacks_left_out: u32,
    #[serde(default)]
    pub stacks_unread: Vec<String>,
    pub epoll: Option<Epoll>,
    /// The command line of an interpreter.
    pub command: Option<String>,
    /// Its command line, for programs that describe their work there.
    pub title: Option<String>,
    /// Other children of its parent: number and command line.
    #[serde(default)]
    pub siblings: Vec<String>,
    /// `LOCAL REMOTE` of connections that are well and in its epoll sets.
    #[serde(default)]
    pub polled: Vec<String>,
    #[serde(default)]
    pub inside: Inside,
    /// When its files and what runs it came to be.
    #[serde(default)]
    pub origin: Origins,
    #[serde(default)]
    pub unread: Vec<String>,
}

impl Process {
    pub fn is(&self, pid: u32) -> bool {
        self.pid == pid || self.also.contains(&pid)
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(untagged)]
pub enum Limit {
    Files(u64),
    Word(String),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Epoll {
    #[serde(default)]
    pub watched: u64,
    /// Of those, the edge-triggered ones.
    #[serde(default)]
    pub edge: u64,
    #[serde(default)]
    pub muted: u64,
    #[serde(default)]
    pub absent: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub cause: String,
    pub sockets: u64,
    pub severity: String,
    pub service: String,
    pub owner: String,
    /// Each must occur somewhere in the words of the finding.
    #[serde(default)]
    pub says: Vec<String>,
    /// None may.
    #[serde(default)]
    pub not_says: Vec<String>,
}
