//! The UDP sockets of one network namespace, through sock_diag.

use std::time::Instant;

use super::relevant::may_be_selected;
use super::sock_diag::wire::Query;
use super::sock_diag::{DumpError, Dumped, Reader};
use super::{filtered, gaps};
use crate::collector::request::Request;
use crate::collector::steps::Steps;
use crate::model::{Gap, Protocol, Socket, State, StateSet};

/// Appends the sockets of the calling thread's namespace that may be selected, and returns what may be
/// missing.
///
/// # Errors
/// When sock_diag is not available, or breaks off.
pub(super) fn read(
    request: &Request,
    found: &mut Dumped,
    steps: &mut Steps<'_>,
) -> Result<Vec<Gap>, DumpError> {
    let start = Instant::now();
    let before = found.sockets.len();
    let mut reader = Reader::open()?;
    let states = StateSet::of(State::Established).union(StateSet::of(State::Close));
    let states = request.filter.states().intersection(states);
    let (mut gaps, mut refusal) = (Vec::new(), None);
    if !states.is_empty() {
        let query = Query {
            protocol: Protocol::Udp,
            families: request.families,
            states,
            tcp_info: false,
            ulp: false,
            details: request.details,
            bytecode: None,
        };
        let filter = &request.filter;
        let mut keep = |socket: &Socket| may_be_selected(filter, socket);
        let (dump, refused) = filtered::read(filter, query, &mut reader, &mut keep, found)?;
        gaps.extend(gaps::of_dump(dump));
        refusal = refused;
    }
    let kept = found.sockets.len() - before;
    let refusal = refusal.unwrap_or_default();
    steps.add(
        format!("sock_diag dump of UDP: {kept} sockets kept{refusal}"),
        start,
    );
    Ok(gaps)
}
