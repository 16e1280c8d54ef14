//! Addresses and ports in a filter, spelled as in ss:
//! `[FAMILY:]ADDRESS[/LENGTH][:PORT]` and `[FAMILY:][:]PORT`.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::error::Problem;
use super::{Names, Network};
use crate::model::Family;

/// A condition on one end of a socket. A field that is `None` is not tested.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Host {
    pub(super) family: Option<Family>,
    /// The address is in one of these.
    pub(super) networks: Option<Vec<Network>>,
    pub(super) port: Option<u16>,
    /// The index of the interface after an address, as in `fe80::1%eth0`.
    pub(super) device: Option<u32>,
}

/// Families of ss whose sockets closewait does not read.
const OTHER_FAMILIES: [&str; 4] = ["unix:", "link:", "netlink:", "vsock:"];
/// Words that match every address, as in ss.
const ANY: [&str; 3] = ["any", "all", "default"];

/// Parses the operand of `src` or `dst`.
pub(super) fn host(text: &str, names: &dyn Names) -> Result<Host, Problem> {
    let (family, rest) = family(text)?;
    let (rest, device) = scope(rest, names)?;
    let rest = rest.as_ref();
    let (addr, port) = split(rest)
        .ok_or_else(|| Problem::new(format!("missing ] in {text:?}")).hint("write [::1]:80"))?;
    let as_one = |problem: Problem| match rest.parse::<Ipv6Addr>() {
        // In ss, the part after the last colon is a port.
        Ok(addr) => Problem::new(format!(
            "ambiguous address {rest:?}, the last part may be a port"
        ))
        .hint(format!("write [{addr}] or [{addr}]:80")),
        Err(_) => problem,
    };
    let port = port_number(port, names).map_err(as_one)?;
    let networks = networks(addr, family, names).map_err(as_one)?;
    Ok(Host {
        family,
        networks,
        port,
        device,
    })
}

/// Parses the operand of `sport`, `dport` or `port`: a port without an address.
pub(super) fn port(text: &str, names: &dyn Names) -> Result<Host, Problem> {
    let (family, rest) = family(text)?;
    let port = port_number(rest.strip_prefix(':').unwrap_or(rest), names).map_err(|problem| {
        if rest.trim_start_matches(':').contains([':', '.']) {
            Problem::new(format!("{text:?} is not only a port"))
                .hint("write :80, and the address after src or dst")
        } else {
            problem
        }
    })?;
    Ok(Host {
        family,
        networks: None,
        port,
        device: None,
    })
}

fn family(text: &str) -> Result<(Option<Family>, &str), Problem> {
    if let Some(rest) = text.strip_prefix("inet:") {
        return Ok((Some(Family::Inet), rest));
    }
    if let Some(rest) = text.strip_prefix("inet6:") {
        return Ok((Some(Family::Inet6), rest));
    }
    match OTHER_FAMILIES.iter().find(|name| text.starts_with(**name)) {
        Some(name) => Err(Problem::new(format!("{name} sockets are not supported")).hint("use ss")),
        None => Ok((None, text)),
    }
}

/// Splits off the interface of `fe80::1%eth0`, `[fe80::1%eth0]:80` or, as in ss, `[fe80::1]%eth0:80`.
fn scope<'a>(text: &'a str, names: &dyn Names) -> Result<(Cow<'a, str>, Option<u32>), Problem> {
    let Some((before, behind)) = text.split_once('%') else {
        return Ok((Cow::Borrowed(text), None));
    };
    let end = behind.find([']', ':', '/']).unwrap_or(behind.len());
    let (name, rest) = behind.split_at(end);
    let index = names
        .interface(name)
        .or_else(|| number(name).and_then(|index| u32::try_from(index).ok()));
    let Some(index) = index else {
        let hint = "`ip link` lists them";
        return Err(Problem::new(format!("unknown interface {name:?}")).hint(hint));
    };
    let is_bare = before.contains(':') && !before.starts_with('[');
    let text = if is_bare && !rest.starts_with('/') {
        format!("[{before}]{rest}")
    } else {
        format!("{before}{rest}")
    };
    Ok((Cow::Owned(text), Some(index)))
}

