//! A server whose requests stay unread, until somebody asks it to read them.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use anyhow::{Result, ensure};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use serde_json::json;

use crate::settings::Settings;
use crate::{Ready, wire};

/// Of what closewait may show, nothing contains this word.
const REQUEST: &[u8] = b"POST /checkout;session=SECRET?token=SECRET HTTP/1.1\r\n\
    Host: SECRET.example\r\nCookie: id=SECRET\r\nUser-Agent: kube-probe/1.27\r\n\
    Authorization: Bearer SECRET\r\nContent-Length: 22\r\n\r\n{\"password\": \"SECRET\"}";
/// Made by OpenSSL 3 for the server shop.example.
const HELLO: &[u8] = include_bytes!("client_hello.bin");
const OTHER: &[u8] = b"\x01\x02SECRET";

/// Accepts requests, whose clients hang up, and reads none: `requests=` of HTTP, `hellos=` of TLS, `others=`
/// of no known protocol; HTTP comes from addresses of its own.
///
/// To whoever sends a line to `control_port`, it answers with the number of its descriptors. After the line
/// `read` it reads everything first, and answers with the number of connections that carried what was sent.
pub fn unread(settings: &mut Settings) -> Result<Ready> {
    let contents = [
        (REQUEST, settings.take("requests", 1)?),
        (HELLO, settings.take("hellos", 0)?),
        (OTHER, settings.take("others", 0)?),
    ];
    let listener = wire::listen(wire::ROOMY)?;
    let mut kept = Vec::new();
    for (content, connections) in contents {
        for _ in 0..connections {
            let from = u8::try_from(kept.len() % 200)? + 2;
            let mut client = connect_from(from, &listener)?;
            client.write_all(content)?;
            let (server, _) = listener.accept()?;
            ensure!(server.peek(&mut [0])? == 1, "nothing came");
            kept.push((server, content));
        }
    }
    let connections = kept.len();
    let control = wire::listen(wire::ROOMY)?;
    let facts = json!({
        "port": wire::port(&listener)?,
        "control_port": wire::port(&control)?,
        "connections": connections,
    });
    thread::spawn(move || answer(&control, &kept));
    Ok(Ready::new(facts, listener))
}

/// A connection from an address of the loopback.
fn connect_from(last: u8, listener: &TcpListener) -> Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    let from = IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
    rustix::net::bind(&socket, &SocketAddr::from((from, 0)))?;
    rustix::net::connect(&socket, &listener.local_addr()?)?;
    Ok(TcpStream::from(socket))
}

fn answer(control: &TcpListener, kept: &[(TcpStream, &[u8])]) -> Result<()> {
    loop {
        let (mut asker, _) = control.accept()?;
        let mut line = String::new();
        BufReader::new(&asker).read_line(&mut line)?;
        let number = match line.trim() {
            "read" => kept
                .iter()
                .filter(|(server, sent)| is_there(server, sent))
                .count(),
            _ => std::fs::read_dir("/proc/self/fd")?.count(),
        };
        writeln!(asker, "{number}")?;
    }
}

/// Whether a connection carries what was sent, and then its end.
fn is_there(mut server: &TcpStream, sent: &[u8]) -> bool {
    let mut read = Vec::new();
    server.read_to_end(&mut read).is_ok() && read == sent
}
