//! A stack without what says nothing: the call that the program is in, and the functions that led to it.

use crate::model::{Frame, Name, Part, Runtime, StackGroup, StackOf};

/// The most functions that are kept of a stack.
pub const SHOWN: usize = 6;
/// The most functions that are kept if none of them says anything.
const SHOWN_AT_LEAST: usize = 3;

/// The functions of a stack that say something.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Folded {
    /// The innermost first.
    pub frames: Vec<(Part, Frame)>,
    /// Outer ones that say something are left out, or were not read.
    pub is_cut: bool,
}

impl Folded {
    /// Keeps the call and what is of the program and of its libraries. If nothing remains, the innermost
    /// functions that have names.
    pub fn of(group: &StackGroup, runtime: Runtime) -> Folded {
        let state = group.state.as_ref();
        let frames = group.frames.iter();
        let parts: Vec<(Part, &Frame)> = frames
            .map(|frame| (frame.part(group.of, runtime, state), frame))
            .collect();
        let says = |(part, _): &(Part, &Frame)| matches!(part, Part::Library | Part::Own);
        let Some(first) = parts.iter().position(says) else {
            let named = parts.iter().filter(|(_, frame)| is_known(frame));
            return Folded::from(group.of, named.take(SHOWN_AT_LEAST), !group.complete);
        };
        let (inner, outer) = parts.split_at(first);
        let mut kept: Vec<(Part, &Frame)> = call(inner).into_iter().collect();
        kept.extend(outer.iter().filter(|part| says(part)));
        kept.retain(|(_, frame)| is_known(frame));
        if kept.len() > SHOWN {
            kept = without_inner(&kept);
        }
        let is_cut = kept.len() > SHOWN || !group.complete;
        kept.truncate(SHOWN);
        Folded::from(group.of, &kept, is_cut)
    }

    /// Of where in a function it is, only the line in the innermost one of a script is kept.
    fn from<'a>(
        of: StackOf,
        kept: impl IntoIterator<Item = &'a (Part, &'a Frame)>,
        is_cut: bool,
    ) -> Folded {
        let mut is_innermost = of != StackOf::Goroutines;
        let frames = kept.into_iter().map(|(part, frame)| {
            let keeps_line = *part == Part::Own && std::mem::take(&mut is_innermost);
            let frame = Frame {
                offset: frame.offset.filter(|_| frame.function.is_none()),
                line: frame.line.filter(|_| keeps_line),
                ..(*frame).clone()
            };
            (*part, frame)
        });
        Folded {
            frames: frames.collect(),
            is_cut,
        }
    }

    /// Whether any function is of the program or of its libraries.
    pub fn says(&self) -> bool {
        self.own().is_some()
    }

    /// The innermost function of the program; if there is none, of its libraries.
    pub fn own(&self) -> Option<&(Part, Frame)> {
        let of = |wanted: Part| {
            let mut frames = self.frames.iter();
            frames.find(move |(part, _)| *part == wanted)
        };
        of(Part::Own).or_else(|| of(Part::Library))
    }
}

/// The call that the program made, of the functions below it: the last one of the C library, or the last
/// one of the standard library if there is none.
fn call<'a>(inner: &[(Part, &'a Frame)]) -> Option<(Part, &'a Frame)> {
    let system = inner.iter().take_while(|(part, _)| *part == Part::System);
    // A call by its number has no name of its own.
    let has_name = |(_, frame): &&(Part, &Frame)| {
        let name = frame.function.as_ref().map(Name::bytes);
        name.is_some_and(|name| name != b"syscall")
    };
    let of_library = || {
        let mut outer = inner
            .iter()
            .rev()
            .filter(|(part, _)| *part == Part::Runtime);
        outer.find(|(_, frame)| frame.function.is_some() && !is_of_scheduler(frame))
    };
    system.filter(has_name).last().or_else(of_library).copied()
}

/// Whether it is how any goroutine waits: its state says that already.
fn is_of_scheduler(frame: &Frame) -> bool {
    let package = frame.module.as_ref().map(Name::bytes);
    let is_go = frame.file.is_some();
    is_go
        && package.is_some_and(|package| package == b"runtime" || package.starts_with(b"internal/"))
}

/// Of the functions of a library that follow each other, only the one that was called.
fn without_inner<'a>(frames: &[(Part, &'a Frame)]) -> Vec<(Part, &'a Frame)> {
    let next = frames.iter().skip(1).map(Some).chain([None]);
    let pairs = frames.iter().zip(next);
    pairs
        .filter(|((part, frame), next)| {
            let goes_on =
                next.is_some_and(|(other, outer)| *other == *part && outer.module == frame.module);
            !(*part == Part::Library && goes_on)
        })
        .map(|(frame, _)| *frame)
        .collect()
}

