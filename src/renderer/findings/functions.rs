//! What a function is called in text: without parameters, and without what compilers add.

use crate::model::{Frame, Name, Part, StackOf};

/// The longest name of a function that is shown whole.
const NAME_MAX: usize = 80;

/// `query_db`, `mysql.(*Conn).Query`, `fetch (app.py:17)`, `pymysql.connections.query`,
/// `libfoo.so+0x1234`.
pub(super) fn function(part: Part, frame: &Frame, of: StackOf) -> String {
    let Some(function) = &frame.function else {
        return place(frame);
    };
    let name = match (&frame.file, of) {
        (_, StackOf::Goroutines) => of_go(function.bytes()),
        (Some(file), _) if part == Part::Own => {
            let name = cut(function.bytes());
            return match frame.line {
                Some(line) => format!("{name} ({}:{line})", Name::new(base(file.bytes()))),
                None => name.to_string(),
            };
        }
        (Some(file), _) => of_module(file.bytes(), function.bytes()),
        (None, _) if part == Part::System => of_c(function.bytes()).to_vec(),
        (None, _) => without_arguments(function.bytes()),
    };
    cut(&name).to_string()
}

/// Where it is, without a name: `libfoo.so+0x1234`.
fn place(frame: &Frame) -> String {
    let module = frame.module.as_ref().map_or(b"?".as_slice(), Name::bytes);
    let module = cut(base(module));
    match frame.offset {
        Some(offset) => format!("{module}+{offset:#x}"),
        None => module.to_string(),
    }
}

fn cut(name: &[u8]) -> Name {
    match name.get(..NAME_MAX) {
        // A character that is cut in two would be shown as its bytes.
        Some(start) if name.len() > NAME_MAX => {
            let is_whole = |byte: &u8| *byte < 0x80;
            let end = start.iter().rposition(is_whole).map_or(0, |last| last + 1);
            Name::new([start.get(..end).unwrap_or_default(), "…".as_bytes()].concat())
        }
        _ => Name::new(name),
    }
}

fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// `recv` of `__libc_recv`, and of `recv@@GLIBC_2.2.5`.
fn of_c(name: &[u8]) -> &[u8] {
    let name = name.split(|byte| *byte == b'@').next().unwrap_or(name);
    let start = name.iter().position(|byte| *byte != b'_').unwrap_or(0);
    let short = name.get(start..).unwrap_or(name);
    let prefixes: [&[u8]; 3] = [b"GI___", b"GI_", b"libc_"];
    let mut short = short;
    for prefix in prefixes {
        short = short
            .strip_prefix(prefix)
            .filter(|_| start > 0)
            .unwrap_or(short);
    }
    short
}

/// `http.(*Client).Do` of `net/http.(*Client).Do`, without type arguments.
fn of_go(name: &[u8]) -> Vec<u8> {
    let bracket = name.iter().position(|byte| *byte == b'[');
    let path = name.get(..bracket.unwrap_or(name.len())).unwrap_or(name);
    let start = path.iter().rposition(|byte| *byte == b'/');
    let name = name
        .get(start.map_or(0, |slash| slash + 1)..)
        .unwrap_or(name);
    let open = name.iter().position(|byte| *byte == b'[');
    let close = name.iter().rposition(|byte| *byte == b']');
    match open.zip(close).filter(|(open, close)| open < close) {
        Some((open, close)) => {
            let parts = [name.get(..open), name.get(close + 1..)];
            parts.map(Option::unwrap_or_default).concat()
        }
        None => name.to_vec(),
    }
}

/// A function of an installed module of Python, behind the path from which it is imported.
fn of_module(file: &[u8], function: &[u8]) -> Vec<u8> {
    let parts: Vec<&[u8]> = file.split(|byte| *byte == b'/').collect();
    let is_root = |part: &&[u8]| {
        let of_version = part.strip_prefix(b"python").unwrap_or_default();
        matches!(*part, b"site-packages" | b"dist-packages")
            || of_version.first().is_some_and(u8::is_ascii_digit)
    };
    let root = parts.iter().rposition(is_root);
    let below = root.and_then(|root| parts.get(root + 1..));
    let below = below.filter(|below| !below.is_empty());
    let mut path = below.unwrap_or(&[base(file)]).join(&b'.');
    for end in [b".py".as_slice(), b".__init__"] {
        if let Some(start) = path.strip_suffix(end).map(<[u8]>::len) {
            path.truncate(start);
        }
    }
    [&path, function].join(&b'.')
}

