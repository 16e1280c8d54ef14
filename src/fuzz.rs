//! What the fuzz targets call beyond the public interface: parsers of foreign bytes that are private.
//! It is there under `--cfg fuzzing` alone.

use std::io::Cursor;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::collector::holders::bpf::btf::Layout;
use crate::collector::holders::bpf::program::{self, Parts};
use crate::collector::resolve::dns::Pending;
use crate::collector::resolve::{self, Sources};
use crate::collector::sockets::mptcp;
use crate::collector::sockets::sock_diag::reader::Known;
use crate::collector::sockets::sock_diag::wire::{self, Query, Reply};
use crate::collector::sockets::sock_diag::{Dump, Dumped};
use crate::collector::stacks::perf_map::PerfMap;
use crate::collector::stacks::{go, jvm, native, python};
use crate::collector::{host, names};
use crate::model::socket::u32_at;
use crate::model::{Frame, Name, Resolved, Users};

/// Datagrams as answers to a query, to the end of the dump or to what breaks it off. Which number
/// and port are ours the first one says.
pub fn netlink(datagrams: &[&[u8]], query: &Query) -> (Dumped, Dump) {
    let (mut known, mut found, mut dump) = (Known::default(), Dumped::default(), Dump::default());
    let ours = |at| u32_at(datagrams.first()?, at);
    let (Some(sequence), Some(port)) = (ours(8), ours(12)) else {
        return (found, dump);
    };
    let replies = datagrams.iter();
    for reply in replies.flat_map(|datagram| wire::replies(datagram, sequence, port)) {
        match reply {
            Ok((Reply::Socket(payload), interrupted)) => {
                dump.interrupted |= interrupted;
                known.take(payload, query, &mut |_| true, &mut found, &mut dump);
            }
            Ok((Reply::Other, _)) => {}
            Ok((Reply::Done(_) | Reply::Refused(_), _)) | Err(_) => break,
        }
    }
    (found, dump)
}

/// The texts of /proc that tell of the host, and of a namespace.
pub fn host(text: &str) {
    host::port_range(text);
    host::counter(text, "TcpExt:", "ListenOverflows");
    mptcp::in_use(text);
    mptcp::is_unused(text);
}

/// passwd(5).
pub fn users(text: &[u8]) -> Users {
    names::user(&String::from_utf8_lossy(text), "root");
    host::users(text)
}

/// resolv.conf(5).
pub fn servers(text: &str) -> Vec<SocketAddr> {
    resolve::servers(text)
}

/// hosts(5) and services(5), and what a server answered where it was asked about these addresses
/// under these numbers.
pub fn resolved(
    hosts: &str,
    services: &str,
    asked: &[(u16, IpAddr)],
    replies: &[&[u8]],
) -> Resolved {
    let sources = Sources {
        hosts: hosts.to_owned(),
        services: services.to_owned(),
        servers: Vec::new(),
    };
    names::hosts(hosts, "localhost");
    names::service(services, "http");
    let mut resolved = resolve::resolve(&sources, [], Duration::ZERO);
    let mut pending = Pending(asked.iter().copied().collect());
    for reply in replies {
        pending.take(reply, &mut resolved);
    }
    resolved
}

/// The types of a kernel, and the program that goes by where its fields are. Says whether there is one.
pub fn btf(bytes: &[u8]) -> bool {
    let layout = Layout::read(Cursor::new(bytes));
    let program = layout.map(|layout| {
        let parts = Parts {
            layout: &layout,
            state: 3,
            blocks: 4,
        };
        program::assemble(&parts)
    });
    program.is_ok_and(|program| !program.is_empty())
}

/// The goroutines of a made-up program of `go1.MINOR`, after changes of its memory: each the number of a
/// piece, an offset in it, and a value. How many stacks were read, if any could be.
pub fn goroutines(minor: u32, edits: &[(u8, u16, u64)]) -> Option<usize> {
    go::made::edited(minor, edits)
}

/// What is in the memory of a Python program: its threads and tasks, and how many of them have stacks.
pub fn python(memory: &[u8]) -> usize {
    python::made_up::told(memory).map_or(0, |stacks| stacks.len())
}

/// The functions of an executable in which these addresses are.
pub fn functions(bytes: &[u8], places: &[u64]) -> Vec<Name> {
    native::functions_of(bytes, places)
}

/// The places on the stack of a thread. Code and stack come with their first addresses.
pub fn unwind(
    is_arm: bool,
    code: (u64, &[u8]),
    stack: (u64, &[u8]),
    program_counter: u64,
) -> Vec<u64> {
    native::unwound(is_arm, code, stack, program_counter)
}

/// What a Java virtual machine says of itself in its counters.
pub fn counters(bytes: &[u8]) -> Option<String> {
    jvm::said(bytes).map(|said| said.to_string())
}

/// The code at an address, in a map for perf(1).
pub fn perf_map(text: &[u8], address: u64) -> Option<Frame> {
    PerfMap::of(text.to_vec()).frame(address)
}
