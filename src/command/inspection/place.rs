//! Where sockets are read from: one or several network namespaces, another procfs, or a recording.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Ask;
use super::selection::Words;
use super::source::Source;
use crate::cli::reading::Host;
use crate::collector::names::SystemNames;
use crate::collector::namespaces::choose_for;
use crate::collector::request::{NetnsChoice, NetnsName, ScanChoice, SourceChoice};
use crate::command::UsageError;
use crate::filter::{Names, Term};
use crate::model::Pid;
use crate::recording::{RecordedNames, Recording, RecordingError};
use crate::rights;

/// The place that is read.
pub(in crate::command) struct Place {
    pub(in crate::command) proc_root: PathBuf,
    pub(in crate::command) netns: NetnsChoice,
    pub(in crate::command) source: Source,
    /// Whether the selection names processes, so that other namespaces do not matter.
    pub(super) names_processes: bool,
}

impl Place {
    pub(in crate::command) fn of(host: Host, from: Option<&Path>) -> Result<Place, UsageError> {
        Ok(Place {
            netns: host.chosen().unwrap_or(NetnsChoice::Own),
            proc_root: host.proc_root(),
            source: from.map_or(Ok(Source::Host), open)?,
            names_processes: false,
        })
    }

    /// Reads the namespaces of the processes that the selection names. A missing process is an error,
    /// except with -q, where it means that nothing matches.
    pub(super) fn find(&mut self, ask: &Ask, words: &Words) {
        let of_flags: Vec<Term> = ask
            .selection
            .pid
            .iter()
            .map(|pid| Term::Pid(Pid(*pid)))
            .collect();
        let mut named = words.filter.processes();
        if !of_flags.is_empty() {
            named.insert(0, of_flags.iter().collect());
        }
        if named.is_empty() || self.source.recording().is_some() {
            return;
        }
        match choose_for(&named, &self.proc_root) {
            Ok(netns) if self.netns == NetnsChoice::Own => {
                self.netns = netns;
                self.names_processes = true;
            }
            // With -q, a process that certainly does not exist matches nothing.
            Err(missing) if !ask.quiet.quiet || missing.is_unsure() => {
                self.netns = NetnsChoice::Missing(missing);
            }
            Ok(_) | Err(_) => {}
        }
    }

    /// Whether sockets of several network namespaces may be shown.
    pub(super) fn has_several_namespaces(&self) -> bool {
        match self.source.recording() {
            Some(recording) => {
                recording.facts.all_namespaces || recording.facts.namespaces.len() > 1
            }
            None => match self.netns {
                NetnsChoice::All => true,
                NetnsChoice::Of { several, .. } => several,
                NetnsChoice::Own | NetnsChoice::One(_) | NetnsChoice::Missing(_) => false,
            },
        }
    }

    pub(super) fn read(&self, ask: &Ask) -> Result<Words, UsageError> {
        let read = |names: &dyn Names| Words::read(ask, names);
        match self.source.recording() {
            Some(recording) => read(&RecordedNames::new(recording)),
            None => read(&SystemNames::new(&self.proc_root, &self.netns)),
        }
    }
}

/// Opens a recording; `-` is stdin.
pub(in crate::command) fn open(path: &Path) -> Result<Source, UsageError> {
    let read = if path == Path::new("-") {
        Recording::read_from(std::io::stdin().lock())
    } else {
        rights::as_caller(|| File::open(path))
            .map_err(RecordingError::Unread)
            .and_then(Recording::read_from)
    };
    let recording = read.map_err(|reason| UsageError::Recording {
        path: path.to_owned(),
        reason,
    })?;
    Ok(Source::Recording(Arc::new(recording)))
}

impl Host {
    /// One of these options that was given, if any.
    pub(in crate::command) fn given(&self) -> Option<&'static str> {
        let given = [
            (self.netns.is_some(), "-N"),
            (self.all_netns, "-A"),
            (self.source.is_some(), "--source"),
            (self.scan.is_some(), "--scan"),
            (self.proc.is_some(), "--proc"),
        ];
        given
            .into_iter()
            .find_map(|(given, flag)| given.then_some(flag))
    }

    /// The namespaces chosen by -N or -A.
    pub(in crate::command) fn chosen(&self) -> Option<NetnsChoice> {
        match &self.netns {
            Some(name) => Some(NetnsChoice::One(NetnsName(name.clone()))),
            None => self.all_netns.then_some(NetnsChoice::All),
        }
    }

    pub(in crate::command) fn proc_root(&self) -> PathBuf {
        self.proc.clone().unwrap_or_else(|| PathBuf::from("/proc"))
    }

    pub(in crate::command) fn source(&self) -> SourceChoice {
        self.source.unwrap_or(SourceChoice::Auto)
    }

    /// How holders are found. `--source procfs` implies `--scan procfs`.
    pub(in crate::command) fn scan(&self) -> Result<ScanChoice, UsageError> {
        match (self.scan, self.source) {
            (Some(ScanChoice::Bpf), _) if self.proc.is_some() => Err(UsageError::ScanElsewhere),
            (Some(scan), _) => Ok(scan),
            (None, Some(SourceChoice::Procfs)) => Ok(ScanChoice::Procfs),
            (None, _) => Ok(ScanChoice::Auto),
        }
    }
}
