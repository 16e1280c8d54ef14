//! A relay that forwards a close, and a service behind it that never closes.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::sockopt;
use serde_json::json;

use crate::family::Child;
use crate::settings::Settings;
use crate::{Ready, wire};

/// Reads everything to the end of file and never closes. It answers only with `answers=true`. It listens on
/// every address.
pub fn hoard(settings: &mut Settings) -> Result<Ready> {
    let answers = settings.take("answers", false)?;
    let listener = wire::listen_dual(wire::ROOMY)?;
    let port = wire::port(&listener)?;
    let (keep, kept) = mpsc::channel();
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let keep = keep.clone();
            thread::spawn(move || {
                if answers && wire::read_request(&stream).is_ok() {
                    // A client that has hung up needs no answer.
                    let _ = stream.write_all(wire::ANSWER);
                }
                while stream.read(&mut [0; 512]).is_ok_and(|read| read > 0) {}
                // The receiver exists until the end.
                let _ = keep.send(stream);
            });
        }
    });
    Ok(Ready::new(json!({ "port": port }), kept))
}

/// Forwards each request to `backend=`, and the close when the client hangs up. It keeps both connections, or
/// closes the client's (`closes=true`). `children=true`: one process per connection. `head=`: this many bytes
/// go before each request. `keepalive=true`: probe the backend every second. `answered=true`: wait for the
/// answer and forward it. Each client waits `patience_ms` for the answer.
pub fn relay(settings: &mut Settings) -> Result<Ready> {
    let backend: String = settings.take("backend", String::new())?;
    let backend: SocketAddr = backend.parse().context("backend=? is whom to ask")?;
    let connections: usize = settings.take("connections", 1)?;
    let closes = settings.take("closes", false)?;
    let children = settings.take("children", false)?;
    let keepalive = settings.take("keepalive", false)?;
    let head = settings.take("head", 0)?;
    let answered = settings.take("answered", false)?;
    let patience = Duration::from_millis(settings.take("patience_ms", 1500)?);
    let listener = wire::listen(wire::ROOMY)?;
    let mut legs = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..connections {
        let (client, down) = wire::pair(&listener)?;
        wire::ask(&client, &down)?;
        let mut up = TcpStream::connect(backend)?;
        up.write_all(&vec![b'x'; head])?;
        up.write_all(wire::REQUEST)?;
        if keepalive {
            sockopt::set_socket_keepalive(&up, true)?;
            sockopt::set_tcp_keepidle(&up, Duration::from_secs(1))?;
            sockopt::set_tcp_keepintvl(&up, Duration::from_secs(1))?;
        }
        if answered {
            wire::read_answer(&up)?;
            wire::answer(&down, &client)?;
        }
        clients.push(client);
        legs.push([down, up]);
    }
    thread::sleep(patience);
    drop(clients);
    let mut kept = Vec::new();
    let mut processes = Vec::new();
    for [down, up] in legs {
        wire::read_end(&down)?;
        up.shutdown(Shutdown::Write)?;
        let pair = [(!closes).then_some(down), Some(up)];
        let pair = pair.into_iter().flatten();
        if !children {
            kept.extend(pair);
            continue;
        }
        let pair: Vec<TcpStream> = pair.collect();
        for leg in &pair {
            fcntl_setfd(leg, FdFlags::empty())?;
        }
        processes.push(Child::start(&["idle", "name=relay"])?);
    }
    let facts = json!({
        "port": wire::port(&listener)?,
        "connections": connections,
        "backend_port": backend.port(),
    });
    Ok(Ready::new(facts, (listener, kept, processes)))
}
