//! What several words of a finding ask of its sockets: where they are, and what all of them did.

use std::net::IpAddr;

use crate::classifier::service::ServiceEnd;
use crate::classifier::service::{ServedAt, Service};
use crate::classifier::socket_set::SocketSet;
use crate::model::Side;
use crate::renderer::units;

pub(super) fn end(end: ServiceEnd) -> String {
    end_on(end, "")
}

pub(super) fn end_on(end: ServiceEnd, on: &str) -> String {
    match end {
        ServiceEnd::One(one) => service(one, on),
        ServiceEnd::Several(Some(Side::Server), ports) => {
            format!("on {} ports", units::count(ports.into()))
        }
        ServiceEnd::Several(Some(Side::Client), remotes) => {
            format!("to {} remote ends", units::count(remotes.into()))
        }
        ServiceEnd::Several(None, hosts) => format!("with {} hosts", units::count(hosts.into())),
    }
}

pub(super) fn service(service: Service, on: &str) -> String {
    match service.at {
        ServedAt::Local(0) => format!("on many ports{on}"),
        ServedAt::Local(port) => format!("on {on}:{port}"),
        ServedAt::Remote(remote) if remote.port == 0 => {
            format!("to many ports of {}{on}", remote.addr)
        }
        ServedAt::Remote(remote) => match remote.addr {
            IpAddr::V4(addr) => format!("to {addr}{on}:{}", remote.port),
            IpAddr::V6(addr) => format!("to [{addr}]{on}:{}", remote.port),
        },
        ServedAt::Unknown(addr) => format!("with {addr}{on}"),
    }
}

/// Whether all sent their FIN together with a request, or were seen to wait: none of them gave up.
pub(super) fn all_half_closed(set: &SocketSet) -> bool {
    set.sockets > 0 && set.half_closed.unanswered == set.sockets
}

pub(super) fn all_silent(set: &SocketSet) -> bool {
    set.silent == Some(set.sockets)
}
