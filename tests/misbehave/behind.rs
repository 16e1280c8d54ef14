//! Event loops that send requests to other services and wait, one after the other.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Sender};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::event::{PollFd, PollFlags, poll};
use serde_json::json;

use crate::family::Child;
use crate::server::Impatient;
use crate::settings::Settings;
use crate::{Ready, wire};

/// A client, and the request that was sent for it.
type Pair = (TcpStream, TcpStream);

/// The titles of a PostgreSQL backend that waits for a lock, and of one that holds it.
const BLOCKED: &str = "postgres: app db 127.0.0.1(4242) UPDATE waiting";
const KEEPER: &str = "postgres: app db [local] idle in transaction";

/// One thread sends a request to `port=` for each of its clients and reads only the answers, so it does not
/// notice clients that hang up.
pub fn forward(settings: &mut Settings) -> Result<Ready> {
    let behind: u16 = settings.take("port", 0)?;
    let listener = wire::listen(wire::ROOMY)?;
    let port = wire::port(&listener)?;
    let (asked, _asked) = mpsc::channel();
    thread::spawn(move || serve(&listener, behind, &asked));
    Ok(Ready::new(json!({ "port": port }), ()))
}

/// Such a loop in front of another one, and that in front of a service that never answers: with
/// `titles=true`, a database backend that waits for its sibling. The clients hang up.
pub fn chain(settings: &mut Settings) -> Result<Ready> {
    let connections: usize = settings.take("connections", 1)?;
    let titles = settings.take("titles", false)?;
    let patience = Duration::from_millis(settings.take("patience_ms", 1500)?);
    let (last, held_by) = if titles {
        let blocked = Child::start_titled(BLOCKED, "silent name=postgres")?;
        (
            blocked,
            Some(Child::start_titled(KEEPER, "idle name=postgres")?),
        )
    } else {
        (Child::start(&["silent", "name=last"])?, None)
    };
    let behind = format!("port={}", last.port()?);
    let middle = Child::start(&["forward", "name=middle", &behind])?;
    let listener = wire::listen(wire::ROOMY)?;
    let port = wire::port(&listener)?;
    let middle_port = middle.port()?;
    let (asked, waiting) = mpsc::channel();
    thread::spawn(move || serve(&listener, middle_port, &asked));
    let mut clients = Vec::new();
    for _ in 0..connections {
        clients.push(Impatient::ask(TcpStream::connect((
            Ipv4Addr::LOCALHOST,
            port,
        ))?)?);
    }
    for () in waiting.iter().take(connections) {}
    let waited = Impatient::give_up(clients, patience);
    let facts = json!({
        "port": port,
        "connections": connections,
        "middle_port": middle_port,
        "middle_pid": middle.pid(),
        "last_port": last.port()?,
        "last_pid": last.pid(),
        "keeper_pid": held_by.as_ref().map(Child::pid),
        "patience_ms": waited,
    });
    Ok(Ready::new(facts, (middle, last, held_by)))
}

/// The loop; it reports each request.
fn serve(listener: &TcpListener, behind: u16, asked: &Sender<()>) -> Result<()> {
    let mut pairs: Vec<Pair> = Vec::new();
    loop {
        let mut ready: Vec<PollFd<'_>> = vec![PollFd::new(listener, PollFlags::IN)];
        let waited = pairs.iter().map(|(_, up)| PollFd::new(up, PollFlags::IN));
        ready.extend(waited);
        poll(&mut ready, None).context("could not wait")?;
        let is_ready: Vec<bool> = ready.iter().map(|fd| !fd.revents().is_empty()).collect();
        let (accepts, answered) = is_ready.split_first().context("no listener")?;
        let mut answered = answered.iter();
        pairs.retain_mut(|pair| !answered.next().is_some_and(|is| *is) || pass(pair).is_ok());
        if *accepts {
            let (client, _) = listener.accept()?;
            wire::read_request(&client)?;
            let mut up = TcpStream::connect((Ipv4Addr::LOCALHOST, behind))?;
            up.write_all(wire::REQUEST)?;
            pairs.push((client, up));
            // There may be no receiver.
            let _ = asked.send(());
        }
    }
}

/// Forwards an answer.
fn pass((client, up): &mut Pair) -> Result<()> {
    let mut answer = [0; 512];
    match up.read(&mut answer)? {
        0 => Err(std::io::Error::from(ErrorKind::UnexpectedEof).into()),
        read => Ok(client.write_all(answer.get(..read).unwrap_or_default())?),
    }
}
