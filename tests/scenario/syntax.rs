//! The words of a scenario line: durations, ends, owners, counts.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use closewait::model::{Endpoint, Timer, TimerKind};

/// This host's addresses in every scenario.
pub const HOST_V4: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 1);
pub const HOST_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);

/// An address and port, of which either may be left open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    pub addr: Option<IpAddr>,
    pub port: Option<u16>,
}

/// A process by name and number: `java[1234]`; with `apache2[100..]` each socket has a process
/// of its own, numbered from 100.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    pub name: String,
    pub pid: u32,
    pub counts_up: bool,
}

/// `90ms`, `5s`, `1h30m`, `50d`, in milliseconds.
pub fn duration(text: &str) -> Result<u64, String> {
    let error = || format!("{text:?} is not a duration: 90ms, 5s, 1h30m, 50d");
    let mut rest = text;
    let mut total = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(error)?;
        let number: u64 = rest[..digits].parse().map_err(|_| error())?;
        rest = &rest[digits..];
        let unit = rest
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(rest.len());
        total += number
            * match &rest[..unit] {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(error()),
            };
        rest = &rest[unit..];
    }
    (!text.is_empty()).then_some(total).ok_or_else(error)
}

/// `:8080`, `10.0.0.5:3306`, `10.0.0.9`, `[2001:db8::9]:443`, `[::1]`.
pub fn end(text: &str) -> Result<End, String> {
    let error = || format!("{text:?} is not an address and port");
    let port = |text: &str| text.parse::<u16>().map(Some).map_err(|_| error());
    if let Some(rest) = text.strip_prefix('[') {
        let (addr, rest) = rest.split_once(']').ok_or_else(error)?;
        let addr: Ipv6Addr = addr.parse().map_err(|_| error())?;
        return Ok(End {
            addr: Some(addr.into()),
            port: match rest.strip_prefix(':') {
                Some(number) => port(number)?,
                None if rest.is_empty() => None,
                None => return Err(error()),
            },
        });
    }
    let (addr, number) = match text.split_once(':') {
        Some((addr, number)) => (addr, port(number)?),
        None => (text, None),
    };
    let addr = match addr {
        "" => None,
        addr => Some(IpAddr::V4(addr.parse().map_err(|_| error())?)),
    };
    Ok(End { addr, port: number })
}

/// An end with both parts.
pub fn endpoint(text: &str) -> Result<Endpoint, String> {
    let end = end(text)?;
    end.addr
        .zip(end.port)
        .map(|(addr, port)| Endpoint::new(addr, port))
        .ok_or_else(|| format!("{text:?} needs an address and a port"))
}

/// `java[1234]`, `apache2[100..]`.
pub fn owner(text: &str) -> Option<Owner> {
    let (name, pid) = text.strip_suffix(']')?.split_once('[')?;
    let first = pid.strip_suffix("..");
    Some(Owner {
        name: name.to_owned(),
        pid: first.unwrap_or(pid).parse().ok()?,
        counts_up: first.is_some(),
    })
}

/// A leading `200x`; without one, 1.
pub fn count(text: &str) -> (u32, &str) {
    let counted = text
        .split_once("x ")
        .and_then(|(count, rest)| Some((count.parse().ok()?, rest.trim_start())));
    counted.unwrap_or((1, text))
}

/// `keepalive/90m`, `retransmit/3s/5`: kind, when it fires, attempts so far.
pub fn timer(text: &str) -> Result<Timer, String> {
    let mut parts = text.split('/');
    let kind = match parts.next() {
        Some("retransmit") => TimerKind::Retransmit,
        Some("keepalive") => TimerKind::Keepalive,
        Some("timewait") => TimerKind::TimeWait,
        Some("probe") => TimerKind::Probe,
        Some("delack") => TimerKind::DelayedAck,
        _ => return Err(format!("{text:?} is no timer: keepalive/90m, probe/20s/3")),
    };
    let expires = duration(parts.next().unwrap_or("1s"))?;
    Ok(Timer {
        kind,
        expires_ms: u32::try_from(expires).map_err(|_| "a timer of months".to_owned())?,
        retransmits: match parts.next() {
            Some(number) => number
                .parse()
                .map_err(|_| format!("{number:?} is no number of attempts"))?,
            None => 0,
        },
    })
}

/// `key=value`.
pub fn pair(text: &str) -> Option<(&str, &str)> {
    text.split_once('=')
}

/// A whole number.
pub fn number(key: &str, text: &str) -> Result<u32, String> {
    text.parse()
        .map_err(|_| format!("{key}={text} is not a number"))
}
