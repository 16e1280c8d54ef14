//! The sockets of one network namespace: which protocols are read, and from which source. That is
//! sock_diag, or the texts of /proc/net where sock_diag is not available.

pub mod capture;
pub mod error;
mod filtered;
pub(crate) mod gaps;
pub(crate) mod mptcp;
mod proc_line;
pub mod proc_net;
pub(crate) mod relevant;
pub mod sock_diag;
mod tcp;
mod texts;
mod udp;

use std::path::Path;

use self::capture::Capture;
use self::error::ReadError;
use self::sock_diag::Dumped;
use super::host;
use super::request::{Request, SourceChoice};
use super::steps::Steps;
use crate::model::{Gap, GapKind, Namespace, Protocol, Settings, Source};

/// The sockets of a namespace, and the facts about it that come with them.
pub(super) struct Table {
    pub(super) found: Dumped,
    source: Source,
    settings: Settings,
    pub(super) gaps: Vec<Gap>,
}

impl Table {
    /// The namespace, with the facts of this table.
    pub(super) fn describe(&self, described: Namespace) -> Namespace {
        let misses_mptcp = |gap: &Gap| gap.kind == GapKind::MptcpUnread;
        Namespace {
            source: self.source,
            hides_subflows: self.source == Source::Procfs && self.gaps.iter().any(misses_mptcp),
            settings: self.settings.clone(),
            ..described
        }
    }
}

/// Reads the sockets of the namespace that the calling thread is in, or those in the files of the
/// directory `net`, such as /proc/PID/net.
///
/// # Errors
/// When no protocol could be read. UDP beside TCP is a gap.
pub(super) fn read(
    request: &Request,
    net: Option<&Path>,
    steps: &mut Steps<'_>,
) -> Result<Table, ReadError> {
    let mut found = Dumped {
        capture: request.captured.then(Capture::default),
        ..Dumped::default()
    };
    let mut gaps = Vec::new();
    let mut source = None;
    let mut settings = match net {
        None => host::settings(&request.proc_root),
        // The directory has no settings.
        Some(_) => Settings::default(),
    };
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        if !request.protocols.contains(protocol) {
            continue;
        }
        match (
            read_protocol(protocol, request, net, &mut found, &mut gaps, steps),
            source,
        ) {
            (Ok(read), None) => source = Some(read),
            (Ok(_), Some(_)) => {}
            (Err(error), None) => return Err(error),
            (Err(error), Some(_)) => gaps.push(gaps::udp_unread(&error)),
        }
    }
    if net.is_none() {
        settings.devices = host::devices(&found.sockets);
    }
    Ok(Table {
        found,
        source: source.unwrap_or(Source::Procfs),
        settings,
        gaps,
    })
}

/// Reads the sockets of a protocol, and returns the source.
fn read_protocol(
    protocol: Protocol,
    request: &Request,
    net: Option<&Path>,
    found: &mut Dumped,
    gaps: &mut Vec<Gap>,
    steps: &mut Steps<'_>,
) -> Result<Source, ReadError> {
    let request = &Request {
        filter: request.filter.of_protocol(protocol),
        ..request.clone()
    };
    let before = found.rollback_point();
    let mut refused = None;
    if net.is_none() && request.source != SourceChoice::Procfs {
        let dumped = match protocol {
            Protocol::Udp => udp::read(request, found, steps),
            _ => tcp::read(request, found, steps),
        };
        match dumped {
            Ok(more) => {
                gaps.extend(more);
                return Ok(Source::Netlink);
            }
            Err(error) if request.source == SourceChoice::Netlink => {
                return Err(ReadError::Netlink(error));
            }
            Err(error) => {
                found.roll_back(before);
                gaps.push(gaps::no_sock_diag(protocol, &error));
                refused = Some(error);
            }
        }
    } else {
        gaps.extend(gaps::from_text(protocol, request, net));
    }
    let thread_net = texts::net_dir(&request.proc_root);
    let net = net.unwrap_or(&thread_net);
    texts::read(protocol, request, net, found, gaps, steps)
        .map_err(|error| error.after(refused))?;
    Ok(Source::Procfs)
}
