//! Clients.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::family::Child;
use crate::settings::Settings;
use crate::{Ready, wire};

/// A pool of connections that the server, another process, closes while they are idle, after it has sent
/// `goodbye` bytes.
pub fn pool(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 1)?;
    let server = closer(settings)?;
    let pool = (0..connections).map(|_| used(server.port()?));
    let pool = pool.collect::<Result<Vec<TcpStream>>>()?;
    let facts = json!({
        "connections": connections,
        "server_port": server.port()?,
        "server_pid": server.pid(),
    });
    Ok(Ready::new(facts, (pool, server)))
}

/// The most connections that are leaked.
const DRIPS_MAX: usize = 500;

/// A client that uses a connection once and leaks it, one every so many milliseconds.
pub fn drip(settings: &mut Settings) -> Result<Ready> {
    let every = Duration::from_millis(settings.take("every_ms", 150)?);
    let server = closer(settings)?;
    let port = server.port()?;
    thread::spawn(move || -> Result<()> {
        for _ in 0..DRIPS_MAX {
            std::mem::forget(used(port)?);
            thread::sleep(every);
        }
        Ok(())
    });
    let facts = json!({ "server_port": port });
    Ok(Ready::new(facts, server))
}

/// A server that takes a connection from a pool for each request and never returns it: its workers wait for
/// one, and their clients give up.
pub fn starved(settings: &mut Settings) -> Result<Ready> {
    let (connections, callers) = (
        settings.take("connections", 6)?,
        settings.take("callers", 8)?,
    );
    let server = closer(settings)?;
    let taken = (0..connections).map(|_| used(server.port()?));
    let taken = taken.collect::<Result<Vec<TcpStream>>>()?;
    let listener = wire::listen(wire::ROOMY)?;
    let returned = Arc::new((Mutex::new(()), Condvar::new()));
    let mut clients = Vec::new();
    for _ in 0..callers {
        let (client, caller) = wire::pair(&listener)?;
        wire::ask(&client, &caller)?;
        clients.push(client);
        let returned = Arc::clone(&returned);
        thread::spawn(move || {
            let (pool, any) = &*returned;
            let mut pool = pool.lock();
            while let Ok(still) = pool {
                pool = any.wait(still);
            }
            drop(caller);
        });
    }
    drop(clients);
    let facts = json!({
        "connections": connections,
        "callers": callers,
        "port": wire::port(&listener)?,
        "server_port": server.port()?,
    });
    Ok(Ready::new(facts, (taken, listener, server)))
}

fn closer(settings: &mut Settings) -> Result<Child> {
    let idle = format!("idle_ms={}", settings.take("idle_ms", 300)?);
    let goodbye = format!("goodbye={}", settings.take("goodbye", 0)?);
    let name: String = settings.take("server_name", "closer".to_owned())?;
    Child::start(&["closer", &format!("name={name}"), &idle, &goodbye])
}

/// A connection on which one request was answered.
fn used(port: u16) -> Result<TcpStream> {
    let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    client.write_all(wire::REQUEST)?;
    wire::read_answer(&client)?;
    Ok(client)
}

/// Clients that send a request and wait for ever.
pub fn callers(settings: &mut Settings) -> Result<Ready> {
    let clients = ask(settings)?;
    Ok(Ready::new(json!({}), clients))
}

/// Clients that send a request, shut down their direction, and read the answer slowly, with pauses.
pub fn listeners(settings: &mut Settings) -> Result<Ready> {
    let pause = Duration::from_millis(settings.take("pause_ms", 0)?);
    for mut client in ask(settings)? {
        client.shutdown(Shutdown::Write)?;
        let take_in = move || {
            while client.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                thread::sleep(pause);
            }
        };
        thread::spawn(take_in);
    }
    Ok(Ready::new(json!({}), ()))
}

fn ask(settings: &mut Settings) -> Result<Vec<TcpStream>> {
    let port: u16 = settings.take("port", 0)?;
    ensure!(port > 0, "port=? is whom to ask");
    let connections: usize = settings.take("connections", 1)?;
    let mut clients = Vec::new();
    for _ in 0..connections {
        let mut client = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        client.write_all(wire::REQUEST)?;
        clients.push(client);
    }
    Ok(clients)
}
