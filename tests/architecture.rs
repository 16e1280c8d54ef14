//! Checks the rules of ARCHITECTURE.md against the text of src/: dependencies, purity, and that the page
//! names every part.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use closewait::model::Charset;

#[path = "architecture/circles.rs"]
mod circles;

/// The stages, and what each may know besides itself.
const MAY_KNOW: [(&str, &[&str]); 20] = [
    ("model", &[]),
    ("filter", &["model"]),
    // The parsers of a crate may panic.
    ("collector", &["model", "filter", "panics"]),
    ("recording", &["model", "filter", "collector"]),
    ("classifier", &["model", "filter"]),
    // The figures of a topic are in its language.
    ("renderer", &["model", "filter", "classifier", "explain"]),
    ("explain", &["model"]),
    // A check ends in its status.
    ("exit", &["classifier"]),
    ("interrupt", &[]),
    // How far the collector has come.
    ("progress", &["collector"]),
    // The types that flags are read into, and the topics of `help`.
    ("cli", &["model", "filter", "collector", "explain"]),
    // Which languages and charsets there are.
    ("env", &["explain", "model"]),
    ("manual", &["classifier", "command", "explain"]),
    ("memory", &[]),
    ("output", &["rights", "stdout"]),
    ("panics", &["renderer"]),
    ("rights", &["start"]),
    ("start", &[]),
    ("stdout", &["start"]),
    ("main", &[]),
];
/// These know every stage.
const KNOW_ALL: [&str; 3] = ["lib", "command", "fuzz"];
/// The stages that are functions of their arguments, and what they therefore never name.
const PURE: [&str; 5] = ["model", "filter", "classifier", "renderer", "explain"];
const IMPURE: [&str; 10] = [
    "std::fs",
    "std::env::",
    "std::process",
    "thread::sleep",
    "File::open",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "rustix::",
    "libc::",
];
/// What takes foreign text out of [`Name`](closewait::model::Name) and `Words` unescaped, as text.
const RAW: [&str; 5] = [".lossy()", "::lossy", ".raw()", "::raw", "from_utf8"];
/// The parts behind the collector that may: forms with an escaping of their own, what takes nothing
/// but plain words, and what reads what this program has written.
const TAKE_RAW: [&str; 12] = [
    // An error of clap that is `raw`: main escapes it like all others.
    "cli/words.rs",
    "command/diff.rs",
    "fuzz.rs",
    "renderer/format/plugin.rs",
    "renderer/page/diagram.rs",
    "renderer/findings/steps/list.rs",
    "renderer/findings/steps/place.rs",
    "renderer/findings/steps/step.rs",
    "renderer/guard.rs",
    // Of a page that went through the guard.
    "renderer/live.rs",
    "renderer/format/json",
    "renderer/format/openmetrics",
];
/// The files of the model with text in a plain type: what the user typed, a path of this program,
/// and names whose letters are checked.
const PLAIN_TEXT: [&str; 5] = ["cause.rs", "host.rs", "resolved.rs", "state.rs", "tool.rs"];
/// The files that may name a stream of the process.
const STREAMS: [&str; 6] = ["main", "memory", "command", "env", "progress", "stdout"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A file of src/, and its text without comments and tests.
struct Source {
    /// Relative to src/.
    path: PathBuf,
    text: String,
    code: String,
}

impl Source {
    /// The names of the module that the file is: `["collector", "sock_diag", "wire"]`.
    fn module(&self) -> Vec<String> {
        let mut names: Vec<String> = self
            .path
            .with_extension("")
            .iter()
            .map(|name| name.to_str().unwrap().to_owned())
            .collect();
        names.pop_if(|name| name == "mod");
        names
    }

    fn stage(&self) -> String {
        self.module()[0].clone()
    }
}

fn sources() -> Vec<Source> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                // The tests of the module that it stands in.
                && !path.ends_with("tests.rs")
            {
                found.push(path);
            }
        }
    }
    let src = root().join("src");
    let mut paths = Vec::new();
    walk(&src, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            Source {
                path: path.strip_prefix(&src).unwrap().to_owned(),
                code: code(&text),
                text,
            }
        })
        .collect()
}

