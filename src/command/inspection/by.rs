//! Parses `--by`: the dimensions of a tally and its order.

use super::Ask;
use crate::classifier::tally::Dimension;
use crate::command::UsageError;
use crate::model::nearest;
use crate::renderer::counts::{By, ByKey, BySort};

/// The dimensions and their order; `None` without `--by`.
pub(super) fn by(ask: &Ask) -> Result<Option<By>, UsageError> {
    if ask.counted.by.is_empty() {
        return Ok(None);
    }
    let mut dimensions = Vec::new();
    for name in &ask.counted.by {
        let dimension = name.trim().parse().map_err(|_| UsageError::By {
            name: name.clone(),
            hint: meant(name, Dimension::ALL.map(Dimension::name)),
        })?;
        if !dimensions.contains(&dimension) {
            dimensions.push(dimension);
        }
    }
    // States of TCP and UDP must not be added up.
    if ask.letters.tcp && ask.letters.udp && !dimensions.contains(&Dimension::Protocol) {
        dimensions.insert(0, Dimension::Protocol);
    }
    let sort = match &ask.order.sort {
        Some(text) => Some(sort(text, &dimensions)?),
        None => None,
    };
    Ok(Some(By {
        dimensions,
        sort,
        heading: !ask.printed.no_header,
    }))
}

fn sort(text: &str, dimensions: &[Dimension]) -> Result<BySort, UsageError> {
    let (descending, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text),
    };
    let plain = name.to_ascii_lowercase().replace(['-', '_'], "");
    let at = |name: &str| dimensions.iter().position(|by| by.name() == name);
    let key = match (plain.as_str(), at(&plain)) {
        (_, Some(at)) => ByKey::Dimension(at),
        ("sockets" | "share", None) => ByKey::Sockets,
        ("closewait", None) => ByKey::CloseWait,
        _ => {
            let names = dimensions.iter().map(|by| by.name());
            let all: Vec<&str> = names.chain(["sockets", "close_wait"]).collect();
            return Err(UsageError::Sort {
                key: name.to_owned(),
                all: all.join(", "),
            });
        }
    };
    Ok(BySort { key, descending })
}

/// A hint: the name that was probably meant, or else all names.
fn meant<const N: usize>(name: &str, names: [&'static str; N]) -> String {
    match nearest(name, names) {
        Some(meant) => format!("did you mean {meant}?"),
        None => format!("one of {}", names.join(", ")),
    }
}
