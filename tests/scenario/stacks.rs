//! The stacks of a process in a scenario, a line for each.

use closewait::model::{
    Frame, Name, NamedThreads, StackGroup, StackOf, StackTarget, Stacks, WaitTarget,
};

use super::file::Process;
use super::syntax;

/// The executable of a program whose stacks name no other module.
const EXECUTABLE: &str = "/opt/app/program";
/// What may follow the state.
const KEYS: [&str; 6] = ["for", "on", "lock", "named", "id", "cut"];

/// All stacks of a process; `None` if it has none.
pub fn stacks(process: &Process) -> Result<Option<Stacks>, String> {
    let Some(lines) = &process.stacks else {
        return Ok(None);
    };
    let groups = lines.iter().map(|line| group(line));
    Ok(Some(Stacks {
        groups: groups.collect::<Result<_, String>>()?,
        moved: process.stacks_moved,
        left_out: process.stacks_left_out,
        version: None,
        unread: (process.stacks_unread.iter().cloned().map(Into::into)).collect(),
    }))
}

/// `31x recvfrom on 10.0.0.5:3306 named worker-: recv@libc.so.6 < query_db < worker`.
fn group(line: &str) -> Result<StackGroup, String> {
    let error = || format!("{line:?} is no stack");
    let (head, frames) = line.split_once(": ").ok_or_else(error)?;
    let (count, rest) = syntax::count(head);
    let (of, rest) = match rest.split_once(' ') {
        Some(("goroutines", rest)) => (StackOf::Goroutines, rest),
        Some(("tasks", rest)) => (StackOf::Tasks, rest),
        _ => (StackOf::Threads, rest),
    };
    let mut words = rest.split(' ').peekable();
    let mut state = Vec::new();
    while let Some(word) = words.next_if(|word| !KEYS.contains(word)) {
        state.push(word);
    }
    let mut group = StackGroup {
        of,
        count,
        state: Some(state.join(" ").into()),
        frames: (frames.split(" < ").map(|text| frame(of, text))).collect::<Result<_, _>>()?,
        complete: true,
        ..StackGroup::default()
    };
    while let Some(key) = words.next() {
        let mut value = || words.next().ok_or_else(error);
        match key {
            "for" => {
                let value = value()?;
                let (least, most) = value.split_once('-').unwrap_or((value, value));
                group.waited_ms = Some((syntax::duration(least)?, syntax::duration(most)?));
            }
            "on" => {
                let first = value()?;
                // `on 4x 10.0.0.5:3306`, if not all of them.
                let (count, first) = match first.strip_suffix('x').map(str::parse) {
                    Some(Ok(some)) => (some, value()?),
                    _ => (count, first),
                };
                let target = match first {
                    "listener" => WaitTarget::Listener(syntax::endpoint(value()?)?),
                    "file" => WaitTarget::File(value()?.into()),
                    end => WaitTarget::Remote(syntax::endpoint(end)?),
                };
                group.targets.push(StackTarget { target, count });
            }
            "lock" => group.lock = Some(syntax::number(key, value()?)?.into()),
            "id" => group.ids.push(syntax::number(key, value()?)?.into()),
            "named" => group.thread_names.push(NamedThreads {
                name: value()?.into(),
                threads: count,
            }),
            "cut" => group.complete = false,
            _ => return Err(error()),
        }
    }
    Ok(group)
}

/// `query_db`, `recv@libc.so.6`, `fetch@/srv/app.py:17`, `?@/usr/lib/libfoo.so+0x1234`, `?`; of a goroutine
/// `main.queryDB`.
fn frame(of: StackOf, text: &str) -> Result<Frame, String> {
    let (function, place) = match text.split_once('@') {
        Some((function, place)) => (function, Some(place)),
        None => (text, None),
    };
    let named = Frame {
        function: (function != "?").then(|| function.into()),
        ..Frame::default()
    };
    let number = |text: &str| syntax::number(function, text);
    Ok(match (of, place) {
        (StackOf::Goroutines, _) => {
            let slash = function.rfind('/').unwrap_or(0);
            let dot = function[slash..].find('.').map(|dot| slash + dot);
            Frame {
                module: dot.map(|dot| Name::from(&function[..dot])),
                file: Some("/src/program.go".into()),
                line: Some(1),
                ..named
            }
        }
        (_, Some(place)) => match (place.split_once(".py:"), place.split_once("+0x")) {
            (Some((file, line)), _) => Frame {
                file: Some(format!("{file}.py").into()),
                line: Some(number(line)?),
                ..named
            },
            (None, Some((module, offset))) => Frame {
                module: Some(module.into()),
                offset: u64::from_str_radix(offset, 16).ok(),
                ..named
            },
            (None, None) => Frame {
                module: Some(place.into()),
                ..named
            },
        },
        (_, None) if function == "?" => Frame::default(),
        (_, None) => Frame {
            module: Some(EXECUTABLE.into()),
            offset: Some(0x1000),
            ..named
        },
    })
}