/// The text up to the tests, which stand last, without comments.
fn code(text: &str) -> String {
    let tests = text.find("\n#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..tests]
        .lines()
        .map(|line| {
            let start = line.trim_start();
            if start.starts_with("//") {
                ""
            } else {
                line.split(" // ").next().unwrap_or_default()
            }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// The stages that a module's code names, in imports and in paths.
fn named(module: &[String], code: &str) -> BTreeSet<String> {
    let mut stages = BTreeSet::new();
    let paths = |start: &'static str| {
        code.match_indices(start)
            // Not the end of a longer name.
            .filter(|(at, _)| !code[..*at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            .map(move |(at, _)| &code[at + start.len()..])
    };
    for start in ["crate::", "closewait::"] {
        for rest in paths(start) {
            stages.extend(first_names(rest));
        }
    }
    // `super::super::x` may lead to the root too. A file's module is as deep as its path.
    for rest in paths("super::") {
        let above = 1 + leading_supers(rest);
        if above >= module.len() {
            let rest = rest.trim_start_matches("super::");
            stages.extend(first_names(rest));
        }
    }
    stages
}

fn leading_supers(mut rest: &str) -> usize {
    let mut count = 0;
    while let Some(behind) = rest.strip_prefix("super::") {
        rest = behind;
        count += 1;
    }
    count
}

/// The first name of a path, or those of each of its branches: `{a, b::c}`.
fn first_names(path: &str) -> Vec<String> {
    let name = |text: &str| -> String {
        text.trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let Some(branches) = path.strip_prefix('{') else {
        return vec![name(path)];
    };
    let mut names = vec![name(branches)];
    let mut depth = 1;
    for (at, c) in branches.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name(&branches[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

#[test]
fn imports_are_found_in_every_form() {
    let names = |module: &[&str], code: &str| -> Vec<String> {
        let module: Vec<String> = module.iter().map(|name| (*name).to_owned()).collect();
        named(&module, code).into_iter().collect()
    };
    let file = ["renderer", "json"];
    assert_eq!(names(&file, "use crate::model::State;"), ["model"]);
    assert_eq!(
        names(
            &file,
            "use crate::{\n    filter::{Term, Filter},\n    model,\n};"
        ),
        ["filter", "model"]
    );
    assert_eq!(
        names(&file, "fn f(x: &crate::collector::Dump) {}"),
        ["collector"]
    );
    assert_eq!(names(&file, "use super::units;"), [""; 0]);
    assert_eq!(names(&file, "use super::super::collector;"), ["collector"]);
    assert_eq!(
        names(&["renderer"], "use super::collector::Dump;"),
        ["collector"]
    );
    assert_eq!(names(&file, "let subcrate::x = 1;"), [""; 0]);
}

#[test]
fn no_stage_knows_what_it_may_not_know() {
    let mut broken = Vec::new();
    for source in sources() {
        let stage = source.stage();
        if KNOW_ALL.contains(&stage.as_str()) {
            continue;
        }
        let Some((_, may_know)) = MAY_KNOW.iter().find(|(name, _)| *name == stage) else {
            panic!("{stage} is in no rule: add it to this test and to ARCHITECTURE.md");
        };
        // The binary sees the library through what it offers.
        if stage == "main" {
            continue;
        }
        for known in named(&source.module(), &source.code) {
            if known != stage && !may_know.contains(&known.as_str()) {
                broken.push(format!("src/{} names {known}", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// What pages and formats share lies beside them, in leaves of the renderer.
#[test]
fn no_page_and_no_format_imports_a_page() {
    let mut broken = Vec::new();
    for source in sources() {
        let is_either = ["renderer/page", "renderer/format"]
            .iter()
            .any(|part| source.path.starts_with(part));
        if is_either && source.code.contains("renderer::page") {
            broken.push(source.path);
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn what_is_pure_names_no_file_clock_or_environment() {
    let mut broken = Vec::new();
    for source in sources() {
        if !PURE.contains(&source.stage().as_str()) {
            continue;
        }
        for name in IMPURE {
            if source.code.contains(name) {
                broken.push(format!("src/{} names {name}", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn only_the_outermost_parts_name_a_stream_of_the_process() {
    let mut broken = Vec::new();
    for source in sources() {
        if STREAMS.contains(&source.stage().as_str()) {
            continue;
        }
        for name in ["stdout()", "stderr()", "stdin()"] {
            if source.code.contains(name) {
                broken.push(format!("src/{} names {name}", source.path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn foreign_text_leaves_its_type_only_where_something_else_escapes_it() {
    let mut raw = Vec::new();
    for source in sources() {
        let stage = source.stage();
        let is_before =
            ["model", "filter", "collector", "recording", "manual"].contains(&stage.as_str());
        let may = TAKE_RAW.iter().any(|part| source.path.starts_with(part));
        if !is_before && !may && RAW.iter().any(|raw| source.code.contains(raw)) {
            raw.push(source.path);
        }
    }
    assert!(raw.is_empty(), "{raw:?}");
}

#[test]
fn every_sign_of_our_own_text_has_an_ascii_form() {
    let signs: BTreeSet<char> = sources()
        .into_iter()
        .filter(|source| ["renderer", "classifier"].contains(&source.stage().as_str()))
        .flat_map(|source| source.code.chars().collect::<Vec<_>>())
        // Chinese has signs of its own, which mean nothing without their text.
        .filter(|c| !c.is_ascii() && !c.is_alphabetic() && !"。（），：".contains(*c))
        .collect();
    let escaped = |sign: &char| Charset::Ascii.text(&sign.to_string()).contains("\\u{");
    let without: Vec<char> = signs.iter().copied().filter(escaped).collect();
    assert!(without.is_empty() && signs.contains(&'←'), "{without:?}");
}

#[test]
fn the_model_keeps_text_in_types_that_escape_it() {
    let is_plain = |line: &&str| {
        let line = line.trim();
        let field = line.strip_suffix(',').unwrap_or(line);
        let is_field = field.contains(": ") || field.starts_with("pub struct");
        let text = ["String", "Cow<'static, str>", "OsString", "PathBuf"];
        is_field
            && !field.contains("fn ")
            && !field.starts_with("let ")
            && text.iter().any(|text| field.contains(text))
    };
    for source in sources().iter().filter(|source| source.stage() == "model") {
        let may = PLAIN_TEXT.iter().any(|name| source.path.ends_with(name));
        let own = source.path.ends_with("text.rs");
        let found: Vec<&str> = source.code.lines().filter(is_plain).collect();
        assert!(
            may || own || found.is_empty(),
            "{:?}: {found:?}",
            source.path
        );
    }
}

#[test]
fn each_file_begins_by_saying_what_it_is_for() {
    for source in sources() {
        assert!(
            source.text.starts_with("//! "),
            "src/{} has no head",
            source.path.display()
        );
    }
}

#[test]
fn unsafe_code_is_in_files_that_only_make_a_call_of_the_system() {
    let lib = std::fs::read_to_string(root().join("src/lib.rs")).unwrap();
    assert!(lib.contains("#![deny(unsafe_code)]"));
    let mut with_unsafe: Vec<String> = sources()
        .iter()
        .filter(|source| source.code.contains("unsafe"))
        .map(|source| source.path.display().to_string())
        .filter(|path| path != "lib.rs")
        .collect();
    with_unsafe.sort();
    assert_eq!(
        with_unsafe,
        [
            "collector/holders/bpf/syscall.rs",
            "collector/holders/kcmp.rs",
            "collector/kernel.rs",
            "collector/namespaces/sknet.rs",
            "collector/peek/option.rs",
            "memory.rs",
            "start.rs"
        ]
    );
}

#[test]
fn the_tests_of_a_file_stand_last() {
    for source in sources() {
        let Some(at) = source.text.find("\n#[cfg(test)]\nmod ") else {
            continue;
        };
        let rest = &source.text[at + 1..];
        // The module ends where a line closes it at the margin, or is a file of its own.
        let is_file = rest.lines().nth(1).is_some_and(|line| line.ends_with(';'));
        let closing = if is_file { ";\n" } else { "\n}\n" };
        let end = rest.find(closing).unwrap() + closing.len();
        assert_eq!(&rest[end..], "", "src/{}", source.path.display());
    }
}

#[test]
fn the_page_names_every_part_of_src_and_nothing_that_is_not_there() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let slash = if entry.path().is_dir() { "/" } else { "" };
        let path = format!("`src/{name}{slash}`");
        assert!(page.contains(&path), "ARCHITECTURE.md does not name {path}");
    }
    for quoted in page.split('`').skip(1).step_by(2) {
        let is_path = [
            "src/",
            "tests/",
            "docs/",
            "benches/",
            "examples/",
            "fixtures/",
        ]
        .iter()
        .any(|start| quoted.starts_with(start));
        assert!(
            !is_path || root().join(quoted).exists(),
            "ARCHITECTURE.md names {quoted}, which does not exist"
        );
    }
}
