//! `closewait watch`: readings in a pipe, and a page drawn in place on a terminal.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::Value;

use crate::growth::Leak;
use crate::lab::{Lab, closewait, until};

#[test]
fn in_a_pipe_each_reading_is_a_document() {
    let lab = Lab::new();
    let server = lab.start("leak", &["connections=3"]);
    let port = server.port().to_string();
    let run = lab.closewait(&["watch", "0.1", "3", "--jsonl", "--port", &port]);
    assert_eq!((run.code, run.stderr.as_str()), (0, ""));
    let lines: Vec<Value> = run.stdout.lines().map(parsed).collect();
    assert_eq!(lines.len(), 3);
    for line in &lines {
        assert_eq!(line["states"]["CLOSE_WAIT"], 3, "{line}");
        assert_eq!(line["groups"][0]["state"], "CLOSE_WAIT");
    }
    let times: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["taken_at"].as_str())
        .collect();
    assert!(times.is_sorted() && times[0] < times[2], "{times:?}");
    let text = lab
        .closewait(&["watch", "0.1", "2", "list", "--port", &port])
        .stdout;
    assert_eq!(text.matches("Foreign Address").count(), 2, "{text}");
    assert!(
        text.contains("6 before, 6 after: the same sockets"),
        "{text}"
    );
    assert!(!text.contains('\x1b'), "{text}");
}

#[test]
fn each_reading_has_what_grew_since_the_first() {
    let lab = Lab::new();
    let mut leak = Leak::new(&lab, 3);
    let port = leak.port().to_string();
    let mut watch = Command::new(closewait())
        .args([
            "watch", "0.3", "4", "--jsonl", "--grace", "0", "--sample", "0",
        ])
        .args(["--state", "close-wait", "--port", &port])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = || parsed(&lines.next().unwrap().unwrap());
    let first = next();
    assert!(first.get("growth").is_none(), "{first}");
    let sockets = |reading: &Value| reading["groups"][0]["sockets"].as_u64().unwrap();
    let mut last = sockets(&first);
    for _ in 0..3 {
        leak.grow(2);
        let reading = next();
        last = sockets(&reading);
        let growth = &reading["groups"][0]["growth"];
        assert_eq!(growth["new"], last - sockets(&first), "{reading}");
        assert_eq!(
            (&growth["gone"], &growth["still"]),
            (&0.into(), &sockets(&first).into())
        );
        assert_eq!(reading["findings"][0]["growth"]["new"], growth["new"]);
    }
    assert!(last > sockets(&first));
    assert!(watch.wait().unwrap().success());
}

#[test]
fn on_a_terminal_the_page_is_drawn_in_place_and_stays_after_an_interrupt() {
    let lab = Lab::new();
    let server = lab.start("leak", &["connections=40"]);
    let port = server.port().to_string();
    for view in [&["triage"][..], &["list", "--state", "close-wait"]] {
        let args = [&["watch", "0.1"], view, &["--port", &port]].concat();
        let tool = OnTerminal::start(&args);
        until("a third reading", || {
            let seen = tool.seen();
            seen.contains("3 readings in").then_some(()).ok_or(seen)
        });
        let (code, text) = tool.interrupted();
        assert_eq!(code, Some(0), "{text:?}");
        // No other screen, nothing hidden: nothing to restore.
        assert!(!text.contains("\x1b[?"), "{text:?}");
        let screen = shown(&text);
        let all = screen.join("\n");
        // The first reading was drawn over: there is one title, the last page, and what changed.
        assert_eq!(all.matches("Ctrl-C ends").count(), 1, "{all}");
        assert!(all.contains("a reading"), "{all}");
        assert!(all.contains("closewait diff of"), "{all}");
        assert!(all.contains("the same sockets"), "{all}");
        let page = screen
            .iter()
            .take_while(|line| !line.contains("Ctrl-C ends"))
            .count()
            + 1;
        assert!(page < usize::from(ROWS), "{page} lines\n{all}");
        if view[0] == "list" {
            assert!(all.contains("more lines"), "{all}");
        }
    }
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
}

const ROWS: u16 = 24;
const COLUMNS: u16 = 80;

/// The tool on a terminal of its own.
struct OnTerminal {
    child: Child,
    seen: Arc<Mutex<Vec<u8>>>,
    reader: thread::JoinHandle<()>,
}

impl OnTerminal {
    fn start(args: &[&str]) -> OnTerminal {
        let (terminal, tty) = pair();
        let child = Command::new(closewait())
            .args(args)
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .stderr(tty.try_clone().unwrap())
            .stdout(tty)
            .spawn()
            .unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let of_reader = Arc::clone(&seen);
        let reader = thread::spawn(move || {
            let mut terminal = File::from(terminal);
            let mut bytes = [0; 4096];
            // EIO: nobody has the other end open.
            while let Ok(1..) = terminal.read(&mut bytes).inspect(|read| {
                of_reader.lock().unwrap().extend_from_slice(&bytes[..*read]);
            }) {}
        });
        OnTerminal {
            child,
            seen,
            reader,
        }
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Interrupts the tool: its exit code, and everything that the terminal got.
    fn interrupted(mut self) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.child), Signal::INT).unwrap();
        let status = self.child.wait().unwrap();
        self.reader.join().unwrap();
        let seen = self.seen.lock().unwrap();
        (status.code(), String::from_utf8_lossy(&seen).into_owned())
    }
}

/// Both ends of a new terminal.
fn pair() -> (OwnedFd, File) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let tty = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name.to_str().unwrap())
        .unwrap();
    let size = Winsize {
        ws_row: ROWS,
        ws_col: COLUMNS,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&tty, size).unwrap();
    (terminal, tty)
}

/// The lines that a terminal without a lower edge shows. Lines that are too long are not wrapped.
fn shown(text: &str) -> Vec<String> {
    let mut lines: Vec<Vec<char>> = vec![Vec::new()];
    let (mut row, mut column) = (0, 0);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\n' => row += 1,
            '\r' => column = 0,
            '\x1b' => {
                let mut sequence = String::new();
                while !sequence.ends_with(|c: char| c.is_ascii_alphabetic()) {
                    sequence.extend(rest.next());
                }
                match sequence.strip_prefix('[').unwrap() {
                    "K" => lines[row].truncate(column),
                    "J" => {
                        lines.truncate(row + 1);
                        lines[row].truncate(column);
                    }
                    colour if colour.ends_with('m') => {}
                    other => row -= other.strip_suffix('A').unwrap().parse::<usize>().unwrap(),
                }
            }
            c => {
                lines[row].truncate(column);
                lines[row].push(c);
                column += 1;
            }
        }
        let rows = lines.len().max(row + 1);
        lines.resize(rows, Vec::new());
    }
    lines
        .into_iter()
        .map(|line| line.into_iter().collect())
        .collect()
}