/// A demangled name without parameters, type arguments, the return type and what compilers add:
/// `ns::Pool::take` of `Conn* ns::Pool<Conn>::take(int) const [clone .part.0]`.
fn without_arguments(name: &[u8]) -> Vec<u8> {
    let name = without_suffixes(name);
    if contains_operator(name) {
        return name.to_vec();
    }
    let name = without_parameters(name);
    let mut short = Vec::with_capacity(name.len());
    let mut depth = 0_usize;
    let mut parentheses = 0_usize;
    for (at, byte) in name.iter().enumerate() {
        // `<T as Trait>::call` begins with what it is about.
        let is_argument = at > 0 && !matches!(name.get(at - 1), Some(b' ' | b'&' | b'(' | b'<'));
        match byte {
            b'(' => parentheses += 1,
            b')' => parentheses = parentheses.saturating_sub(1),
            _ => {}
        }
        match byte {
            b'<' if depth > 0 || (is_argument && parentheses == 0) => depth += 1,
            b'>' if depth > 0 => depth -= 1,
            // A return type ends here.
            b' ' if depth == 0 && parentheses == 0 && !is_open(&short) => short.clear(),
            _ if depth == 0 => short.push(*byte),
            _ => {}
        }
    }
    let short = replaced(&short, b"::::", b"::");
    let end = short.strip_suffix(b"::").map_or(short.len(), <[u8]>::len);
    let short = short.get(..end).unwrap_or_default().to_vec();
    if short.is_empty() {
        name.to_vec()
    } else {
        short
    }
}

/// Whether an angle bracket is open, as in `<T as Trait>`.
fn is_open(text: &[u8]) -> bool {
    let count = |wanted: u8| text.iter().filter(|byte| **byte == wanted).count();
    count(b'<') > count(b'>')
}

/// Without the parameters at the end, and what follows them.
fn without_parameters(name: &[u8]) -> &[u8] {
    let mut name = name;
    for end in [b" const".as_slice(), b" &&", b" &", b" volatile"] {
        name = name.strip_suffix(end).unwrap_or(name);
    }
    if !name.ends_with(b")") {
        return name;
    }
    let mut depth = 0_usize;
    for (at, byte) in name.iter().enumerate().rev() {
        match byte {
            b')' => depth += 1,
            b'(' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return name
                .get(..at)
                .filter(|rest| !rest.is_empty())
                .unwrap_or(name);
        }
    }
    name
}

/// Without the hash of a Rust symbol, the version of a symbol, and the marks of copies of a function.
fn without_suffixes(name: &[u8]) -> &[u8] {
    let mut name = name;
    if let Some(clone) = find(name, b" [clone ") {
        name = name.get(..clone).unwrap_or(name);
    }
    name = name.split(|byte| *byte == b'@').next().unwrap_or(name);
    let marks = [
        b".isra.".as_slice(),
        b".part.",
        b".constprop.",
        b".cold",
        b".lto_priv.",
        b".llvm.",
    ];
    for mark in marks {
        if let Some(at) = find(name, mark).filter(|at| *at > 0) {
            name = name.get(..at).unwrap_or(name);
        }
    }
    let hash = name
        .len()
        .checked_sub(19)
        .and_then(|at| name.split_at_checked(at));
    match hash {
        Some((start, hash)) if hash.starts_with(b"::h") => {
            let mut digits = hash.iter().skip(3);
            if digits.all(u8::is_ascii_hexdigit) {
                start
            } else {
                name
            }
        }
        _ => name,
    }
}

