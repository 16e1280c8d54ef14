//! Stacks in a redacted recording: paths and packages are masked always, the names of the program's
//! functions on request. What many programs share stays as far as it is recognized, so that the same
//! functions are folded.

use super::masks::Masks;
use crate::model::{By, Frame, Name, Part, Runtime, StackGroup, StackOf, Stacks, is_library};

/// Whether the names of the program's functions are masked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Functions {
    Kept,
    Masked,
}

/// Words about what could not be read may contain paths.
const REDACTED: &str = "some of its stacks were not read; the words are redacted";

impl Masks {
    pub(super) fn stacks(&mut self, stacks: &mut Stacks, runtime: Runtime, functions: Functions) {
        for why in &mut stacks.unread {
            *why = REDACTED.into();
        }
        stacks.version = stacks.version.take().map(|version| self.version(&version));
        for group in &mut stacks.groups {
            self.group(group, runtime, functions);
        }
    }

    fn group(&mut self, group: &mut StackGroup, runtime: Runtime, functions: Functions) {
        self.thread_names(&mut group.thread_names);
        for target in &mut group.targets {
            self.target(Some(&mut target.target));
        }
        let (of, state) = (group.of, group.state.clone());
        for frame in &mut group.frames {
            let part = frame.part(of, runtime, state.as_ref());
            self.frame(frame, of, part, functions);
        }
    }

    fn frame(&mut self, frame: &mut Frame, of: StackOf, part: Part, functions: Functions) {
        let rule = frame.rule(of).filter(|_| !frame.own);
        let masks = functions == Functions::Masked;
        frame.function = frame.function.take().map(|function| match rule {
            // A function of the standard library may be made for a type of the program.
            Some((_, By::Function, start)) if masks => {
                let masked = self.mask("function", function.bytes());
                Name::from(format!("{start}{masked}"))
            }
            Some((Part::System | Part::Runtime, ..)) if !masks || is_plain(&function) => function,
            None if part == Part::System => function,
            _ if masks => self.name("function", &function),
            _ if of == StackOf::Goroutines => without_path(&function),
            _ => function,
        });
        frame.module = frame.module.take().map(|module| match (rule, of) {
            (Some((Part::System | Part::Runtime, By::Package, _)), _) => module,
            (Some((Part::Own, By::Package, package)), _) => package.into(),
            // A dot tells a package of others from one of the program.
            (_, StackOf::Goroutines) if module.bytes().contains(&b'.') => {
                format!("example.com/{}", self.mask("package", module.bytes())).into()
            }
            (_, StackOf::Goroutines) => self.name("package", &module),
            (Some((_, By::Module, start)), _) if start.contains('.') || start.starts_with('[') => {
                start.into()
            }
            (Some((_, By::Module, start)), _) => format!("/{start}/.so").into(),
            _ if is_library(&module) => format!("/{}.so", self.mask("file", module.bytes())).into(),
            _ => format!("/{}", self.mask("file", module.bytes())).into(),
        });
        frame.file = frame.file.take().map(|file| {
            let root = match rule {
                Some((_, By::File, part)) => part,
                _ => "/",
            };
            let known = ["go", "py", "js", "ts", "java", "kt", "rb", "php"];
            let end = file.bytes().rsplit(|byte| *byte == b'.').next();
            let end = known.iter().find(|known| Some(known.as_bytes()) == end);
            let end = end.map(|end| format!(".{end}")).unwrap_or_default();
            format!("{root}{}{end}", self.mask("file", file.bytes())).into()
        });
    }

    /// `go1.22.1`, `CPython 3.11.2` and `OpenJDK 17.0.15` stay, but not the program behind the comma.
    fn version(&mut self, version: &Name) -> Name {
        let bytes = version.bytes();
        let comma = bytes.iter().position(|byte| *byte == b',');
        let runtime = bytes.get(..comma.unwrap_or(bytes.len())).unwrap_or(bytes);
        let starts: [&[u8]; 4] = [b"go", b"CPython ", b"PyPy ", b"OpenJDK "];
        let number = starts.iter().find_map(|start| runtime.strip_prefix(*start));
        let is_number = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let harmless = number.is_some_and(|number| number.iter().all(is_number));
        match harmless {
            true => Name::new(runtime),
            false => self.name("version", version),
        }
    }
}

/// Whether it is one plain name, made for no type.
fn is_plain(function: &Name) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"_:.()*/@".contains(byte);
    function.bytes().iter().all(is_plain)
}

