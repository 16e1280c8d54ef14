//! Records the fixtures: makes a network namespace full of sockets in every state, and saves what
//! the kernel says about them.
//!
//! ```text
//! sudo cargo run --example record_fixtures            # into fixtures/
//! sudo cargo run --example record_fixtures -- DIR     # somewhere else
//! ```
//!
//! It takes about ten seconds, needs root and `unshare` and `ip` (util-linux, iproute2), and
//! touches nothing outside of its namespace but the files that it writes. `cast.rs` makes the
//! sockets, `dump.rs` is the form of the files, `craft.rs` makes what this kernel does not send.

mod cast;
mod craft;
mod dump;

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use closewait::collector::sockets::proc_net;
use closewait::collector::sockets::sock_diag::wire::{self, Query, Reply};
use closewait::model::{DetailSet, Endpoint, Families, Family, State, StateSet};

use self::cast::Cast;
use self::dump::{Dump, Recorder};

/// Set in the process that has been started again inside the namespace.
const INSIDE: &str = "CLOSEWAIT_RECORDING_INSIDE";
/// How often the tables are read until text and dumps agree.
const TRIES: u32 = 10;

fn main() -> Result<()> {
    let into = std::env::args_os().nth(1).map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures"),
        PathBuf::from,
    );
    if std::env::var_os(INSIDE).is_none() {
        return start_again_inside();
    }
    run(&["ip", "link", "set", "lo", "up"])?;
    let mut cast = Cast::assemble().context("could not make the sockets")?;
    cast.act()
        .context("could not bring the sockets into their states")?;
    let take = take_consistently()?;
    drop(cast);
    take.save(&into)?;
    println!("recorded {} sockets into {}", take.sockets, into.display());
    Ok(())
}

/// Replaces this process by one in a new network namespace.
fn start_again_inside() -> Result<()> {
    let this = std::env::current_exe().context("could not find this program")?;
    let error = Command::new("unshare")
        .args(["--net", "--"])
        .arg(this)
        .args(std::env::args_os().skip(1))
        .env(INSIDE, "1")
        .exec();
    Err(error).context("could not start again under `unshare --net` (is this root?)")
}

/// Runs a command that must succeed.
fn run(words: &[&str]) -> Result<()> {
    let output = Command::new(words[0])
        .args(&words[1..])
        .output()
        .with_context(|| format!("could not run {}", words.join(" ")))?;
    ensure!(
        output.status.success(),
        "{}: {}",
        words.join(" "),
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(())
}

/// Everything that was recorded in one moment.
struct Take {
    tcp: String,
    tcp6: String,
    both: Dump,
    ipv4: Dump,
    ipv6: Dump,
    bound_inactive: Dump,
    refused: Dump,
    no_handler: Dump,
    sockets: usize,
}

/// Reads the tables until the text and the dumps show the same sockets in the same states.
fn take_consistently() -> Result<Take> {
    let mut recorder = Recorder::open()?;
    for _ in 0..TRIES {
        let take = take(&mut recorder)?;
        let text = seen_in_text(&take)?;
        let whole = seen_in_dumps(&[&take.both])?;
        let halves = seen_in_dumps(&[&take.ipv4, &take.ipv6])?;
        if text == whole && whole == halves {
            return Ok(Take {
                sockets: text.len(),
                ..take
            });
        }
    }
    bail!("the sockets changed under every one of {TRIES} recordings")
}

fn take(recorder: &mut Recorder) -> Result<Take> {
    let query = |families, states| Query {
        protocol: closewait::model::Protocol::Tcp,
        families,
        states,
        tcp_info: true,
        ulp: false,
        details: DetailSet::NONE,
        bytecode: None,
    };
    let one = |family| query(Families::One(family), StateSet::ALL);
    let inactive = StateSet::of(State::BoundInactive);
    // The tables first, next to each other; what does not change after them.
    Ok(Take {
        tcp: fs::read_to_string("/proc/self/net/tcp")?,
        both: recorder.dump(&query(Families::Both, StateSet::ALL))?,
        ipv4: recorder.dump(&one(Family::Inet))?,
        ipv6: recorder.dump(&one(Family::Inet6))?,
        tcp6: fs::read_to_string("/proc/self/net/tcp6")?,
        bound_inactive: recorder.dump(&query(Families::One(Family::Inet), inactive))?,
        refused: recorder.refused()?,
        no_handler: recorder.no_handler()?,
        sockets: 0,
    })
}

type Seen = BTreeSet<(Endpoint, Endpoint, u32, State)>;

fn seen_in_text(take: &Take) -> Result<Seen> {
    let mut sockets = Vec::new();
    for (text, family) in [(&take.tcp, Family::Inet), (&take.tcp6, Family::Inet6)] {
        proc_net::read(
            text.as_bytes(),
            closewait::model::Protocol::Tcp,
            family,
            &mut |_| true,
            &mut sockets,
        )?;
    }
    Ok(seen(sockets))
}

fn seen_in_dumps(dumps: &[&Dump]) -> Result<Seen> {
    let mut sockets = Vec::new();
    for dump in dumps {
        let (sequence, port) = dump.address()?;
        for datagram in &dump.datagrams {
            for reply in wire::replies(datagram, sequence, port) {
                if let (Reply::Socket(payload), _) = reply? {
                    sockets.push(wire::socket(payload, closewait::model::Protocol::Tcp)?);
                }
            }
        }
    }
    Ok(seen(sockets))
}

fn seen(sockets: Vec<closewait::model::Socket>) -> Seen {
    sockets
        .into_iter()
        .map(|socket| (socket.local, socket.remote, socket.inode, socket.state))
        .collect()
}

impl Take {
    fn save(&self, into: &Path) -> Result<()> {
        let proc = into.join("proc");
        let netlink = into.join("netlink");
        let crafted = netlink.join("crafted");
        for dir in [&proc, &crafted] {
            fs::create_dir_all(dir).with_context(|| format!("could not make {}", dir.display()))?;
        }
        fs::write(proc.join("tcp"), &self.tcp)?;
        fs::write(proc.join("tcp6"), &self.tcp6)?;
        for (name, dump) in [
            ("both", &self.both),
            ("ipv4", &self.ipv4),
            ("ipv6", &self.ipv6),
            ("bound_inactive", &self.bound_inactive),
            ("refused", &self.refused),
            ("no_handler", &self.no_handler),
        ] {
            dump.save(&netlink.join(format!("{name}.dump")))?;
        }
        for (name, dump) in craft::all(&self.both)? {
            dump.save(&crafted.join(format!("{name}.dump")))?;
        }
        fs::write(into.join("recorded.txt"), provenance(self.sockets)?)?;
        Ok(())
    }
}

/// Which kernel, when, and how.
fn provenance(sockets: usize) -> Result<String> {
    let release = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    // What follows the numbers is the distributor's own.
    let numbers = release.trim().split('-').next().unwrap_or_default();
    let day = jiff::Timestamp::now().strftime("%Y-%m-%d");
    let machine = std::env::consts::ARCH;
    Ok(format!(
        "kernel: Linux {numbers} ({machine})\n\
         date: {day}\n\
         command: cargo run --example record_fixtures (as root)\n\
         sockets: {sockets}\n"
    ))
}
