//! The commands that show what a process does, by its runtime.

use crate::classifier::culprit::Culprit;
use crate::classifier::process::{Descriptors, spinning};
use crate::classifier::stacks::are_told;
use crate::model::endpoint::is_wildcard;
use crate::model::{Cause, Endpoint, Frame, Runtime, Side, StackOf, State, Tool, WaitKind};
use crate::renderer::findings::stacks;
use crate::renderer::findings::steps::place::{Place, first, has};
use crate::renderer::findings::steps::step::{Step, word};

/// More of its listeners are not asked for profiles.
const PPROF_MAX: usize = 2;

/// What to ask a process, as far as its stacks do not show it already.
pub(super) fn stack(place: &Place<'_>) -> Vec<Step> {
    let is_told = is_told(place);
    match place.runtime() {
        Runtime::Java => java(place),
        Runtime::Python | Runtime::Go if is_told => Vec::new(),
        Runtime::Python => {
            let dump = place.host(Tool::PySpy, &format!("dump --pid {}", place.pid));
            let dump = dump.with("pauses the program meanwhile");
            vec![of_those_that_ran(place, dump)]
        }
        Runtime::Ruby => {
            vec![place.host(Tool::Rbspy, &format!("snapshot --pid {}", place.pid))]
        }
        Runtime::Go => go(place),
        Runtime::Node => vec![node(place)],
        Runtime::Php => {
            let mut steps = log(place);
            steps.push(Step::advice(
                "set request_slowlog_timeout and slowlog in the php-fpm pool: the slow log shows \
                 where each request waits",
            ));
            steps
        }
        Runtime::Nginx => log(place),
        Runtime::Native => native(place, is_told),
    }
}

/// Whether the stacks that were read show what a debugger would. Of the runtimes that have frames of
/// their own, these must have been read.
fn is_told(place: &Place<'_>) -> bool {
    let Some(evidence) = place.evidence.filter(|evidence| are_told(evidence)) else {
        return false;
    };
    let mut groups = evidence.stacks.iter().flat_map(|stacks| &stacks.groups);
    let has_frames = match evidence.runtime {
        Runtime::Go => groups.any(|group| group.of == StackOf::Goroutines),
        Runtime::Python => {
            let is_of_script = |frame: &Frame| frame.file.is_some() && frame.offset.is_none();
            groups.any(|group| group.frames.iter().any(is_of_script))
        }
        _ => true,
    };
    // A thread that runs has no stack, except if it was met in a call.
    has_frames
        && ran(place) == 0
        && match place.finding.culprit {
            Some(Culprit::Spinning(thread, _)) => stacks::of_thread(evidence, thread).is_some(),
            _ => true,
        }
}

/// How many threads, goroutines or tasks have no stack, because they ran while the stacks were read.
fn ran(place: &Place<'_>) -> u32 {
    let stacks = place.evidence.and_then(|evidence| evidence.stacks.as_ref());
    stacks.map_or(0, |stacks| stacks.moved)
}

/// A step that shows the stacks of those that ran, and why it is needed though others are known.
fn of_those_that_ran(place: &Place<'_>, step: Step) -> Step {
    let others_are_told = place.evidence.is_some_and(are_told);
    match ran(place) {
        _ if !others_are_told => step,
        0 => step,
        1 => step.with("1 ran meanwhile: its stack is missing above"),
        many => step.with(format!(
            "{many} ran meanwhile: their stacks are missing above"
        )),
    }
}

/// Whether the connections are probably in use by no thread: they were answered, or it is unknown
/// whether they were.
fn is_forgotten(place: &Place<'_>) -> bool {
    let set = &place.finding.set;
    let at_work = set.end.side() == Some(Side::Server) && set.unanswered == Some(set.sockets);
    set.cause == Cause::NeverClosed && !at_work
}

/// jcmd must be of the files, the processes and the user of the JVM.
fn java(place: &Place<'_>) -> Vec<Step> {
    let among = if place.is_apart() { place.jcmd() } else { None };
    let user = place.user();
    let beside = || {
        place
            .jcmd()
            .filter(|_| has(place.report, Tool::Jcmd) == Some(false))
    };
    let (call, pid, missing) = match (among, user) {
        (Some(jcmd), user) => {
            let user = user.map_or(String::new(), |(user, group)| {
                format!(" -S {user} -G {group}")
            });
            let call = format!("nsenter -t {} -m -p{user} {jcmd}", place.pid);
            (call, place.own_pid(), Tool::Nsenter)
        }
        (None, user) => {
            let user = user.map_or(String::new(), |(user, group)| {
                format!("setpriv --reuid {user} --regid {group} --clear-groups ")
            });
            let jcmd = beside().filter(|_| !place.is_apart());
            let missing = if jcmd.is_some() {
                Tool::Setpriv
            } else {
                Tool::Jcmd
            };
            let call = format!("{user}{}", jcmd.unwrap_or(Tool::Jcmd.name()));
            (call, place.pid, missing)
        }
    };
    // A JVM without descriptors opens no socket for jcmd.
    let is_deaf = place.evidence.and_then(Descriptors::of) == Some(Descriptors::Gone);
    if is_deaf || (missing == Tool::Jcmd && has(place.report, Tool::Jcmd) == Some(false)) {
        let step = Step::run(format!("kill -QUIT {}", place.pid));
        return vec![step.with("the JVM prints its threads to its standard output and continues")];
    }
    let run = |rest: &str| {
        let step = Step::run(format!("{call} {pid} {rest}"));
        match missing {
            Tool::Nsenter => place.entering(step),
            tool => first(place.report, tool, step),
        }
    };
    let threads = match place.finding.culprit {
        Some(Culprit::Spinning(thread, _)) => run(&format!(
            "Thread.print | grep -A 20 -E 'nid=(0x{:x}|{thread}) '",
            thread.0
        )),
        _ => run("Thread.print"),
    };
    if !is_forgotten(place) || place.finding.culprit.is_some() {
        return vec![threads];
    }
    let classes = run("GC.class_histogram | grep -i -E 'socket|channel'");
    vec![classes.with("runs a garbage collection first"), threads]
}