/// The address and the port; either may be empty. `None` for an unclosed bracket.
fn split(text: &str) -> Option<(&str, &str)> {
    let (addr, rest) = if let Some(rest) = text.strip_prefix('[') {
        rest.split_once(']')?
    } else if let Some(rest) = text.strip_prefix('*') {
        ("", rest)
    } else {
        let start = text.find('/').unwrap_or(0);
        match text.rfind(':').filter(|at| *at >= start) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        }
    };
    Some((addr, rest.strip_prefix(':').unwrap_or(rest)))
}

fn port_number(text: &str, names: &dyn Names) -> Result<Option<u16>, Problem> {
    if matches!(text, "" | "*") {
        return Ok(None);
    }
    match number(text) {
        Some(number) => u16::try_from(number).map(Some).map_err(|_| {
            Problem::new(format!("invalid port {text:?}")).hint("ports are 0 to 65535")
        }),
        None => names.service(text).map(Some).ok_or_else(|| {
            Problem::new(format!("unknown port or service {text:?}"))
                .hint("write :80, or a name from /etc/services")
        }),
    }
}

fn networks(
    text: &str,
    family: Option<Family>,
    names: &dyn Names,
) -> Result<Option<Vec<Network>>, Problem> {
    if matches!(text, "" | "*") || ANY.contains(&text) {
        return Ok(None);
    }
    let (addr, length) = match text.split_once('/') {
        Some((addr, length)) => (addr, Some(length)),
        None => (text, None),
    };
    let fits = |addr: &IpAddr| match family {
        Some(Family::Inet) => addr.is_ipv4(),
        Some(Family::Inet6) => addr.is_ipv6(),
        None => true,
    };
    let wrong_family = || Problem::new(format!("{addr:?} is not an address of the given family"));
    if let Some(found) = address(addr) {
        if !fits(&found) {
            return Err(wrong_family());
        }
        let network = match length {
            None => Some(Network::host(found)),
            Some(length) => prefix(length, found).and_then(|length| Network::new(found, length)),
        };
        return network.map(|network| Some(vec![network])).ok_or_else(|| {
            let most = if found.is_ipv4() { 32 } else { 128 };
            Problem::new(format!("invalid prefix length in {text:?}"))
                .hint(format!("the length after / is a number from 0 to {most}"))
        });
    }
    let mut found = names.hosts(addr);
    if found.is_empty() || length.is_some() {
        return Err(no_address(addr));
    }
    found.retain(fits);
    if found.is_empty() {
        return Err(wrong_family());
    }
    Ok(Some(found.into_iter().map(Network::host).collect()))
}

fn no_address(text: &str) -> Problem {
    let problem = Problem::new(format!("unknown address {text:?}"));
    match number(text) {
        Some(_) => problem.hint(format!("write :{text} for a port")),
        None => problem.hint(
            "write 10.1.2.3, 10.0.0.0/8, 10.1.2.3:80, [::1]:80, 2001:db8::/32, or a name from \
             /etc/hosts",
        ),
    }
}

fn address(text: &str) -> Option<IpAddr> {
    if text.contains(':') {
        text.parse().ok().map(IpAddr::V6)
    } else {
        short_ipv4(text).map(IpAddr::V4)
    }
}

/// An IPv4 address of one to four bytes. Missing bytes at the end are 0: `10.8` is 10.8.0.0.
fn short_ipv4(text: &str) -> Option<Ipv4Addr> {
    let mut bytes = [0; 4];
    let mut parts = text.split('.');
    for byte in &mut bytes {
        match parts.next() {
            Some(part) => *byte = u8::try_from(number(part)?).ok()?,
            None => break,
        }
    }
    parts.next().is_none().then(|| Ipv4Addr::from(bytes))
}

/// The length of a prefix, or of a mask such as 255.0.0.0.
fn prefix(text: &str, addr: IpAddr) -> Option<u8> {
    if let Some(length) = number(text) {
        return u8::try_from(length).ok();
    }
    let mask: Ipv4Addr = text.parse().ok().filter(|_| addr.is_ipv4())?;
    let ones = mask.to_bits().leading_ones();
    (mask.to_bits().count_ones() == ones).then_some(u8::try_from(ones).ok()?)
}

