//! Roles that take more than one process.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::{Value, json};

use crate::server::Impatient;
use crate::settings::Settings;
use crate::{Ready, TITLED, wire};

/// This program in another role; it ends when this is dropped.
pub struct Child {
    process: std::process::Child,
    leash: Option<ChildStdin>,
    facts: Value,
}

impl Child {
    /// Starts the program, and waits until it is ready.
    pub fn start(args: &[&str]) -> Result<Child> {
        Child::start_by(Command::new(std::env::current_exe()?).args(args))
    }

    /// Starts it with a title for its command line.
    pub fn start_titled(title: &str, words: &str) -> Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        Child::start_by(command.arg0(title).env(TITLED, words))
    }

    fn start_by(command: &mut Command) -> Result<Child> {
        let mut process = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start another process")?;
        let leash = process.stdin.take();
        let out = process.stdout.take().context("a child without stdout")?;
        let mut line = String::new();
        BufReader::new(out).read_line(&mut line)?;
        let facts = serde_json::from_str(&line).context("the child did not get ready")?;
        Ok(Child {
            process,
            leash,
            facts,
        })
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    pub fn port(&self) -> Result<u16> {
        let port = self.facts["port"].as_u64().context("no port")?;
        Ok(u16::try_from(port)?)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.leash = None;
        // An error means that the child has ended.
        let _ = self.process.wait();
    }
}

/// Starts a child that inherits every connection, because close-on-exec is not set. The parent closes its own
/// copies, or keeps them (`parent=keeps`). The child starts `later_ms` after the last byte.
pub fn inherit(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 40)?;
    let keeps = settings.take("parent", String::from("closes"))? == "keeps";
    let later = Duration::from_millis(settings.take("later_ms", 0)?);
    let listener = wire::listen(wire::ROOMY)?;
    let mut clients = Vec::new();
    let mut servers = Vec::new();
    for _ in 0..connections {
        let (client, server) = wire::pair(&listener)?;
        wire::ask(&client, &server)?;
        wire::answer(&server, &client)?;
        fcntl_setfd(&server, FdFlags::empty())?;
        clients.push(client);
        servers.push(server);
    }
    thread::sleep(later);
    let child = Child::start(&["idle", "name=helper"])?;
    for server in &servers {
        fcntl_setfd(server, FdFlags::CLOEXEC)?;
    }
    if !keeps {
        servers.clear();
    }
    drop(clients);
    let facts = json!({
        "port": wire::port(&listener)?,
        "connections": connections,
        "child_pid": child.pid(),
    });
    Ok(Ready::new(facts, (listener, servers, child)))
}

/// A server that forks for each connection, like PostgreSQL: each process holds one connection, whose peer got
/// no answer and has hung up. Give the parent the name of the others.
pub fn prefork(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 12)?;
    let listener = wire::listen(wire::ROOMY)?;
    let mut children = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..connections {
        let (client, server) = wire::pair(&listener)?;
        wire::ask(&client, &server)?;
        fcntl_setfd(&server, FdFlags::empty())?;
        children.push(Child::start(&["idle", "name=backend"])?);
        clients.push(client);
    }
    drop(clients);
    let facts = json!({ "port": wire::port(&listener)?, "connections": connections });
    Ok(Ready::new(facts, (listener, children)))
}

/// A pool of workers, all but a few of which wait for a database that never answers, while their
/// clients have hung up.
pub fn downstream(settings: &mut Settings) -> Result<Ready> {
    let workers: usize = settings.take("workers", 32)?;
    let connections = settings.take("connections", 30)?;
    let patience = Duration::from_millis(settings.take("patience_ms", 1500)?);
    let database = Child::start(&["silent", "name=database"])?;
    let database_port = database.port()?;
    let listener = wire::listen(wire::ROOMY)?;
    let (work, jobs) = mpsc::channel::<TcpStream>();
    let (asked, waiting) = mpsc::channel();
    let jobs = Arc::new(Mutex::new(jobs));
    for nth in 0..workers {
        let jobs = Arc::clone(&jobs);
        let asked = asked.clone();
        let worker = move || -> Result<()> {
            loop {
                let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv()?;
                wire::read_request(&job)?;
                let mut database = TcpStream::connect((Ipv4Addr::LOCALHOST, database_port))?;
                database.write_all(b"SELECT")?;
                asked.send(())?;
                database.read_exact(&mut [0; 64])?;
            }
        };
        let name = format!("worker-{nth}");
        thread::Builder::new().name(name).spawn(worker)?;
    }
    let mut clients = Vec::new();
    for _ in 0..connections {
        let (client, server) = wire::pair(&listener)?;
        work.send(server)?;
        clients.push(Impatient::ask(client)?);
    }
    for () in waiting.iter().take(connections) {}
    let waited = Impatient::give_up(clients, patience);
    let facts = json!({
        "port": wire::port(&listener)?,
        "connections": connections,
        "workers": workers,
        "database_port": database_port,
        "database_pid": database.pid(),
        "patience_ms": waited,
    });
    Ok(Ready::new(facts, (listener, work, database)))
}

/// A proxy that does not forward the close of its upstream, or does, while the callers keep waiting.
pub fn proxy(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 1)?;
    let passes_on = settings.take("passes_on", false)?;
    let upstream = Child::start(&["closer", "name=upstream"])?;
    let listener = wire::listen(wire::ROOMY)?;
    let port = wire::port(&listener)?;
    let callers = Child::start(&[
        "callers",
        "name=callers",
        &format!("port={port}"),
        &format!("connections={connections}"),
    ])?;
    let mut legs = Vec::new();
    for _ in 0..connections {
        let (mut down, _) = listener.accept()?;
        wire::read_request(&down)?;
        let mut up = TcpStream::connect((Ipv4Addr::LOCALHOST, upstream.port()?))?;
        up.write_all(wire::REQUEST)?;
        wire::read_answer(&up)?;
        down.write_all(wire::ANSWER)?;
        wire::read_end(&up)?;
        if passes_on {
            down.shutdown(Shutdown::Write)?;
        }
        legs.push([down, up]);
    }
    let facts = json!({
        "port": port,
        "connections": connections,
        "upstream_port": upstream.port()?,
        "upstream_pid": upstream.pid(),
        "caller_pid": callers.pid(),
    });
    Ok(Ready::new(facts, (listener, legs, callers, upstream)))
}
