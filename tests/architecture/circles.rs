//! Imports among the files of src/: who names whom, and that they form no circles.

use std::collections::{BTreeMap, BTreeSet};

use super::{Source, sources};

type Module = Vec<String>;

/// The circles that are left. The list may only shrink.
const CIRCLES: [&[&str]; 1] = [
    // The manual describes the commands, and is one of them.
    &["command", "manual"],
];

/// Every path in a module's code, from the root of the crate: imports with all their branches, and
/// paths in expressions.
fn paths(module: &[String], code: &str) -> Vec<Module> {
    let mut found = Vec::new();
    for (start, base) in [
        ("crate::", 0),
        ("self::", module.len()),
        ("super::", module.len()),
    ] {
        for (at, _) in code.match_indices(start) {
            let is_end_of_name = |c: char| c.is_alphanumeric() || c == '_' || c == ':' || c == '$';
            if code[..at].ends_with(is_end_of_name) {
                continue;
            }
            let rest = match start {
                "super::" => &code[at..],
                _ => &code[at + start.len()..],
            };
            branches(rest, module[..base].to_vec(), &mut found);
        }
    }
    found
}

/// The paths that begin here: `a::b`, or `a::{b, c::d}`. Returns what follows.
fn branches<'a>(text: &'a str, mut path: Module, found: &mut Vec<Module>) -> &'a str {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        loop {
            rest = rest.trim_start();
            if let Some(rest) = rest.strip_prefix('}') {
                return rest;
            }
            let before = rest.len();
            rest = branches(rest, path.clone(), found);
            rest = rest.trim_start();
            rest = rest.strip_prefix(',').unwrap_or(rest);
            if rest.len() == before {
                return rest;
            }
        }
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    let (name, rest) = text.split_at(end.unwrap_or(text.len()));
    match name {
        "super" => _ = path.pop(),
        "self" | "" => {}
        name => path.push(name.to_owned()),
    }
    match rest.strip_prefix("::") {
        Some(rest) if !name.is_empty() => branches(rest, path, found),
        _ => {
            found.push(path);
            // A name of its own: `a as b`.
            match rest.strip_prefix(" as ") {
                Some(rest) => rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_'),
                None => rest,
            }
        }
    }
}

/// Which module names which, without the modules above and below it.
fn imports() -> BTreeMap<Module, BTreeSet<Module>> {
    let sources = sources();
    let modules: BTreeSet<Module> = sources.iter().map(Source::module).collect();
    let of = |source: &Source| {
        let own = source.module();
        let named = paths(&own, &source.code).into_iter().filter_map(|path| {
            let prefixes = (1..=path.len()).rev().map(|length| path[..length].to_vec());
            prefixes.into_iter().find(|prefix| modules.contains(prefix))
        });
        let is_beside = |other: &Module| !own.starts_with(other) && !other.starts_with(&own);
        (own.clone(), named.filter(is_beside).collect())
    };
    sources.iter().map(of).collect()
}

/// The groups of modules that all lead to each other.
fn circles<T: Ord + Clone>(imports: &BTreeMap<T, BTreeSet<T>>) -> BTreeSet<BTreeSet<T>> {
    let reached = |from: &T| -> BTreeSet<T> {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&T> = vec![from];
        while let Some(at) = next.pop() {
            for to in imports.get(at).into_iter().flatten() {
                if seen.insert(to.clone()) {
                    next.push(to);
                }
            }
        }
        seen
    };
    let all: BTreeMap<&T, BTreeSet<T>> = imports.keys().map(|from| (from, reached(from))).collect();
    let in_a_circle = all.iter().filter(|(from, to)| to.contains(*from));
    in_a_circle
        .map(|(from, to)| {
            let back = to.iter().filter(|other| all[other].contains(*from));
            back.cloned().collect()
        })
        .collect()
}

#[test]
fn paths_are_found_with_all_their_branches() {
    let found = |code: &str| -> Vec<String> {
        let module = ["a", "b"].map(str::to_owned);
        let mut found: Vec<String> = paths(&module, code)
            .iter()
            .map(|path| path.join("::"))
            .collect();
        found.sort();
        found
    };
    assert_eq!(
        found("use crate::x::{self, Y, z::{A, B as C}};\nuse super::q;"),
        ["a::q", "x", "x::Y", "x::z::A", "x::z::B"]
    );
    assert_eq!(
        found("fn f() { self::g(); super::super::h::<T>(); }"),
        ["a::b::g", "h"]
    );
    assert_eq!(found("let subcrate::x = std::super_::y;"), [""; 0]);
}

#[test]
fn circles_are_found() {
    let of = |pairs: &[(u8, u8)]| {
        let mut imports: BTreeMap<u8, BTreeSet<u8>> = BTreeMap::new();
        for (from, to) in pairs {
            imports.entry(*from).or_default().insert(*to);
            imports.entry(*to).or_default();
        }
        circles(&imports)
    };
    assert_eq!(of(&[(1, 2), (2, 3), (1, 3)]), BTreeSet::new());
    let circle = BTreeSet::from([1, 2, 3]);
    assert_eq!(
        of(&[(1, 2), (2, 3), (3, 1), (3, 4)]),
        BTreeSet::from([circle])
    );
}

#[test]
fn the_modules_of_the_collector_form_no_circle() {
    let mut parts: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let part = |module: &Module| match module.as_slice() {
        [stage, part, ..] if stage == "collector" => Some(part.clone()),
        _ => None,
    };
    for (module, named) in imports() {
        let Some(from) = part(&module) else { continue };
        let to = named.iter().filter_map(part).filter(|to| *to != from);
        parts.entry(from.clone()).or_default().extend(to);
    }
    let circles = circles(&parts);
    assert!(circles.is_empty(), "{circles:#?}");
}

#[test]
fn files_form_no_circle_but_those_that_are_listed() {
    let name = |module: &Module| module.join("::");
    let found: Vec<Vec<String>> = circles(&imports())
        .iter()
        .map(|circle| circle.iter().map(name).collect())
        .collect();
    assert_eq!(found, CIRCLES, "one that is gone leaves the list");
}
