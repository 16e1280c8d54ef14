//! One process with sockets in every stable state, in both families.

use std::io::Write;
use std::net::{Shutdown, TcpListener, TcpStream};

use anyhow::Result;
use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::{Map, Value, json};

use crate::family::Child;
use crate::settings::Settings;
use crate::{Ready, wire};

pub fn states(_: &mut Settings) -> Result<Ready> {
    let v4 = wire::listen(wire::ROOMY)?;
    let v6 = wire::listen_v6(wire::ROOMY)?;
    let dual = wire::listen_dual(wire::ROOMY)?;
    let queue = wire::listen(wire::ROOMY)?;
    let full = wire::listen(0)?;
    let deferred = wire::listen(wire::ROOMY)?;
    wire::defer_accept(&deferred)?;
    let mut made = Made::default();
    made.count("LISTEN", 6);

    for listener in [&v4, &v6, &dual] {
        made.established(listener, b"unread")?;
        made.close_wait(listener)?;
        made.time_wait(listener)?;
    }
    made.stuck(&v4)?;
    made.unaccepted(&queue)?;
    made.connecting(&full)?;
    made.half_open(&deferred)?;
    let child = made.shared(&v4)?;

    let port = wire::port;
    let facts = json!({
        "ports": {
            "v4": port(&v4)?, "v6": port(&v6)?, "dual": port(&dual)?,
            "queue": port(&queue)?, "full": port(&full)?, "deferred": port(&deferred)?,
        },
        "shared_port": made.shared_port,
        "child_pid": child.pid(),
        "states": made.states,
    });
    let listeners = [v4, v6, dual, queue, full, deferred];
    Ok(Ready::new(facts, (listeners, made.streams, child)))
}

#[derive(Default)]
struct Made {
    streams: Vec<TcpStream>,
    /// How many sockets are in which state.
    states: Map<String, Value>,
    /// The client port of the connection whose server end two processes hold.
    shared_port: u16,
}

impl Made {
    fn count(&mut self, state: &str, more: u64) {
        let before = self.states.get(state).and_then(Value::as_u64).unwrap_or(0);
        self.states.insert(state.to_owned(), json!(before + more));
    }

    fn keep(&mut self, (client, server): (TcpStream, TcpStream)) {
        self.streams.extend([client, server]);
    }

    /// An idle connection, and one with unread bytes.
    fn established(&mut self, listener: &TcpListener, unread: &[u8]) -> Result<()> {
        let idle = wire::pair(listener)?;
        self.keep(idle);
        let mut busy = wire::pair(listener)?;
        busy.0.write_all(unread)?;
        self.keep(busy);
        self.count("ESTABLISHED", 4);
        Ok(())
    }

    /// Connections that the client has half closed: its end is in FIN_WAIT2, the server's in CLOSE_WAIT. One
    /// server end has read the end of file; the other has not, and has unread bytes too.
    fn close_wait(&mut self, listener: &TcpListener) -> Result<()> {
        let read = wire::pair(listener)?;
        read.0.shutdown(Shutdown::Write)?;
        wire::read_end(&read.1)?;
        self.keep(read);
        let mut unread = wire::pair(listener)?;
        unread.0.write_all(b"more")?;
        unread.0.shutdown(Shutdown::Write)?;
        self.keep(unread);
        self.count("CLOSE_WAIT", 2);
        self.count("FIN_WAIT2", 2);
        Ok(())
    }

    /// Closed by the client, then by the server.
    fn time_wait(&mut self, listener: &TcpListener) -> Result<()> {
        let (client, server) = wire::pair(listener)?;
        drop(client);
        wire::read_end(&server)?;
        drop(server);
        self.count("TIME_WAIT", 1);
        Ok(())
    }

    /// Ends with more to send than the peer reads: one open, one closed first (FIN_WAIT1), one closed second
    /// (LAST_ACK).
    fn stuck(&mut self, listener: &TcpListener) -> Result<()> {
        for state in ["ESTABLISHED", "FIN_WAIT1", "LAST_ACK"] {
            let (client, server) = wire::narrow_pair(listener)?;
            if state == "LAST_ACK" {
                client.shutdown(Shutdown::Write)?;
                wire::read_end(&server)?;
            }
            wire::fill(&server)?;
            if state != "ESTABLISHED" {
                server.shutdown(Shutdown::Write)?;
            }
            self.count(state, 1);
            // The FIN follows unread bytes, so the client has not seen it.
            let client_state = if state == "LAST_ACK" {
                "FIN_WAIT2"
            } else {
                "ESTABLISHED"
            };
            self.count(client_state, 1);
            self.keep((client, server));
        }
        Ok(())
    }

    /// Two unaccepted connections; the client of the second has closed.
    fn unaccepted(&mut self, listener: &TcpListener) -> Result<()> {
        let waiting = TcpStream::connect(listener.local_addr()?)?;
        let gone = TcpStream::connect(listener.local_addr()?)?;
        gone.shutdown(Shutdown::Write)?;
        self.streams.extend([waiting, gone]);
        self.count("ESTABLISHED", 2);
        self.count("CLOSE_WAIT", 1);
        self.count("FIN_WAIT2", 1);
        Ok(())
    }

    /// A connection for which the accept queue has no room.
    fn connecting(&mut self, listener: &TcpListener) -> Result<()> {
        let fits = TcpStream::connect(listener.local_addr()?)?;
        let waits = wire::begin_connecting(wire::port(listener)?)?;
        self.streams.extend([fits, waits]);
        self.count("ESTABLISHED", 2);
        self.count("SYN_SENT", 1);
        Ok(())
    }

    /// A connection that the listener keeps waiting for its first byte.
    fn half_open(&mut self, listener: &TcpListener) -> Result<()> {
        let client = TcpStream::connect(listener.local_addr()?)?;
        self.streams.push(client);
        self.count("ESTABLISHED", 1);
        self.count("SYN_RECV", 1);
        Ok(())
    }

    /// A connection whose server end a child holds too.
    fn shared(&mut self, listener: &TcpListener) -> Result<Child> {
        let (client, server) = wire::pair(listener)?;
        self.shared_port = client.local_addr()?.port();
        fcntl_setfd(&server, FdFlags::empty())?;
        let child = Child::start(&["idle", "name=sharer"])?;
        fcntl_setfd(&server, FdFlags::CLOEXEC)?;
        self.keep((client, server));
        self.count("ESTABLISHED", 2);
        Ok(child)
    }
}
