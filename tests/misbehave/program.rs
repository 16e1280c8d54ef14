//! misbehave: small programs that mishandle their TCP connections in known ways, for the live
//! tests.
//!
//! `misbehave ROLE [key=value…]` makes the connections of the role, prints one line of JSON about them, and
//! ends when its standard input or its parent does.

mod behind;
mod client;
mod confined;
mod family;
mod halt;
mod hide;
mod queue;
mod relay;
mod server;
mod settings;
mod states;
mod unread;
mod wire;
mod workers;

use std::any::Any;
use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail};
use rustix::process::{Resource, Rlimit, Signal, getrlimit, setrlimit};
use serde_json::{Value, json};

use crate::settings::Settings;

/// The variable with the role and its settings, if the command line is a title.
pub const TITLED: &str = "MISBEHAVE";

/// What a role has made.
pub struct Ready {
    /// Printed on standard output, together with the process ID.
    pub facts: Value,
    /// Kept open until the end.
    pub kept: Box<dyn Any>,
    /// Printed at the end, if the role keeps counting.
    pub count: Option<Arc<AtomicU64>>,
}

impl Ready {
    pub fn new(facts: Value, kept: impl Any) -> Ready {
        Ready {
            facts,
            kept: Box::new(kept),
            count: None,
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // stderr may be closed.
            let _ = writeln!(io::stderr(), "misbehave: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    let titled = std::env::var(TITLED).ok();
    let words: Vec<String> = match &titled {
        Some(words) => words.split(' ').map(str::to_owned).collect(),
        None => std::env::args().skip(1).collect(),
    };
    let mut args = words.into_iter();
    let role = args.next().context("which role?")?;
    match role.as_str() {
        "alone" => return confined::alone(args),
        "confined" => return confined::run(args),
        "empty" => return confined::empty(args),
        "named" => return confined::named(args),
        _ => {}
    }
    let mut settings = Settings::parse(args)?;
    take_on_common(&mut settings)?;
    let ready = play(&role, &mut settings).with_context(|| role.clone())?;
    settings.all_taken()?;
    let mut facts = ready.facts;
    facts["pid"] = json!(std::process::id());
    say(&facts)?;
    io::copy(&mut io::stdin(), &mut io::sink())?;
    if let Some(count) = ready.count {
        say(&json!({ "count": count.load(Ordering::Relaxed) }))?;
    }
    drop(ready.kept);
    // Ends threads that are still waiting.
    std::process::exit(0)
}

fn play(role: &str, settings: &mut Settings) -> Result<Ready> {
    match role {
        "idle" => Ok(Ready::new(json!({}), ())),
        "leak" => server::leak(settings),
        "slow" => server::slow(settings),
        "abandon" => server::abandon(settings),
        "deaf" => server::deaf(settings),
        "choke" => server::choke(settings),
        "stream" => server::stream(settings),
        "think" => server::think(settings),
        "churn" => server::churn(settings),
        "silent" => server::silent(settings),
        "closer" => server::closer(settings),
        "unread" => unread::unread(settings),
        "queue" => queue::queue(settings),
        "pool" => client::pool(settings),
        "drip" => client::drip(settings),
        "starved" => client::starved(settings),
        "callers" => client::callers(settings),
        "listeners" => client::listeners(settings),
        "hide" => hide::hide(settings),
        "halt" => halt::halt(settings),
        "keeper" => halt::held_by(settings),
        "tracer" => halt::tracer(settings),
        "inherit" => family::inherit(settings),
        "prefork" => family::prefork(settings),
        "downstream" => family::downstream(settings),
        "workers" => workers::workers(settings),
        "worker" => workers::worker(settings),
        "proxy" => family::proxy(settings),
        "forward" => behind::forward(settings),
        "chain" => behind::chain(settings),
        "relay" => relay::relay(settings),
        "hoard" => relay::hoard(settings),
        "states" => states::states(settings),
        _ => bail!("there is no such role"),
    }
}

/// Applies `name=`, the name of the process, and `files=`, its limit of open files.
fn take_on_common(settings: &mut Settings) -> Result<()> {
    let name: String = settings.take("name", String::new())?;
    if !name.is_empty() {
        let name = std::ffi::CString::new(name)?;
        rustix::thread::set_name(&name).context("could not set the name")?;
    }
    let files: u64 = settings.take("files", 0)?;
    if files > 0 {
        let limit = Rlimit {
            current: Some(files),
            ..getrlimit(Resource::Nofile)
        };
        setrlimit(Resource::Nofile, limit).context("could not set the limit of open files")?;
    }
    Ok(())
}

fn say(facts: &Value) -> Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{facts}")?;
    out.flush()?;
    Ok(())
}
