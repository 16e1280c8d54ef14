//! A server of several single-threaded processes that share a listener.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::fs::{FlockOperation, MemfdFlags, flock, memfd_create};
use serde_json::json;

use crate::family::Child;
use crate::server::Impatient;
use crate::settings::Settings;
use crate::{Ready, wire};

/// The worker processes. They end when this is dropped, and with their parent.
struct Workers(Vec<std::process::Child>);

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &mut self.0 {
            // It may have ended already.
            let _ = worker.kill();
            let _ = worker.wait();
        }
    }
}

/// Each worker accepts one connection and waits for a database that never answers (`wait=database`), or for a
/// file lock that this process holds (`wait=lock`), so the other connections stay in the accept queue. With
/// `wait=idle`, all of them wait for connections. The clients hang up after `patience_ms`, unless it is 0.
pub fn workers(settings: &mut Settings) -> Result<Ready> {
    let workers: usize = settings.take("workers", 4)?;
    let connections = settings.take("connections", 70)?;
    let wait = settings.take("wait", "database".to_owned())?;
    let patience = Duration::from_millis(settings.take("patience_ms", 1500)?);
    let database = Child::start(&["silent", "name=database"])?;
    let lock = Lock::take()?;
    let listener = wire::listen(128)?;
    let mut processes = Workers(Vec::new());
    let mut said = Vec::new();
    for _ in 0..workers {
        let mut process = Command::new(std::env::current_exe()?)
            .args(["worker", "name=app"])
            .arg(format!("wait={wait}"))
            .arg(format!("database={}", database.port()?))
            .arg(format!("lock={}", lock.path))
            .stdin(Stdio::from(OwnedFd::from(listener.try_clone()?)))
            .stdout(Stdio::piped())
            .spawn()
            .context("could not start a worker")?;
        let out = process.stdout.take().context("a worker without stdout")?;
        processes.0.push(process);
        said.push(BufReader::new(out));
    }
    let address = listener.local_addr()?;
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Impatient::ask(TcpStream::connect(address)?)?);
    }
    // Each reports that it is about to wait.
    for said in &mut said {
        let mut line = String::new();
        said.read_line(&mut line)?;
        if line.is_empty() {
            bail!("a worker ended");
        }
    }
    let pids: Vec<u32> = processes.0.iter().map(std::process::Child::id).collect();
    if !patience.is_zero() {
        Impatient::give_up(std::mem::take(&mut clients), patience);
    }
    let facts = json!({
        "port": wire::port(&listener)?,
        "connections": connections,
        "database_port": database.port()?,
        "worker_pids": pids,
    });
    Ok(Ready::new(
        facts,
        (listener, processes, clients, database, lock),
    ))
}

/// A locked file without a name.
struct Lock {
    path: String,
    _file: OwnedFd,
}

impl Lock {
    fn take() -> Result<Lock> {
        let file = memfd_create("lock", MemfdFlags::CLOEXEC)?;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(Lock {
            path: format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()),
            _file: file,
        })
    }
}

/// One worker, with the listener as its standard input. It waits until it is killed.
pub fn worker(settings: &mut Settings) -> Result<Ready> {
    let wait: String = settings.take("wait", String::new())?;
    let database: u16 = settings.take("database", 0)?;
    let lock: String = settings.take("lock", String::new())?;
    let tell = || writeln!(io::stdout(), "waiting");
    if wait == "idle" {
        tell()?;
    }
    let mut taken = Vec::new();
    loop {
        let connection = TcpStream::from(rustix::net::accept(io::stdin())?);
        if wait != "idle" {
            wire::read_request(&connection)?;
        }
        match wait.as_str() {
            "database" => {
                let mut database = TcpStream::connect((Ipv4Addr::LOCALHOST, database))?;
                database.write_all(b"SELECT")?;
                tell()?;
                database.read_exact(&mut [0; 64])?;
            }
            "lock" => {
                let file = File::open(&lock)?;
                tell()?;
                flock(&file, FlockOperation::LockExclusive)?;
                // The holder of the lock is ending this process too.
                thread::park();
            }
            _ => {}
        }
        taken.push(connection);
    }
}
