//! Turns a key, an operator and a value into a condition.

use super::error::Problem;
use super::host::{self, Host, number};
use super::key::{Key, Operator};
use super::lexer::Word;
use super::{End, Filter, Names, Network, Pattern, Term, duration};
use crate::model::{Cause, Pid, Side, nearest};

/// Local ports in the range that the kernel assigns from. (The kernel does not report whether a
/// program chose such a port itself.)
pub(super) fn autobound(names: &dyn Names) -> Result<Filter, Problem> {
    let ports = names.ephemeral().ok_or_else(|| {
        Problem::new("cannot read ip_local_port_range").hint("write `sport >= :32768`")
    })?;
    Ok(Filter::Term(Term::Port(
        End::Local,
        ports.first..=ports.last,
    )))
}

/// The condition for a key, an operator that the key accepts, and a value.
pub(super) fn condition(
    key: Key,
    operator: Operator,
    value: &Word,
    names: &dyn Names,
) -> Result<Filter, Problem> {
    let text = value.text.as_str();
    let wrong = |what: &str, hint: &str| Problem::new(format!("{what} {text:?}")).hint(hint);
    let whole = |what: &str, most: u64| {
        number(text)
            .filter(|number| *number <= most)
            .ok_or_else(|| {
                wrong(
                    &format!("invalid {what}"),
                    &format!("write a number up to {most}"),
                )
            })
    };
    let narrow = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    let most = u64::from(u32::MAX);
    let term = match key {
        Key::Address(end) => return Ok(of_host(end, operator, host::host(text, names)?)),
        Key::Port(end) => {
            let host = host::port(text, names)?;
            if host.port.is_none() && operator.is_order() {
                return Err(wrong("invalid port", "write a number or a service"));
            }
            return Ok(of_host(end, operator, host));
        }
        Key::Interface => Term::Interface(match names.interface(text) {
            Some(index) => index,
            None => number(text)
                .and_then(|index| u32::try_from(index).ok())
                .ok_or_else(|| wrong("unknown interface", "`ip link` lists them"))?,
        }),
        Key::Mark => {
            mark(text).ok_or_else(|| wrong("invalid mark", "write 5, 0x10 or 0x10/0xf0"))?
        }
        Key::Cgroup => Term::Cgroup(names.cgroup(text).ok_or_else(|| {
            wrong(
                "unknown cgroup",
                "write a directory of the cgroup2 file system, or its path below the root",
            )
        })?),
        Key::Pid => Term::Pid(Pid(narrow(whole("process number", most)?))),
        Key::Inode => Term::Inode(narrow(whole("inode", most)?)),
        Key::User => Term::User(match names.user(text) {
            Some(uid) => uid,
            None => narrow(whole("user", most).map_err(|_| {
                wrong("unknown user", "write a number, or a name from /etc/passwd")
            })?),
        }),
        Key::Program | Key::Unit | Key::Container => named(key, operator, value)?,
        Key::Cause => Term::Cause(cause(text)?),
        Key::Netns => Term::Netns(text.to_owned()),
        Key::Side => Term::Side(match text {
            "server" => Side::Server,
            "client" => Side::Client,
            _ => return Err(wrong("unknown side", "write server or client")),
        }),
        Key::Age => {
            let age = duration(text).map_err(Problem::new)?;
            let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
            let Some(range) = operator.range(age, u64::MAX) else {
                return Ok(nothing());
            };
            Term::Idle(range)
        }
        Key::RecvQ | Key::SendQ => {
            let bytes = bytes(text)
                .ok_or_else(|| wrong("invalid number of bytes", "write 0, 1500, 64k"))?;
            let Some(range) = operator.range(bytes, most) else {
                return Ok(nothing());
            };
            let range = narrow(*range.start())..=narrow(*range.end());
            if key == Key::RecvQ {
                Term::RecvQ(range)
            } else {
                Term::SendQ(range)
            }
        }
        Key::Autobound => return autobound(names),
    };
    Ok(negated(operator, Filter::Term(term)))
}

/// A term for the name of a program, unit or container.
fn named(key: Key, operator: Operator, value: &Word) -> Result<Term, Problem> {
    let text = value.text.as_str();
    Ok(match operator {
        Operator::Like | Operator::NotLike => {
            // `text` has lost its backslashes; the pattern needs them.
            let pattern = Pattern::new(&value.raw).map_err(|reason| {
                Problem::new(format!("invalid regular expression {text:?}")).hint(reason)
            })?;
            match key {
                Key::Unit => Term::UnitLike(pattern),
                Key::Container => Term::ContainerLike(pattern),
                _ => Term::ProgramLike(pattern),
            }
        }
        _ => {
            let name = text.as_bytes().to_vec();
            match key {
                Key::Unit => Term::Unit(name),
                Key::Container => Term::Container(name),
                _ => Term::Program(name),
            }
        }
    })
}

fn cause(text: &str) -> Result<Cause, Problem> {
    text.parse().map_err(|_| {
        let names = Cause::ALL.map(Cause::name);
        let hint = match nearest(text, names) {
            Some(meant) => format!("did you mean {meant}?"),
            None => format!("one of {}", names.join(", ")),
        };
        Problem::new(format!("unknown cause {text:?}")).hint(hint)
    })
}

fn nothing() -> Filter {
    Filter::Or(Vec::new())
}

fn negated(operator: Operator, filter: Filter) -> Filter {
    if operator.is_negative() {
        Filter::Not(Box::new(filter))
    } else {
        filter
    }
}

fn of_host(end: End, operator: Operator, host: Host) -> Filter {
    let mut parts: Vec<Filter> = Vec::new();
    if let Some(networks) = host.networks {
        let one = |network: Network| Filter::Term(Term::Host(end, network));
        parts.push(match networks.as_slice() {
            [network] => one(*network),
            _ => Filter::Or(networks.into_iter().map(one).collect()),
        });
    }
    if let Some(port) = host.port {
        let Some(ports) = operator.range(port.into(), u16::MAX.into()) else {
            return nothing();
        };
        let narrow = |port: u64| u16::try_from(port).unwrap_or(u16::MAX);
        let ports = narrow(*ports.start())..=narrow(*ports.end());
        parts.push(Filter::Term(Term::Port(end, ports)));
    }
    parts.extend(
        host.device
            .map(|device| Filter::Term(Term::Interface(device))),
    );
    let selected = negated(operator, all_of(parts));
    match host.family {
        Some(family) => all_of(vec![Filter::Term(Term::Family(family)), selected]),
        None => selected,
    }
}

fn all_of(mut parts: Vec<Filter>) -> Filter {
    match parts.len() {
        1 => parts.swap_remove(0),
        _ => Filter::And(parts),
    }
}

/// `5`, `0x10`, `0x10/0xf0`.
fn mark(text: &str) -> Option<Term> {
    let part = |text: &str| u32::try_from(number(text)?).ok();
    let (value, mask) = match text.split_once('/') {
        Some((value, mask)) => (part(value)?, part(mask)?),
        None => (part(text)?, u32::MAX),
    };
    Some(Term::Mark { value, mask })
}

/// `0`, `1500`, `64k`, `1M`.
fn bytes(text: &str) -> Option<u64> {
    let units = [('k', 10), ('m', 20), ('g', 30)];
    let with_unit = units.iter().find_map(|(unit, shift)| {
        let digits = text.strip_suffix([*unit, unit.to_ascii_uppercase()])?;
        Some((digits, *shift))
    });
    let (digits, shift) = with_unit.unwrap_or((text, 0));
    let bytes = number(digits)?;
    (bytes.leading_zeros() > shift).then_some(bytes << shift)
}