/// A Go program shows its goroutines if it serves net/http/pprof; its threads show nothing useful.
fn go(place: &Place<'_>) -> Vec<Step> {
    let mut steps: Vec<Step> = listeners(place)
        .into_iter()
        .take(PPROF_MAX)
        .map(|listener| {
            let url = word(&format!("http://{listener}/debug/pprof/goroutine?debug=2"));
            let no_curl = has(place.report, Tool::Curl) == Some(false);
            let step = if no_curl && has(place.report, Tool::Wget) == Some(true) {
                place.network(Tool::Wget, &format!("-T 10 -qO- {url}"))
            } else {
                place.network(Tool::Curl, &format!("-m 10 -s {url}"))
            };
            step.with("if it serves pprof")
        })
        .collect();
    let dlv = place.host(Tool::Dlv, &format!("attach {}", place.pid));
    steps.push(dlv.with("then: goroutines -t; quit without killing it"));
    steps
}

/// Where it listens, as a client would address it: loopback addresses first, since they are rarely
/// for its clients.
fn listeners(place: &Place<'_>) -> Vec<Endpoint> {
    let report = place.report;
    let sockets = report.snapshot.sockets.iter();
    let mut ends: Vec<Endpoint> = sockets
        .filter(|socket| socket.state == State::Listen && socket.interface == 0)
        .filter(|socket| socket.netns == place.finding.set.netns)
        .filter(|socket| {
            let mut holders = report.holders().of(socket.inode).iter();
            holders.any(|holder| holder.pid == place.pid)
        })
        .map(|socket| {
            let end = socket.local.canonical();
            match is_wildcard(end.addr) {
                true if socket.v6only == Some(true) => {
                    Endpoint::new(std::net::Ipv6Addr::LOCALHOST, end.port)
                }
                true => Endpoint::new(std::net::Ipv4Addr::LOCALHOST, end.port),
                false => end,
            }
        })
        .collect();
    ends.sort_unstable_by_key(|end| (!end.is_loopback(), *end));
    ends.dedup();
    ends
}

/// Node's inspector opens on the loopback of its own network namespace.
fn node(place: &Place<'_>) -> Step {
    let report = place.report;
    let enter = place.enter_network();
    let step = match place.exe() {
        Some(exe) if place.is_apart() => {
            let pid = place.own_pid();
            let command = format!("nsenter -t {} -m -p -n {exe} inspect -p {pid}", place.pid);
            place.entering(Step::run(command))
        }
        Some(exe) if has(report, Tool::Node) == Some(false) => {
            let step = Step::run(format!("{enter}{exe} inspect -p {}", place.pid));
            match enter.is_empty() {
                true => step,
                false => place.entering(step),
            }
        }
        _ => place.network(Tool::Node, &format!("inspect -p {}", place.pid)),
    };
    step.with(match place.finding.culprit {
        Some(Culprit::Spinning(..)) => "then: pause, bt",
        _ => "then: exec process._getActiveHandles()",
    })
}

/// A stack is useless for a program that only waits for events.
fn native(place: &Place<'_>, is_told: bool) -> Vec<Step> {
    let waits = place
        .evidence
        .and_then(|evidence| evidence.waits.as_deref());
    let idles = waits.is_some_and(|waits| {
        !waits.is_empty() && waits.iter().all(|wait| wait.kind == WaitKind::Events)
    });
    let spins = matches!(place.finding.culprit, Some(Culprit::Spinning(..)))
        || place.evidence.and_then(spinning).is_some();
    let mut steps = Vec::new();
    if is_told && !idles {
        // Nothing is left to ask.
    } else if !idles || spins {
        let all = format!("-p {} -batch -ex 'thread apply all bt'", place.pid);
        let step = place.host(Tool::Gdb, &all);
        let step = step.with("stops the program meanwhile");
        steps.push(of_those_that_ran(place, step));
    } else if is_forgotten(place) && place.finding.culprit.is_none() {
        let calls = "read,readv,recvfrom,recvmsg,shutdown,close";
        let watch = format!("10 strace -f -p {} -e trace={calls}", place.pid);
        let step = Step::run(format!("timeout {watch}"));
        let step = first(place.report, Tool::Strace, step);
        steps.push(step.with("is there a close() after a read() of 0?"));
    }
    steps.extend(log(place));
    steps
}

/// What it wrote to its standard error, if that is a file.
pub(super) fn log(place: &Place<'_>) -> Vec<Step> {
    let tail = Step::run(format!("tail -n 20 /proc/{}/fd/2", place.pid));
    if place.logs() {
        vec![tail.with("its log")]
    } else {
        Vec::new()
    }
}
