//! Reports what a test leaves out, on the terminal: `cargo test` hides the output of passing tests.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write;
use std::panic::Location;
use std::path::PathBuf;

/// Set where everything must run: what root, its namespaces and installed programs make possible.
const EVERYTHING: &str = "NOTHING_LEFT_OUT";

/// What a machine lacks. Each test program names some of it.
#[allow(dead_code)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack<'a> {
    /// The tests do not run as root.
    Root,
    /// Root may not make network namespaces here.
    Namespace,
    /// A program that a package installs.
    Program(&'a str),
    /// Something that no privilege and no package brings, in words: "no MPTCP".
    Kernel(&'a str),
}

impl Lack<'_> {
    /// Whether a machine that is set up for everything may lack it.
    fn is_allowed(self) -> bool {
        matches!(self, Lack::Kernel(_))
    }
}

impl fmt::Display for Lack<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lack::Root => f.write_str("not root"),
            Lack::Namespace => f.write_str("no network namespace of its own (root makes them)"),
            Lack::Program(name) => write!(f, "{name} is not installed"),
            Lack::Kernel(what) => f.write_str(what),
        }
    }
}

/// Says that the running test, or a part of it, is left out, and why. The caller returns.
///
/// It is printed at once, and again when all tests have run. With `NOTHING_LEFT_OUT=1` only
/// what the kernel lacks may be left out.
///
/// ```text
/// if !has_mptcp() {
///     left_out(Lack::Kernel("no MPTCP"));
///     return;
/// }
/// ```
///
/// # Panics
/// With `NOTHING_LEFT_OUT=1`, if the machine should have it.
#[track_caller]
pub fn left_out(lack: Lack<'_>) {
    may_lack(lack);
    let place = Location::caller();
    let thread = std::thread::current();
    // libtest names the thread after the test, unless one thread runs them all.
    let test = match thread.name() {
        Some(name) if name != "main" => format!("{} {name}", env!("CARGO_CRATE_NAME")),
        _ => format!("{}:{}", place.file(), place.line()),
    };
    let reason = lack.to_string().replace('\n', " ");
    say(&format!("left out: {test}: {reason}\n"));
    // One line is one write: those of other tests do not come between.
    let mut notes = OpenOptions::new();
    notes
        .create(true)
        .append(true)
        .open(notes_of(std::os::unix::process::parent_id()))
        .and_then(|mut notes| notes.write_all(format!("{reason}\t{test}\n").as_bytes()))
        .expect("a note of what is left out");
}

/// Fails the test if the machine should have it: with `NOTHING_LEFT_OUT=1`.
#[track_caller]
pub fn may_lack(lack: Lack<'_>) {
    let everything = std::env::var_os(EVERYTHING).is_some_and(|value| value == "1");
    assert!(
        lack.is_allowed() || !everything,
        "{lack}, and {EVERYTHING}=1"
    );
}

/// Writes past the capture of a test's output, which only the macros go through.
pub fn say(text: &str) {
    // Nobody may be there to read it.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Where the notes of a run are: those of all test programs that this process has started.
pub fn notes_of(starter: u32) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("left-out.{starter}"))
}