/// A number as C reads it: `0x` begins a hexadecimal, `0` an octal one.
pub(super) fn number(text: &str) -> Option<u64> {
    let hex = text
        .strip_prefix("0x")
        .or_else(|| text.strip_prefix("0X"))
        .map(|digits| (digits, 16));
    let octal = || Some((text.strip_prefix('0').filter(|rest| !rest.is_empty())?, 8));
    let (digits, base) = hex.or_else(octal).unwrap_or((text, 10));
    // The standard library would accept a sign.
    (!digits.starts_with(['+', '-'])).then_some(())?;
    u64::from_str_radix(digits, base).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filter::NoNames;

    fn read(text: &str) -> String {
        match host(text, &NoNames) {
            Ok(host) => {
                let networks: Vec<String> = host
                    .networks
                    .unwrap_or_default()
                    .iter()
                    .map(ToString::to_string)
                    .collect();
                let port = host.port.map_or("*".to_owned(), |port| port.to_string());
                format!("{} {port}", networks.join(","))
            }
            Err(problem) => format!("{}: {}", problem.what, problem.hint.unwrap_or_default()),
        }
    }

    #[test]
    fn an_address_may_have_a_length_and_a_port() {
        assert_eq!(read("10.1.2.3"), "10.1.2.3/32 *");
        assert_eq!(read("10.0.0.0/8:443"), "10.0.0.0/8 443");
        assert_eq!(read("[2001:db8::1]:80"), "2001:db8::1/128 80");
        assert_eq!(read("[2001:db8::/32]:80"), "2001:db8::/32 80");
        assert_eq!(read("2001:db8::/32"), "2001:db8::/32 *");
        assert_eq!(read("::1:80"), "::1/128 80");
        assert_eq!(read(":80"), " 80");
        assert_eq!(read("*:80"), " 80");
        assert_eq!(read("*"), " *");
        assert_eq!(read("10.1.2.3:*"), "10.1.2.3/32 *");
    }

    #[test]
    fn short_addresses_and_masks_are_those_of_ss() {
        assert_eq!(read("10/8"), "10.0.0.0/8 *");
        assert_eq!(read("10.8"), "10.8.0.0/32 *");
        assert_eq!(read("0xa.010.1.1"), "10.8.1.1/32 *");
        assert_eq!(read("10.0.0.0/255.0.0.0"), "10.0.0.0/8 *");
        assert!(read("10.0.0.0/255.0.255.0").contains("invalid prefix length"));
        assert!(read("10.0.0.0/33").contains("0 to 32"));
        assert!(read("256.1.1.1").contains("unknown address"));
        assert!(read("1.2.3.4.5").contains("unknown address"));
    }

    #[test]
    fn what_ss_would_misread_says_how_to_write_it() {
        assert_eq!(
            read("::1"),
            "ambiguous address \"::1\", the last part may be a port: write [::1] or [::1]:80"
        );
        assert_eq!(
            read("[fe80::1%eth0]"),
            "unknown interface \"eth0\": `ip link` lists them"
        );
        assert!(read("[::1").contains("missing ]"));
    }

    #[test]
    fn an_interface_stands_behind_an_address() {
        for text in [
            "fe80::1%7",
            "fe80::1%7:*",
            "[fe80::1%7]",
            "[fe80::1]%7",
            "inet6:fe80::1%7",
        ] {
            let found = host(text, &NoNames).unwrap();
            assert_eq!(found.device, Some(7), "{text}");
            assert_eq!(found.port, None, "{text}");
            assert!(found.networks.is_some(), "{text}");
        }
        let found = host("[fe80::1]%7:80", &NoNames).unwrap();
        assert_eq!((found.device, found.port), (Some(7), Some(80)));
        for wrong in ["%", "fe80::1%", "[%", "%%%", "fe80::1%7%8", "%]"] {
            assert!(host(wrong, &NoNames).is_err(), "{wrong}");
        }
    }

    #[test]
    fn numbers_are_those_of_c() {
        assert_eq!(number("0x1F"), Some(31));
        assert_eq!(number("010"), Some(8));
        assert_eq!(number("0"), Some(0));
        for wrong in ["", "0x", "08", "-1", "+1", "0x+1", "1k"] {
            assert_eq!(number(wrong), None, "{wrong}");
        }
    }
}
