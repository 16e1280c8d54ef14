//! Servers that mishandle closed connections, and two that do not.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::event::epoll;
use rustix::net::sockopt;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::json;

use crate::family::Child;
use crate::settings::Settings;
use crate::{Ready, wire};

/// How long a slow server works on a request: longer than any test.
const WORK: Duration = Duration::from_secs(120);
/// Longer than a clock tick of any kernel, so that events this far apart have an order.
const TICKS: Duration = Duration::from_millis(25);

/// Reads the end of file and never closes. `keepalive=true`: the clients keep their ends half open and answer
/// a probe per second. `epoll=`: an epoll set watches the connections, has them without events (`muted`), or
/// does not contain them (`absent`); it also watches `well=` healthy connections. `dead=`: hold this many
/// connections that the client has reset. `elsewhere=`: hold a healthy connection in this network namespace.
/// `crowd=`: hold this many healthy UDP sockets, UNIX sockets and listeners, the listeners in the namespace
/// `crowd_in=`.
pub fn leak(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 1)?;
    let keepalive = settings.take("keepalive", false)?;
    let set = settings.take("epoll", String::new())?;
    let well = settings.take("well", 0)?;
    let dead = settings.take("dead", 0)?;
    let elsewhere = settings.take("elsewhere", String::new())?;
    let crowd = crowd(
        settings.take("crowd", 0)?,
        settings.take("crowd_in", String::new())?,
    )?;
    let listener = wire::listen(wire::ROOMY)?;
    let mut kept = Vec::new();
    for _ in 0..connections {
        let (client, server) = wire::pair(&listener)?;
        wire::ask(&client, &server)?;
        wire::answer(&server, &client)?;
        if keepalive {
            sockopt::set_socket_keepalive(&server, true)?;
            sockopt::set_tcp_keepidle(&server, Duration::from_secs(1))?;
            sockopt::set_tcp_keepintvl(&server, Duration::from_secs(1))?;
            client.shutdown(Shutdown::Write)?;
            kept.push(client);
        } else {
            drop(client);
        }
        wire::read_end(&server)?;
        kept.push(server);
    }
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    if !set.is_empty() {
        let data = epoll::EventData::new_u64(0);
        epoll::add(&epoll, &listener, data, epoll::EventFlags::IN)?;
        let interest = match set.as_str() {
            "watched" => Some(epoll::EventFlags::IN),
            "muted" => Some(epoll::EventFlags::empty()),
            _ => None,
        };
        for (server, interest) in kept.iter().zip(interest.into_iter().cycle()) {
            epoll::add(&epoll, server, data, interest)?;
        }
    }
    for _ in 0..well {
        let (client, server) = wire::pair(&listener)?;
        let data = epoll::EventData::new_u64(0);
        epoll::add(&epoll, &server, data, epoll::EventFlags::IN)?;
        kept.extend([client, server]);
    }
    for _ in 0..dead {
        let (client, server) = wire::pair(&listener)?;
        sockopt::set_socket_linger(&client, Some(Duration::ZERO))?;
        drop(client);
        kept.push(server);
    }
    let facts = json!({ "port": wire::port(&listener)?, "connections": connections });
    let mut other = None;
    if !elsewhere.is_empty() {
        // Only this thread changes its namespace.
        let namespace = File::open(elsewhere)?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        let listener = wire::listen(wire::ROOMY)?;
        let pair = wire::pair(&listener)?;
        other = Some((listener, pair));
    }
    let epoll = (!set.is_empty()).then_some(epoll);
    Ok(Ready::new(facts, (listener, kept, epoll, other, crowd)))
}

type Crowd = (Vec<UdpSocket>, Vec<UnixDatagram>, Vec<TcpListener>);

/// Healthy sockets that are in no TCP table here. A short-lived thread makes the listeners.
fn crowd(sockets: usize, namespace: String) -> Result<Crowd> {
    let udp = (0..sockets).map(|_| UdpSocket::bind("127.0.0.1:0"));
    let unix = (0..sockets).map(|_| UnixDatagram::unbound());
    let listeners = move || -> Result<Vec<TcpListener>> {
        if namespace.is_empty() {
            return Ok(Vec::new());
        }
        let namespace = File::open(namespace)?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        (0..sockets).map(|_| wire::listen(wire::ROOMY)).collect()
    };
    let listeners = thread::spawn(listeners).join();
    Ok((
        udp.collect::<Result<_, _>>()?,
        unix.collect::<Result<_, _>>()?,
        listeners.unwrap_or_else(|_| bail!("the thread that listens panicked"))?,
    ))
}

