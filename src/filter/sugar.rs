//! Options that stand for a condition, such as --port and --peer: what one value of such an option selects.

use std::net::Ipv6Addr;

use super::error::Problem;
use super::host::number;
use super::key::{Key, Operator};
use super::lexer::Word;
use super::ports::range;
use super::suggest;
use super::{End, Filter, Names, Network, NetworkError, Term, operand};

/// An option whose values may be names of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sugar {
    Port,
    Peer,
    User,
    Unit,
    Container,
}

impl Sugar {
    /// The option as it is typed.
    pub fn flag(self) -> &'static str {
        match self {
            Sugar::Port => "--port",
            Sugar::Peer => "--peer",
            Sugar::User => "--user",
            Sugar::Unit => "--unit",
            Sugar::Container => "--container",
        }
    }

    /// The condition for one value.
    ///
    /// # Errors
    /// What is wrong with the value, and what to try.
    pub fn condition(self, value: &str, names: &dyn Names) -> Result<Filter, String> {
        let said = |problem: Problem| match problem.hint {
            Some(hint) => format!("{}: {hint}", problem.what),
            None => problem.what,
        };
        let of_key = |key| operand::condition(key, Operator::Equal, &word(value), names);
        let name = self.flag().trim_start_matches('-');
        let as_condition = || suggest::meant(&[word(&format!("{name} {value}"))]);
        match self {
            _ if value.is_empty() => Err("empty value".to_owned()),
            _ if value.starts_with(['<', '>', '=', '!'])
                && let Some(condition) = as_condition() =>
            {
                Err(format!("write a filter: `{condition}`"))
            }
            Sugar::Port => match range(value)? {
                Some(filter) => Ok(filter),
                None => of_key(Key::Port(End::Either)).map_err(said),
            },
            Sugar::Peer => match value.parse::<Network>() {
                Ok(network) => {
                    let address = Filter::Term(Term::Host(End::Remote, network));
                    Ok(match with_port(value) {
                        Some(bracketed) => {
                            let key = Key::Address(End::Remote);
                            let other =
                                operand::condition(key, Operator::Equal, &word(&bracketed), names);
                            Filter::Or([Ok(address), other].into_iter().flatten().collect())
                        }
                        None => address,
                    })
                }
                Err(error @ NetworkError::Length { .. }) => Err(error.to_string()),
                Err(_) if number(value).is_some() => Err(format!("write :{value} for a port")),
                // 10.0.0 is 10.0.0.0 in ss, which is hardly what is meant.
                Err(error) if is_short(value) => Err(error.to_string()),
                Err(_) => of_key(Key::Address(End::Remote)).map_err(said),
            },
            Sugar::User => of_key(Key::User).map_err(said),
            Sugar::Unit => of_key(Key::Unit).map_err(said),
            Sugar::Container => of_key(Key::Container).map_err(said),
        }
        .and_then(|filter| match filter.is_everything() {
            true => Err(format!("{value:?} selects everything")),
            false => Ok(filter),
        })
    }
}

fn word(value: &str) -> Word {
    Word {
        text: value.to_owned(),
        raw: value.to_owned(),
        quoted: true,
        at: 0..value.len(),
    }
}

/// `[::1]:8443` for `::1:8443`, which is an address but was probably meant as address and port.
fn with_port(value: &str) -> Option<String> {
    let (address, port) = value.rsplit_once(':')?;
    address.parse::<Ipv6Addr>().ok()?;
    let is_port = port.parse::<u16>().is_ok();
    is_port.then(|| format!("[{address}]:{port}"))
}

/// Whether this is the beginning of an IPv4 address: `10.0.0`.
fn is_short(value: &str) -> bool {
    let host = value.split(':').next().unwrap_or_default();
    let host = host.split('/').next().unwrap_or_default();
    !host.is_empty()
        && host
            .bytes()
            .all(|byte| byte == b'.' || byte.is_ascii_digit())
        && host.split('.').count() < 4
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;
    use crate::filter::parse;
    use crate::model::PortRange;

    /// A host with one service and one name.
    struct Known;

    impl Names for Known {
        fn service(&self, name: &str) -> Option<u16> {
            match name {
                "http" => Some(80),
                "http-alt" => Some(8080),
                _ => None,
            }
        }

        fn hosts(&self, name: &str) -> Vec<IpAddr> {
            let is_known = name == "localhost";
            is_known
                .then_some(Ipv4Addr::LOCALHOST.into())
                .into_iter()
                .collect()
        }

        fn interface(&self, _: &str) -> Option<u32> {
            None
        }

        fn user(&self, _: &str) -> Option<u32> {
            None
        }

        fn cgroup(&self, _: &str) -> Option<u64> {
            None
        }

        fn ephemeral(&self) -> Option<PortRange> {
            None
        }
    }

    #[test]
    fn a_value_means_what_the_condition_means() {
        for (sugar, value, condition) in [
            (Sugar::Port, "8080", "port = :8080"),
            (Sugar::Port, ":8080", "port = :8080"),
            (Sugar::Port, "http", "port = :80"),
            (Sugar::Port, ":http-alt", "port = :8080"),
            (Sugar::Peer, "10.0.0.5", "dst 10.0.0.5"),
            (Sugar::Peer, "10/8", "dst 10.0.0.0/8"),
            (Sugar::Peer, "::1", "dst [::1]"),
            (Sugar::Peer, "[::1]:443", "dst [::1]:443"),
            (Sugar::Peer, "localhost", "dst 127.0.0.1"),
            (Sugar::Peer, "localhost:http", "dst 127.0.0.1:80"),
            (Sugar::Peer, "10.0.0.5:3306", "dst 10.0.0.5:3306"),
            (Sugar::Peer, ":3306", "dst :3306"),
            (Sugar::Peer, "::1:8443", "dst [::1:8443] or dst [::1]:8443"),
            (Sugar::Peer, "1:2:3:4:5:6:7:8", "dst [1:2:3:4:5:6:7:8]"),
            (Sugar::User, "4294967294", "user = 4294967294"),
            (Sugar::Unit, r"a b\x2d.service", r"unit = 'a b\x2d.service'"),
        ] {
            let found = sugar.condition(value, &Known);
            assert_eq!(found, Ok(parse(condition, &Known).unwrap()), "{value}");
        }
        assert_eq!(
            Sugar::Port.condition("8000-8099", &Known),
            Ok(Filter::Term(Term::Port(End::Either, 8000..=8099)))
        );
    }

    #[test]
    fn a_value_that_selects_nothing_or_everything_is_refused_with_what_to_type() {
        for (sugar, value, hint) in [
            (Sugar::Port, "nosuch", "unknown port or service"),
            (Sugar::Port, "70000", "ports are 0 to 65535"),
            (Sugar::Port, "9-1", "a range of ports such as 8000-8099"),
            (Sugar::Port, "", "empty value"),
            (Sugar::Port, "*", "selects everything"),
            (Sugar::Peer, "nosuch", "a name from /etc/hosts"),
            (Sugar::Peer, "3306", "write :3306 for a port"),
            (Sugar::Peer, "10.0.0", "try 10.1.2.3, 10.0.0.0/8"),
            (Sugar::Peer, "10.0.0.1/33", "from 0 to 32"),
            (Sugar::Peer, "localhost:nosuch", "unknown port or service"),
            (Sugar::Peer, "any", "selects everything"),
            (Sugar::User, "nosuch", "unknown user"),
        ] {
            let error = sugar.condition(value, &Known).unwrap_err();
            assert!(error.contains(hint), "{value}: {error}");
        }
    }
}
