//! The sockets in the texts of /proc/net: tcp, tcp6, udp and udp6 of one directory.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rustix::io::Errno;

use super::error::TextError;
use super::gaps;
use super::mptcp::{self, Presence};
use super::proc_net;
use super::relevant::{may_be_selected, may_matter};
use super::sock_diag::Dumped;
use crate::collector::access::hint_of;
use crate::collector::file;
use crate::collector::procfs::is_ours;
use crate::collector::request::Request;
use crate::collector::steps::Steps;
use crate::model::{Families, Family, Gap, Protocol, Socket, State};

/// The directory that shows the calling thread's namespace: `net` alone is the main thread's.
pub(super) fn net_dir(proc_root: &Path) -> PathBuf {
    let of_thread = proc_root.join("thread-self/net");
    if of_thread.join("tcp").exists() {
        of_thread
    } else {
        proc_root.join("net")
    }
}

/// Appends the sockets of a protocol that may be selected, and those that others are judged by.
///
/// # Errors
/// When the text of the first family cannot be read.
pub(super) fn read(
    protocol: Protocol,
    request: &Request,
    net: &Path,
    found: &mut Dumped,
    gaps: &mut Vec<Gap>,
    steps: &mut Steps<'_>,
) -> Result<(), TextError> {
    let start = Instant::now();
    let before = found.sockets.len();
    let filter = &request.filter;
    if protocol == Protocol::Udp {
        let mut keep = |socket: &Socket| may_be_selected(filter, socket);
        read_families(request, protocol, net, &mut keep, found, gaps)?;
    } else {
        let waits = filter.states().contains(State::CloseWait);
        let mut keep =
            |socket: &Socket| may_matter(filter, socket) || (waits && socket.closed_first());
        read_families(request, protocol, net, &mut keep, found, gaps)?;
        gaps.extend(gaps::bound_in_text(filter));
        // The text shows the subflows of MPTCP as TCP sockets.
        let reason = "/proc/net shows only their subflows, as TCP";
        let hint = "read through sock_diag, with the mptcp_diag module";
        gaps.extend(mptcp::gap(Presence::of(net), 0, reason, hint));
    }
    let (name, kept) = (protocol.name(), found.sockets.len() - before);
    let what = format!("{}/{name}, {name}6: {kept} sockets kept", net.display());
    steps.add(what, start);
    Ok(())
}

/// Reads the texts of the families that the request asks for.
fn read_families(
    request: &Request,
    protocol: Protocol,
    net: &Path,
    keep: &mut impl FnMut(&Socket) -> bool,
    found: &mut Dumped,
    gaps: &mut Vec<Gap>,
) -> Result<(), TextError> {
    let families: &[Family] = match &request.families {
        Families::Both => &[Family::Inet, Family::Inet6],
        Families::One(family) => std::slice::from_ref(family),
    };
    let name = protocol.name();
    let mut malformed = 0;
    let mut in_pieces = Vec::new();
    for &family in families {
        let path = net.join(match family {
            Family::Inet => name.to_owned(),
            Family::Inet6 => format!("{name}6"),
        });
        let reading = file::stream(&path)
            .and_then(|text| proc_net::read_into(found, text, protocol, family, keep));
        match reading {
            Ok(reading) => {
                malformed += reading.malformed;
                if reading.in_pieces {
                    in_pieces.push(gaps::in_pieces(&path, reading));
                }
            }
            // A kernel without IPv6 has no such file, and no such sockets.
            Err(error) if family == Family::Inet6 && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if family == Family::Inet6 && families.len() > 1 => {
                gaps.push(gaps::no_ipv6(protocol, &path, &error));
            }
            Err(reason) => {
                let hint = hint(&reason, &request.proc_root);
                return Err(TextError { path, reason, hint });
            }
        }
    }
    gaps.append(&mut in_pieces);
    if malformed > 0 {
        gaps.push(gaps::malformed_lines(protocol, net, malformed));
    }
    Ok(())
}

/// What to try where a text cannot be read.
fn hint(reason: &io::Error, proc_root: &Path) -> String {
    match Errno::from_io_error(reason) {
        Some(limit @ (Errno::MFILE | Errno::NFILE)) => format!("; {}", hint_of(limit, "")),
        _ if reason.kind() != io::ErrorKind::NotFound => String::new(),
        _ if is_ours(proc_root) => "; is /proc mounted?".to_owned(),
        _ => format!("; is {} a procfs?", proc_root.display()),
    }
}
