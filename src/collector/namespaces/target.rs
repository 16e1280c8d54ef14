//! A network namespace that is to be read: what it is called, and the ways to its sockets.

use std::path::{Path, PathBuf};

use super::netns::{self, Netns, NetnsError};
use super::place::{Key, Place};
use crate::model::{Name, Namespace, Pid};

/// A network namespace that is to be read.
pub(in crate::collector) struct Target {
    /// Its label, its number, and what `-N` takes for it.
    pub(in crate::collector) described: Namespace,
    pub(in crate::collector) way: Way,
    /// The directories such as /proc/PID/net in which everyone may read its sockets: to be tried in
    /// order if it cannot be entered, and not looked up before.
    pub(in crate::collector) files: Box<dyn FnOnce() -> Vec<PathBuf>>,
    /// The inode of its /proc/net/tcp, where nothing else identifies it.
    pub(in crate::collector) table: Option<u64>,
}

/// The way into a network namespace.
#[derive(Debug)]
pub(in crate::collector) enum Way {
    /// This process is in it.
    Here,
    Open(Netns),
    /// What leads to it was found, and is opened when its turn comes: descriptors are limited.
    Found {
        place: Place,
        inode: Option<u64>,
        proc_root: PathBuf,
    },
    /// It cannot be entered.
    Closed(NetnsError),
    /// It is not to be entered, but read from files; the reason, unless `--source procfs` asks for it.
    Files(Option<String>),
}

/// What came of entering a network namespace.
pub(in crate::collector) enum Entered<T> {
    Done(T),
    /// It no longer exists.
    Gone,
    Refused(NetnsError),
    /// It was not tried; the reason, unless `--source procfs` asks for it.
    NotTried(Option<String>),
}

impl Way {
    pub(in crate::collector) fn is_here(&self) -> bool {
        matches!(self, Way::Here)
    }

    /// Does `work` in the namespace.
    pub(in crate::collector) fn enter<T: Send>(
        self,
        work: impl FnOnce() -> T + Send,
    ) -> Entered<T> {
        let netns = match self {
            Way::Here => return Entered::Done(work()),
            Way::Open(netns) => Ok(Some(netns)),
            Way::Found {
                place,
                inode,
                proc_root,
            } => place.open(inode, &proc_root),
            Way::Closed(error) => Err(error),
            Way::Files(why) => return Entered::NotTried(why),
        };
        match netns {
            Ok(Some(netns)) => match netns.within(work) {
                Ok(done) => Entered::Done(done),
                Err(error) => Entered::Refused(error),
            },
            Ok(None) => Entered::Gone,
            Err(error) => Entered::Refused(error),
        }
    }
}

impl Target {
    /// The namespace that this process is in.
    pub(super) fn here() -> Target {
        let inode = netns::current();
        Target {
            described: Namespace {
                label: inode.map(label),
                inode,
                ..Namespace::UNKNOWN
            },
            way: Way::Here,
            files: Box::new(Vec::new),
            table: None,
        }
    }

    /// A namespace that a search found.
    pub(super) fn found(key: Key, place: Place, proc_root: &Path) -> Target {
        if key == Key::Own {
            let here = Target::here();
            let name = place.name.map(Name::from);
            return Target {
                described: Namespace {
                    label: name.or(here.described.label),
                    ..here.described
                },
                ..here
            };
        }
        let process = |pid: &Pid| proc_root.join(pid.to_string());
        let through = || {
            let link = process(place.pids.first()?).join("ns/net");
            Some(link.to_string_lossy().into_owned().into())
        };
        let inode = key.inode();
        let files = place
            .pids
            .iter()
            .map(|pid| process(pid).join("net"))
            .collect();
        Target {
            described: Namespace {
                label: place
                    .name
                    .clone()
                    .map(Name::from)
                    .or_else(|| inode.map(label))
                    .or_else(through),
                asked: place.asked().map(Name::from),
                inode,
                ..Namespace::UNKNOWN
            },
            files: Box::new(move || files),
            table: match key {
                Key::Table(table) => Some(table),
                Key::Own | Key::Inode(_) => None,
            },
            way: Way::Found {
                place,
                inode,
                proc_root: proc_root.to_owned(),
            },
        }
    }
}

/// The label of a namespace without a name.
pub(super) fn label(inode: u64) -> Name {
    format!("net:[{inode}]").into()
}
