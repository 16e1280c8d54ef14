//! Validates a text against OpenMetrics 1.0, as far as this program uses it.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
struct Family {
    kind: String,
    described: BTreeSet<&'static str>,
    sampled: bool,
    /// Of histograms: bucket bounds and counts, the sum and the count.
    buckets: Vec<(f64, f64)>,
    sum: Option<f64>,
    count: Option<f64>,
}

/// Every fault that is found, in order.
pub fn faults(text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut series = BTreeSet::new();
    if !text.ends_with("# EOF\n") {
        faults.push("it does not end with EOF".to_owned());
    }
    for (at, line) in text.lines().enumerate() {
        let mut fault = |what: &str| faults.push(format!("line {}: {what}: {line}", at + 1));
        if line == "# EOF" {
            if at + 1 != text.lines().count() {
                fault("EOF before the end");
            }
            continue;
        }
        if let Some(rest) = line.strip_prefix("# ") {
            let mut words = rest.splitn(3, ' ');
            let (Some(what), Some(name)) = (words.next(), words.next()) else {
                fault("neither a sample nor a description");
                continue;
            };
            let value = words.next().unwrap_or_default();
            let Some(what) = ["TYPE", "UNIT", "HELP"]
                .into_iter()
                .find(|known| *known == what)
            else {
                fault("a comment");
                continue;
            };
            if name != current {
                if families.contains_key(name) {
                    fault("a family in two places");
                }
                current = name.to_owned();
            }
            if !is_name(name) {
                fault("a name with other letters");
            }
            let family = families.entry(name.to_owned()).or_default();
            if !family.described.insert(what) {
                fault("described twice");
            }
            if family.sampled {
                fault("described after a sample");
            }
            match what {
                "TYPE" if !["gauge", "histogram"].contains(&value) => {
                    fault("a type of neither format")
                }
                "TYPE" => family.kind = value.to_owned(),
                "UNIT" if !name.ends_with(&format!("_{value}")) => {
                    fault("a unit that the name lacks")
                }
                "HELP" if value.is_empty() => fault("no help"),
                _ => {}
            }
            continue;
        }
        let Some((name, labels, value)) = sample(line) else {
            fault("not a sample");
            continue;
        };
        let base = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|suffix| name.strip_suffix(suffix))
            .filter(|base| *base == current)
            .unwrap_or(&name);
        if base != current {
            fault("a sample outside of its family");
        }
        if !series.insert(format!("{name}{labels:?}")) {
            fault("the same series twice");
        }
        let Ok(value) = value.parse::<f64>() else {
            fault("not a number");
            continue;
        };
        let family = families.entry(base.to_owned()).or_default();
        family.sampled = true;
        if family.described.len() < 2 || !family.described.contains("TYPE") {
            fault("not described");
        }
        let bound = labels.get("le").and_then(|le| match le.as_str() {
            "+Inf" => Some(f64::INFINITY),
            le => le.parse().ok(),
        });
        match (
            family.kind.as_str(),
            name.strip_prefix(base).unwrap_or_default(),
        ) {
            ("gauge", "") => {}
            ("histogram", "_bucket") => match bound {
                Some(bound) => family.buckets.push((bound, value)),
                None => fault("a bucket without a bound"),
            },
            ("histogram", "_sum") => family.sum = Some(value),
            ("histogram", "_count") => family.count = Some(value),
            _ => fault("a suffix that the type has not"),
        }
    }
    for (name, family) in &families {
        if family.kind == "histogram" && family.sampled {
            let grows = family
                .buckets
                .windows(2)
                .all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1);
            let whole = family
                .buckets
                .last()
                .is_some_and(|last| last.0 == f64::INFINITY);
            if !grows || !whole {
                faults.push(format!("{name}: buckets that do not grow to +Inf"));
            }
            let last = family.buckets.last().map(|last| last.1);
            if family.sum.is_none() || family.count.is_none() || family.count != last {
                faults.push(format!("{name}: sum and count that do not fit"));
            }
        }
    }
    faults
}

/// The value of a series, by the whole of what stands before its number.
#[allow(dead_code)]
pub fn value(text: &str, series: &str) -> Option<f64> {
    let line = text.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit_once(' ')?.1.parse().ok()
}

fn is_name(name: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    name.starts_with(|c: char| letter(c) && !c.is_ascii_digit()) && name.chars().all(letter)
}

/// Name, labels and number.
fn sample(line: &str) -> Option<(String, BTreeMap<String, String>, &str)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            if !is_name(label) {
                return None;
            }
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next()? {
                    (_, '\\') => match chars.next()?.1 {
                        'n' => value.push('\n'),
                        c @ ('"' | '\\') => value.push(c),
                        _ => return None,
                    },
                    (at, '"') => break at,
                    (_, c) => value.push(c),
                }
            };
            if labels.insert(label.to_owned(), value).is_some() {
                return None;
            }
            rest = &after[end + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ')?;
    (is_name(name) && !value.contains(' ')).then(|| (name.to_owned(), labels, value))
}