/// `mysql.(*Conn).Query` of `github.com/go-sql-driver/mysql.(*Conn).Query`.
fn without_path(function: &Name) -> Name {
    let bytes = function.bytes();
    let end = bytes.iter().position(|byte| *byte == b'[');
    let path = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes);
    let start = path.iter().rposition(|byte| *byte == b'/');
    let last = bytes.get(start.map_or(0, |slash| slash.saturating_add(1))..);
    Name::new(last.unwrap_or(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{NamedThreads, StackTarget, WaitTarget};

    /// Frames of every kind, each with a secret in what it is called, and whether the function is one that
    /// many programs have.
    fn frames() -> Vec<(StackOf, Frame, bool)> {
        let native = |function: &str, module: &str| Frame {
            function: Some(function.into()),
            module: Some(module.into()),
            offset: Some(1),
            ..Frame::default()
        };
        let script = |file: &str, function: &str| Frame {
            function: Some(function.into()),
            module: Some("secret-package".into()),
            file: Some(file.into()),
            line: Some(7),
            ..Frame::default()
        };
        let go = |package: &str, function: &str| Frame {
            function: Some(format!("{package}.{function}").into()),
            module: Some(package.into()),
            file: Some("/home/secret/x.go".into()),
            ..Frame::default()
        };
        use StackOf::{Goroutines, Tasks, Threads};
        vec![
            (
                Threads,
                native("recv", "/usr/lib/secret/libc.so.6.secret"),
                true,
            ),
            (Threads, native("os::park", "/secret/lib/libjvm.so"), true),
            (Threads, native("secret_query", "/opt/secret/shop"), false),
            (
                Threads,
                native("secret_call", "/opt/secret/libsecret.so.1"),
                false,
            ),
            (
                Threads,
                native("std::vec<secret::Order>::push", "/opt/secret/shop"),
                false,
            ),
            (
                Threads,
                native("<alloc::Vec<secret> as X>::f", "/opt/secret/shop"),
                false,
            ),
            (Threads, native("secret", "secret"), false),
            (
                Threads,
                script("/home/secret/lib/python3/secret.py", "readinto"),
                true,
            ),
            (Tasks, script("/srv/secret/app.py", "secret_fetch"), false),
            (
                Threads,
                script("/v/site-packages/secret/a.py", "secret"),
                false,
            ),
            (Goroutines, go("net/http", "(*Client).Do"), true),
            (Goroutines, go("main", "secretQuery"), false),
            (Goroutines, go("secret/db", "secretLoad"), false),
            (
                Goroutines,
                go("github.com/secret/db", "secretLoad[...]"),
                false,
            ),
        ]
    }

    fn stacks() -> Stacks {
        let group = |(of, frame, _): (StackOf, Frame, bool)| StackGroup {
            of,
            count: 1,
            state: Some("recvfrom".into()),
            thread_names: vec![NamedThreads {
                name: "secret-pool-".into(),
                threads: 1,
            }],
            targets: vec![StackTarget {
                target: WaitTarget::File("/srv/secret".into()),
                count: 1,
            }],
            frames: vec![frame],
            ..StackGroup::default()
        };
        Stacks {
            groups: frames().into_iter().map(group).collect(),
            version: Some("go1.22.1 secret".into()),
            unread: vec!["/opt/secret/shop: not the mapped file".into()],
            ..Stacks::default()
        }
    }

    fn part(group: &StackGroup) -> Part {
        group.frames[0].part(group.of, Runtime::Native, group.state.as_ref())
    }

    #[test]
    fn on_request_no_path_and_no_function_of_the_program_survives() {
        let mut masked = stacks();
        Masks::default().stacks(&mut masked, Runtime::Native, Functions::Masked);
        let text = format!("{masked:?}");
        assert!(!text.contains("secret"), "{text}");
        let groups = masked.groups.iter();
        for (group, (_, frame, is_shared)) in groups.zip(frames()) {
            let function = &group.frames[0].function;
            assert_eq!(*function == frame.function, is_shared, "{function:?}");
        }
    }

    #[test]
    fn paths_are_masked_always_and_functions_on_request() {
        let mut masked = stacks();
        Masks::default().stacks(&mut masked, Runtime::Native, Functions::Kept);
        for (group, (_, frame, _)) in masked.groups.iter().zip(frames()) {
            let [after] = &group.frames[..] else {
                panic!("{group:?}");
            };
            let places = format!("{:?} {:?}", after.module, after.file);
            assert!(!places.contains("secret"), "{places}");
            let function = format!("{:?}", after.function);
            assert!(
                !function.contains('/') || function.contains("net/http"),
                "{function}"
            );
            let named = format!("{:?}", frame.function);
            assert_eq!(
                function.contains("secret"),
                named.contains("secret"),
                "{function}"
            );
        }
    }

    #[test]
    fn the_same_functions_are_folded_as_before() {
        for functions in [Functions::Kept, Functions::Masked] {
            let before = stacks();
            let mut masked = stacks();
            Masks::default().stacks(&mut masked, Runtime::Native, functions);
            for (before, after) in before.groups.iter().zip(&masked.groups) {
                let frame = &after.frames[0];
                assert_eq!(part(before), part(after), "{functions:?} {frame:?}");
            }
        }
    }

    #[test]
    fn a_version_stays_if_it_is_nothing_else() {
        let mut masks = Masks::default();
        let java = masks.version(&"OpenJDK 17.0.15, com.acme.Shop".into());
        assert_eq!(java, *"OpenJDK 17.0.15");
        for version in ["go1.22.1", "CPython 3.11.2"] {
            assert_eq!(masks.version(&version.into()), *version);
        }
        for version in [
            "go1.22.1-acme",
            "go",
            "shop v1.2",
            "go1.22 example.com/shop",
        ] {
            let masked = masks.version(&version.into());
            assert_eq!(
                masked.bytes().starts_with(b"version-"),
                version != "go",
                "{masked}"
            );
        }
    }
}
