//! An end of a connection as text, and how wide that is.

use std::fmt::Write;
use std::net::IpAddr;

use super::super::escape;
use super::text::push_number;
use crate::classifier::Report;
use crate::model::{Endpoint, Name, Protocol, Resolved};

/// Whether an end is shown as an IPv4 address and a number.
pub(super) fn is_plain(end: Endpoint, report: &Report<'_>) -> bool {
    end.addr.is_ipv4() && report.resolved.is_empty()
}

/// Appends an end by its names, as far as it has any, with the interface that it is bound to as
/// ss has it: `0.0.0.0%eth0:80`, `[fe80::1]%eth0:80`.
pub fn push_end(
    end: Endpoint,
    device: Option<&Name>,
    protocol: Protocol,
    names: &Resolved,
    out: &mut String,
) {
    if names.is_empty() && device.is_none() {
        return push_endpoint(end, out);
    }
    let (host, service) = (names.host(end.addr), names.service(protocol, end.port));
    match (host, end.addr) {
        (Some(host), _) => out.push_str(host),
        (None, IpAddr::V4(_)) => push_addr(end.addr, out),
        (None, IpAddr::V6(addr)) => {
            let _ = write!(out, "[{addr}]");
        }
    }
    if let Some(device) = device {
        out.push('%');
        escape::push(device.bytes(), out);
    }
    push_service(service, end.port, out);
}

/// Appends the port of an end by its name, if it has one: `:80`, `:http`, `:*`.
pub fn push_port(end: Endpoint, protocol: Protocol, names: &Resolved, out: &mut String) {
    push_service(names.service(protocol, end.port), end.port, out);
}

fn push_service(service: Option<&str>, port: u16, out: &mut String) {
    out.push(':');
    match (service, port) {
        (Some(service), 1..) => out.push_str(service),
        (_, 0) => out.push('*'),
        (None, port) => push_number(port, out),
    }
}

/// The width of `a.b.c.d:port`.
pub(super) fn ipv4_width(end: Endpoint) -> usize {
    let IpAddr::V4(addr) = end.addr else { return 0 };
    let octets: usize = addr.octets().map(|octet| digits(octet.into())).iter().sum();
    let dots_and_colon = 4;
    // Port 0 is shown as a star, which is as wide.
    octets + dots_and_colon + digits(end.port.into())
}

pub(super) fn digits(number: u32) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// As the endpoint's `Display`, without the formatting machinery for IPv4: this is the hot path
/// of a listing.
fn push_endpoint(end: Endpoint, out: &mut String) {
    if end.addr.is_ipv6() {
        // Writing to a String does not fail.
        let _ = write!(out, "{end}");
        return;
    }
    push_addr(end.addr, out);
    push_service(None, end.port, out);
}

pub(super) fn push_addr(addr: IpAddr, out: &mut String) {
    let IpAddr::V4(addr) = addr else {
        let _ = write!(out, "{addr}");
        return;
    };
    for (at, octet) in addr.octets().into_iter().enumerate() {
        if at > 0 {
            out.push('.');
        }
        push_number(octet, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_width_of_an_ipv4_end_is_that_of_its_text() {
        for (addr, port) in [
            ([0, 0, 0, 0], 0),
            ([10, 0, 0, 99], 80),
            ([255; 4], 65535),
            ([1, 10, 100, 9], 1000),
        ] {
            let end = Endpoint::new(addr, port);
            let mut text = String::new();
            push_endpoint(end, &mut text);
            assert_eq!(text, end.to_string());
            assert_eq!(ipv4_width(end), text.len());
        }
    }

    #[test]
    fn digits_are_counted_as_they_are_written() {
        for number in [0, 9, 10, 99, 100, 4_294_967_295] {
            assert_eq!(digits(number), number.to_string().len());
        }
    }
}