/// Reads each request and works on it in a thread, until long after the client has hung up.
pub fn slow(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 1)?;
    let patience = Duration::from_millis(settings.take("patience_ms", 1500)?);
    let listener = wire::listen(wire::ROOMY)?;
    let (started, working) = mpsc::channel();
    let mut clients = Vec::new();
    for _ in 0..connections {
        let (client, server) = wire::pair(&listener)?;
        let started = started.clone();
        thread::spawn(move || {
            let read = wire::read_request(&server);
            // The receiver exists until all have started.
            let _ = started.send(read);
            thread::sleep(WORK);
        });
        clients.push(Impatient::ask(client)?);
    }
    for read in working.iter().take(connections) {
        read?;
    }
    let waited = Impatient::give_up(clients, patience);
    let facts = json!({
        "port": wire::port(&listener)?,
        "connections": connections,
        "patience_ms": waited,
    });
    Ok(Ready::new(facts, listener))
}

/// A client that has sent a request and waits a limited time for the answer.
pub struct Impatient {
    client: TcpStream,
    asked: Instant,
}

impl Impatient {
    pub fn ask(mut client: TcpStream) -> Result<Impatient> {
        client.write_all(wire::REQUEST)?;
        Ok(Impatient {
            client,
            asked: Instant::now(),
        })
    }

    /// Hangs up one client after the other; returns how long each has really waited, in milliseconds.
    pub fn give_up(clients: Vec<Impatient>, patience: Duration) -> Vec<u64> {
        let mut waited = Vec::new();
        for Impatient { client, asked } in clients {
            thread::sleep(patience.saturating_sub(asked.elapsed()));
            waited.push(u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX));
            drop(client);
        }
        waited
    }
}

/// Reads and answers the request, and never touches the connection again. With `again=true`, it answers at
/// once, reads a second request that comes at once too, and never answers that.
pub fn abandon(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 1)?;
    let again = settings.take("again", false)?;
    let listener = wire::listen(wire::ROOMY)?;
    let mut kept = Vec::new();
    for _ in 0..connections {
        let (client, server) = wire::pair(&listener)?;
        wire::ask(&client, &server)?;
        if again {
            wire::answer(&server, &client)?;
            wire::ask(&client, &server)?;
        } else {
            thread::sleep(TICKS);
            wire::answer(&server, &client)?;
        }
        kept.push(server);
    }
    let facts = json!({ "port": wire::port(&listener)?, "connections": connections });
    Ok(Ready::new(facts, (listener, kept)))
}

/// Never reads what the clients have sent. With `spin=true`, a thread spins meanwhile.
pub fn deaf(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 1)?;
    let bytes = settings.take("bytes", 100)?;
    let listener = wire::listen(wire::ROOMY)?;
    let mut kept = Vec::new();
    for _ in 0..connections {
        let (mut client, server) = wire::pair(&listener)?;
        client.write_all(&vec![b'x'; bytes])?;
        kept.push(server);
    }
    if settings.take("spin", false)? {
        let spin = || loop {
            std::hint::spin_loop();
        };
        thread::Builder::new().name("spinner".into()).spawn(spin)?;
    }
    let facts = json!({
        "port": wire::port(&listener)?, "connections": connections, "bytes": bytes,
    });
    Ok(Ready::new(facts, (listener, kept)))
}

/// Sends clients that have shut down their direction more than they read. The kernel probes their closed
/// window; with `shrunk=true` it retransmits data that they no longer have room for.
pub fn choke(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 1)?;
    let shrunk = settings.take("shrunk", false)?;
    let listener = wire::listen(wire::ROOMY)?;
    let mut kept = Vec::new();
    for _ in 0..connections {
        let (client, server) = if shrunk {
            let (client, server) = wire::pair(&listener)?;
            wire::shrink(&client)?;
            (client, server)
        } else {
            wire::narrow_pair(&listener)?
        };
        wire::ask(&client, &server)?;
        client.shutdown(Shutdown::Write)?;
        wire::read_end(&server)?;
        wire::fill(&server)?;
        kept.push([client, server]);
    }
    let facts = json!({ "port": wire::port(&listener)?, "connections": connections });
    Ok(Ready::new(facts, (listener, kept)))
}