/// Whether it can be named at all.
fn is_known(frame: &Frame) -> bool {
    frame.function.is_some() || frame.module.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `recv@libc.so.6`.
    fn group(of: StackOf, frames: &[&str]) -> StackGroup {
        let frame = |text: &&str| {
            let (function, module) = text.split_once('@').unwrap();
            Frame {
                function: (!function.is_empty()).then(|| function.into()),
                module: (!module.is_empty()).then(|| module.into()),
                file: (of == StackOf::Goroutines).then(|| "x.go".into()),
                ..Frame::default()
            }
        };
        StackGroup {
            of,
            frames: frames.iter().map(frame).collect(),
            complete: true,
            ..StackGroup::default()
        }
    }

    fn names(folded: &Folded) -> Vec<String> {
        let frames = folded.frames.iter();
        frames
            .map(|(_, frame)| {
                frame
                    .function
                    .as_ref()
                    .map_or("-".to_owned(), Name::to_string)
            })
            .collect()
    }

    fn folded(of: StackOf, frames: &[&str]) -> Vec<String> {
        names(&Folded::of(&group(of, frames), Runtime::Native))
    }

    #[test]
    fn the_call_and_the_functions_that_led_to_it_remain() {
        let c = [
            "recv@libc.so.6",
            "mysql_read@app",
            "worker@app",
            "start_thread@libc.so.6",
        ];
        assert_eq!(
            folded(StackOf::Threads, &c),
            ["recv", "mysql_read", "worker"]
        );
        let lookup = [
            "poll@libc.so.6",
            "send_dg@libresolv.so.2",
            "getaddrinfo@libc.so.6",
            "dial@app",
        ];
        assert_eq!(folded(StackOf::Threads, &lookup), ["getaddrinfo", "dial"]);
        let rust = [
            "syscall@libc.so.6",
            "std::sys::futex_wait@app",
            "std::sync::Mutex::lock@app",
            "app::book@app",
            "std::rt::lang_start@app",
        ];
        assert_eq!(
            folded(StackOf::Threads, &rust),
            ["std::sync::Mutex::lock", "app::book"]
        );
    }

    #[test]
    fn a_goroutine_is_in_what_its_program_called() {
        let read = [
            "runtime.gopark@runtime",
            "internal/poll.(*FD).Read@internal/poll",
            "net.(*netFD).Read@net",
            "net.(*conn).Read@net",
            "main.queryDB@main",
            "net/http.(*conn).serve@net/http",
        ];
        assert_eq!(
            folded(StackOf::Goroutines, &read),
            ["net.(*conn).Read", "main.queryDB"]
        );
        let receive = [
            "runtime.gopark@runtime",
            "runtime.chanrecv1@runtime",
            "main.wait@main",
        ];
        assert_eq!(folded(StackOf::Goroutines, &receive), ["main.wait"]);
    }

    #[test]
    fn something_remains_of_every_stack_that_has_a_name() {
        let idle = [
            "epoll_wait@libc.so.6",
            "@libjvm.so",
            "@",
            "start_thread@libc.so.6",
        ];
        assert_eq!(
            folded(StackOf::Threads, &idle),
            ["epoll_wait", "-", "start_thread"]
        );
        assert!(folded(StackOf::Threads, &["@", "@"]).is_empty());
        assert!(!Folded::of(&group(StackOf::Threads, &idle), Runtime::Java).says());
    }

    #[test]
    fn a_stack_that_was_not_read_to_its_end_is_cut() {
        let whole = group(StackOf::Threads, &["recv@libc.so.6", "query@app"]);
        let part = StackGroup {
            complete: false,
            ..whole.clone()
        };
        let is_cut = |group: &StackGroup| Folded::of(group, Runtime::Native).is_cut;
        assert_eq!((is_cut(&whole), is_cut(&part)), (false, true));
        let unknown = StackGroup {
            frames: vec![Frame::default()],
            ..part
        };
        assert!(is_cut(&unknown));
    }

    #[test]
    fn of_a_long_stack_the_insides_of_libraries_go_first_and_then_the_outer_functions() {
        let mut frames = vec!["recv@libc.so.6"];
        frames.extend(["a@libx.so.1", "b@libx.so.1", "c@libx.so.1", "d@libx.so.1"]);
        frames.extend(["query@app", "handle@app", "worker@app"]);
        assert_eq!(
            folded(StackOf::Threads, &frames),
            ["recv", "d", "query", "handle", "worker"]
        );
        let deep: Vec<String> = (0..40).map(|n| format!("f{n}@app")).collect();
        let deep: Vec<&str> = deep.iter().map(String::as_str).collect();
        let folded = Folded::of(&group(StackOf::Threads, &deep), Runtime::Native);
        assert_eq!((folded.frames.len(), folded.is_cut), (SHOWN, true));
    }
}
