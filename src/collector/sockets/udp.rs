//! The UDP sockets of one network namespace: through sock_diag, or from /proc/net/udp where that
//! is not available.

use std::path::Path;
use std::time::Instant;

use crate::collector::request::{Request, SourceChoice};
use crate::collector::sockets::netlink::{dump_gaps, read_filtered};
use crate::collector::sockets::sock_diag::wire::Query;
use crate::collector::sockets::sock_diag::{DumpError, Dumped, Reader};
use crate::collector::sockets::{net_dir, read_texts};
use crate::collector::{CollectError, Steps};
use crate::filter::{Filter, Known};
use crate::model::{Gap, GapKind, Protocol, Socket, Source, State, StateSet};

/// Appends the sockets that may be selected, of the calling thread's namespace or from the files
/// of `net`.
///
/// # Errors
/// When neither way leads to them.
pub(crate) fn read(
    request: &Request,
    net: Option<&Path>,
    found: &mut Dumped,
    gaps: &mut Vec<Gap>,
    steps: &mut Steps,
) -> Result<Source, CollectError> {
    let start = Instant::now();
    let filter = request.filter.of_protocol(Protocol::Udp);
    let before = found.sockets.len();
    let start_of_udp = found.rollback_point();
    let mut refused = None;
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
                found.roll_back(start_of_udp);
                gaps.push(Gap {
                    kind: GapKind::UdpSource,
                    count: 1,
                    detail: format!("{error}: read /proc/net/udp instead, which has no cookies")
                        .into(),
                    hint: "load the udp_diag module, or allow NETLINK_SOCK_DIAG".into(),
                });
                refused = Some(error);
            }
        }
    } else if !request.protocols.contains(Protocol::Tcp) {
        // With TCP it has been said.
        gaps.push(Gap {
            kind: GapKind::UdpSource,
            count: 1,
            detail: "/proc/net/udp was read: it has no cookies".into(),
            hint: "run without --source procfs".into(),
        });
    }
    let dir = net.map_or_else(|| net_dir(&request.proc_root), Path::to_path_buf);
    let mut keep = |socket: &Socket| may_be_selected(&filter, socket);
    read_texts(request, Protocol::Udp, &dir, &mut keep, found, gaps)
        .map_err(|error| error.after(refused))?;
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
        ulp: false,
        details: request.details,
        bytecode: None,
    };
    let mut keep = |socket: &Socket| may_be_selected(filter, socket);
    let (dump, refusal) = read_filtered(filter, query, &mut reader, &mut keep, found)?;
    Ok((dump_gaps(dump), refusal))
}

pub(crate) fn may_be_selected(filter: &Filter, socket: &Socket) -> bool {
    filter.decide(&Known::of(socket)) != Some(false)
}
