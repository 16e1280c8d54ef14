//! Ranges of ports, which options take.

use super::{End, Filter, Term};

/// `8000-8099`; `None` if the value is no range. Names of services may contain a hyphen.
pub(super) fn range(value: &str) -> Result<Option<Filter>, String> {
    let bare = value.strip_prefix(':').unwrap_or(value);
    let Some((first, last)) = bare.split_once('-') else {
        return Ok(None);
    };
    let last = last.strip_prefix(':').unwrap_or(last);
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(first) || !is_number(last) {
        return Ok(None);
    }
    match (first.parse(), last.parse()) {
        (Ok(first), Ok(last)) if first <= last => {
            Ok(Some(Filter::Term(Term::Port(End::Either, first..=last))))
        }
        _ => Err("expected a range of ports such as 8000-8099".to_owned()),
    }
}

/// Whether these are numbers and ranges of ports, separated by commas: `8080,8000-8099`.
pub fn is_ports(text: &str) -> bool {
    text.split(',').all(|one| {
        let is_range = matches!(range(one), Ok(Some(_)));
        is_range || one.parse::<u16>().is_ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_numbers_and_ranges() {
        for text in ["80", "80,443", "8000-8099", "80,8000-8099"] {
            assert!(is_ports(text), "{text}");
        }
        for text in ["", "80,", "70000", "9-1", "http", "x-windows"] {
            assert!(!is_ports(text), "{text}");
        }
    }
}