/// Streams to clients in another process that have shut down their direction and keep reading, as TCP's
/// half-close allows. With `bulk=true`, there is always more to send than the clients have read, as in a long
/// download.
pub fn stream(settings: &mut Settings) -> Result<Ready> {
    let connections: usize = settings.take("connections", 1)?;
    let bulk = settings.take("bulk", false)?;
    let listener = wire::listen(wire::ROOMY)?;
    let port = wire::port(&listener)?;
    let pause = format!("pause_ms={}", if bulk { 5 } else { 0 });
    let to = format!("port={port}");
    let clients = Child::start(&["listeners", &to, &count(connections), &pause])?;
    let mut streams = Vec::new();
    for _ in 0..connections {
        let (server, _) = listener.accept()?;
        wire::read_request(&server)?;
        wire::read_end(&server)?;
        streams.push(server);
    }
    for mut to in streams {
        thread::spawn(move || {
            let (piece, pause) = if bulk { (16 * 1024, 0) } else { (512, 50) };
            while to.write_all(&vec![b's'; piece]).is_ok() {
                thread::sleep(Duration::from_millis(pause));
            }
        });
    }
    let facts = json!({
        "port": port, "connections": connections, "client_pid": clients.pid(),
    });
    Ok(Ready::new(facts, (listener, clients)))
}

/// Works long on requests of clients in another process, which have shut down their direction and wait.
pub fn think(settings: &mut Settings) -> Result<Ready> {
    let connections: usize = settings.take("connections", 1)?;
    let listener = wire::listen(wire::ROOMY)?;
    let port = wire::port(&listener)?;
    let clients = Child::start(&["listeners", &format!("port={port}"), &count(connections)])?;
    let mut asked = Vec::new();
    for _ in 0..connections {
        let (server, _) = listener.accept()?;
        wire::read_request(&server)?;
        asked.push(server);
    }
    let facts = json!({
        "port": port, "connections": connections, "client_pid": clients.pid(),
    });
    Ok(Ready::new(facts, (listener, asked, clients)))
}

fn count(connections: usize) -> String {
    format!("connections={connections}")
}

/// Makes many short connections, each closed by the client and then by the server, as it should be.
pub fn churn(settings: &mut Settings) -> Result<Ready> {
    let rate: u32 = settings.take("rate", 2000)?;
    let listener = wire::listen(wire::ROOMY)?;
    let port = wire::port(&listener)?;
    for _ in 0..4 {
        let listener = listener.try_clone()?;
        thread::spawn(move || serve_well(&listener));
    }
    let made = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&made);
    let address = listener.local_addr()?;
    thread::spawn(move || {
        let start = Instant::now();
        for nth in 0u32.. {
            let due = Duration::from_secs(1) * nth / rate;
            thread::sleep(due.saturating_sub(start.elapsed()));
            let visit = || -> Result<()> {
                let mut client = TcpStream::connect(address)?;
                client.write_all(wire::REQUEST)?;
                wire::read_answer(&client)
            };
            if visit().is_ok() {
                made.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let mut ready = Ready::new(json!({ "port": port, "rate": rate }), listener);
    ready.count = Some(count);
    Ok(ready)
}

fn serve_well(listener: &TcpListener) {
    while let Ok((mut server, _)) = listener.accept() {
        let serve = |server: &mut TcpStream| -> Result<()> {
            wire::read_request(server)?;
            server.write_all(wire::ANSWER)?;
            wire::read_end(server)
        };
        // A client that has gone does not affect the next one.
        let _ = serve(&mut server);
    }
}

/// Accepts, reads everything, and never answers.
pub fn silent(_: &mut Settings) -> Result<Ready> {
    let listener = wire::listen(wire::ROOMY)?;
    let port = wire::port(&listener)?;
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            thread::spawn(move || while stream.read(&mut [0; 512]).is_ok_and(|read| read > 0) {});
        }
    });
    Ok(Ready::new(json!({ "port": port }), ()))
}

/// Answers the request of each connection and closes it a little later, as servers do with idle connections;
/// some send `goodbye` bytes first.
pub fn closer(settings: &mut Settings) -> Result<Ready> {
    let idle = Duration::from_millis(settings.take("idle_ms", 0)?);
    let goodbye = vec![b'.'; settings.take("goodbye", 0)?];
    let listener = wire::listen(wire::ROOMY)?;
    let port = wire::port(&listener)?;
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let goodbye = goodbye.clone();
            thread::spawn(move || -> Result<()> {
                wire::read_request(&stream)?;
                stream.write_all(wire::ANSWER)?;
                thread::sleep(idle);
                stream.write_all(&goodbye)?;
                Ok(())
            });
        }
    });
    Ok(Ready::new(json!({ "port": port }), ()))
}