/// `operator<`, `operator()`: signs that are a name.
fn contains_operator(name: &[u8]) -> bool {
    let at = find(name, b"operator");
    let next = at.and_then(|at| name.get(at + 8));
    next.is_some_and(|next| !next.is_ascii_alphanumeric() && *next != b'_' && *next != b':')
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = find(rest, from) {
        out.extend_from_slice(rest.get(..at).unwrap_or_default());
        out.extend_from_slice(to);
        rest = rest.get(at + from.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(part: Part, function: &str) -> String {
        let frame = Frame {
            function: Some(function.into()),
            module: Some("/opt/app/shop".into()),
            ..Frame::default()
        };
        super::function(part, &frame, StackOf::Threads)
    }

    #[test]
    fn names_of_native_code_have_no_parameters_and_no_type_arguments() {
        for (name, short) in [
            ("query_db", "query_db"),
            ("query_db.isra.0", "query_db"),
            (
                "ns::Pool<Conn>::take(int, char const*) const",
                "ns::Pool::take",
            ),
            ("void ns::run<int, std::less<int> >(int)", "ns::run"),
            ("f(std::function<void (int)>)", "f"),
            ("(anonymous namespace)::g(int)", "(anonymous namespace)::g"),
            ("shop::query_db::h0123456789abcdef", "shop::query_db"),
            (
                "shop::pool::take::<alloc::string::String>",
                "shop::pool::take",
            ),
            (
                "shop::Pool<T>::take::{{closure}}",
                "shop::Pool::take::{{closure}}",
            ),
            (
                "<shop::Db as shop::Query>::run",
                "<shop::Db as shop::Query>::run",
            ),
            (
                "<shop::Db<T> as shop::Query<U>>::run",
                "<shop::Db as shop::Query>::run",
            ),
            (
                "main::{lambda(int)#1}::operator()(int) const",
                "main::{lambda(int)#1}::operator()(int) const",
            ),
            (
                "Less::operator<(Less const&)",
                "Less::operator<(Less const&)",
            ),
            ("handle(Request*) [clone .part.0]", "handle"),
            ("operators::run(int)", "operators::run"),
            ("", ""),
            ("(", "("),
            (")", ")"),
            ("<<<<", "<<<<"),
            (">>>>", ">>>>"),
        ] {
            assert_eq!(native(Part::Own, name), short, "{name}");
        }
    }

    #[test]
    fn calls_of_the_c_library_are_called_as_in_their_manual() {
        for (name, short) in [
            ("__libc_recv", "recv"),
            ("__GI___libc_read", "read"),
            ("recv@@GLIBC_2.2.5", "recv"),
            ("___pthread_mutex_lock", "pthread_mutex_lock"),
            ("libc_main", "libc_main"),
            ("____", "____"),
        ] {
            assert_eq!(native(Part::System, name), short, "{name}");
        }
    }

    #[test]
    fn names_of_go_have_the_last_part_of_their_package() {
        for (name, short) in [
            ("main.queryDB", "main.queryDB"),
            ("net/http.(*Client).Do", "http.(*Client).Do"),
            (
                "github.com/go-sql-driver/mysql.(*mysqlConn).Query",
                "mysql.(*mysqlConn).Query",
            ),
            ("shop/db.Get[...]", "db.Get"),
            ("shop/db.(*Pool[example.com/x.T]).Take", "db.(*Pool).Take"),
            ("main.serve.func1", "main.serve.func1"),
        ] {
            let frame = Frame {
                function: Some(name.into()),
                file: Some("/src/x.go".into()),
                ..Frame::default()
            };
            assert_eq!(
                function(Part::Own, &frame, StackOf::Goroutines),
                short,
                "{name}"
            );
        }
    }

    #[test]
    fn functions_of_scripts_have_their_line_or_their_module() {
        for (part, file, shown) in [
            (Part::Own, "/srv/app/shop.py", "fetch (shop.py:17)"),
            (
                Part::Runtime,
                "/usr/lib/python3.11/http/client.py",
                "http.client.fetch",
            ),
            (
                Part::Library,
                "/v/site-packages/requests/__init__.py",
                "requests.fetch",
            ),
            (Part::Runtime, "<frozen runpy>", "<frozen runpy>.fetch"),
        ] {
            let frame = Frame {
                function: Some("fetch".into()),
                file: Some(file.into()),
                line: Some(17),
                ..Frame::default()
            };
            assert_eq!(function(part, &frame, StackOf::Threads), shown, "{file}");
        }
    }

    #[test]
    fn a_function_without_a_name_has_a_place_in_a_file() {
        let frame = Frame {
            module: Some("/usr/lib/libfoo.so.1".into()),
            offset: Some(0x1234),
            ..Frame::default()
        };
        assert_eq!(
            function(Part::Library, &frame, StackOf::Threads),
            "libfoo.so.1+0x1234"
        );
    }

    #[test]
    fn hostile_names_are_cut_and_escaped() {
        let name = native(Part::Own, &"\u{1b}[31m<é(".repeat(100_000));
        assert!(
            name.len() < 8 * NAME_MAX && !name.contains('\u{1b}'),
            "{name}"
        );
    }
}
