//! The UDP sockets of one network namespace: through sock_diag, or from /proc/net/udp where that
//! is not to be had.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::sock_diag::wire::{Families, Query};
use super::sock_diag::{DumpError, Dumped, Reader};
use super::table::{dump_gaps, net_dir, read_filtered};
use super::{CollectError, Request, SourceChoice, Steps, proc_net};
use crate::filter::{Filter, Known};
use crate::model::{Family, Gap, GapKind, Protocol, Socket, Source, State, StateSet};

/// Appends the sockets that may be selected, of the calling thread's namespace or from the files
/// of `net`.
///
/// # Errors
/// When neither way leads to them.
pub(super) fn read(
    request: &Request,
    net: Option<&Path>,
    found: &mut Dumped,
    gaps: &mut Vec<Gap>,
    steps: &mut Steps,
) -> Result<Source, CollectError> {
    let start = Instant::now();
    let filter = request.filter.of_protocol(Protocol::Udp);
    let before = found.sockets.len();
    let start_of_udp = found.mark();
    if net.is_none() && request.source != SourceChoice::Procfs {
        match read_netlink(request, &filter, found) {
            Ok((told, refusal)) => {
                gaps.extend(told);
                let kept = found.sockets.len() - before;
                let refusal = refusal.unwrap_or_default();
                steps.add(
                    format!("sock_diag dump of UDP: {kept} sockets kept{refusal}"),
                    start,
                );
                return Ok(Source::Netlink);
            }
            Err(error) if request.source == SourceChoice::Netlink => {
                return Err(CollectError::Netlink(error));
            }
            Err(error) => {
                found.back_to(start_of_udp);
                gaps.push(Gap {
                    kind: GapKind::UdpSource,
                    count: 1,
                    detail: format!("{error}: read /proc/net/udp instead, which has no cookies"),
                    hint: "load the udp_diag module, or allow NETLINK_SOCK_DIAG".into(),
                });
            }
        }
    } else if !request.protocols.contains(Protocol::Tcp) {
        // With TCP it has been said.
        gaps.push(Gap {
            kind: GapKind::UdpSource,
            count: 1,
            detail: "/proc/net/udp was read: it has no cookies".to_owned(),
            hint: "leave --source procfs away".into(),
        });
    }
    let dir = net.map_or_else(|| net_dir(&request.proc_root), Path::to_path_buf);
    read_procfs(request, &filter, &dir, found, gaps)?;
    let kept = found.sockets.len() - before;
    steps.add(
        format!("{}/udp, udp6: {kept} sockets kept", dir.display()),
        start,
    );
    Ok(Source::Procfs)
}

fn read_netlink(
    request: &Request,
    filter: &Filter,
    found: &mut Dumped,
) -> Result<(Vec<Gap>, Option<String>), DumpError> {
    let mut reader = Reader::open()?;
    let states = StateSet::of(State::Established).union(StateSet::of(State::Close));
    let states = filter.states().intersection(states);
    if states.is_empty() {
        return Ok((Vec::new(), None));
    }
    let query = Query {
        protocol: Protocol::Udp,
        families: request.families,
        states,
        tcp_info: false,
        details: request.details,
        bytecode: None,
    };
    let mut keep = |socket: &Socket| may_be_selected(filter, socket);
    let (dump, refusal) = read_filtered(filter, query, &mut reader, &mut keep, found)?;
    Ok((dump_gaps(dump), refusal))
}

fn read_procfs(
    request: &Request,
    filter: &Filter,
    net: &Path,
    found: &mut Dumped,
    gaps: &mut Vec<Gap>,
) -> Result<(), CollectError> {
    let families: &[Family] = match &request.families {
        Families::Both => &[Family::Inet, Family::Inet6],
        Families::One(family) => std::slice::from_ref(family),
    };
    let mut malformed = 0;
    for &family in families {
        let path = net.join(match family {
            Family::Inet => "udp",
            Family::Inet6 => "udp6",
        });
        let mut keep = |socket: &Socket| may_be_selected(filter, socket);
        let reading = File::open(&path)
            .and_then(|text| proc_net::read_into(found, text, Protocol::Udp, family, &mut keep));
        match reading {
            Ok(reading) => malformed += reading.malformed,
            // A kernel without IPv6 has no such file, and no such sockets.
            Err(error) if family == Family::Inet6 && error.kind() == io::ErrorKind::NotFound => {}
            Err(error) if family == Family::Inet6 && families.len() > 1 => gaps.push(Gap {
                kind: GapKind::UdpUnread,
                count: 1,
                detail: format!("could not read {}: {error}", path.display()),
                hint: "IPv6 sockets of UDP are missing".into(),
            }),
            Err(reason) => {
                let hint = "; is /proc mounted?".to_owned();
                return Err(CollectError::Procfs { path, reason, hint });
            }
        }
    }
    if malformed > 0 {
        gaps.push(Gap {
            kind: GapKind::Malformed,
            count: malformed,
            detail: format!(
                "{malformed} lines of {}/udp or udp6 could not be understood",
                net.display()
            ),
            hint: "compare with the file itself".into(),
        });
    }
    Ok(())
}

pub(super) fn may_be_selected(filter: &Filter, socket: &Socket) -> bool {
    filter.decide(&Known::of(socket)) != Some(false)
}
