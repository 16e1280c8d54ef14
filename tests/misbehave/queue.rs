//! A server that never accepts.

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::settings::Settings;
use crate::{Ready, wire};

/// How long a client waits for its connection before it gives up.
const CONNECTING: Duration = Duration::from_millis(200);

/// Fills the accept queue with clients that send a request and hang up; `late` more find it full.
pub fn queue(settings: &mut Settings) -> Result<Ready> {
    let backlog: i32 = settings.take("backlog", 8)?;
    let late = settings.take("late", 3)?;
    let listener = wire::listen(backlog)?;
    let address = listener.local_addr()?;
    let mut queued = 0;
    let mut refused = 0;
    while refused < late {
        match TcpStream::connect_timeout(&address, CONNECTING) {
            Ok(mut client) => {
                client.write_all(wire::REQUEST)?;
                queued += 1;
            }
            Err(_) => refused += 1,
        }
    }
    let facts = json!({
        "port": wire::port(&listener)?,
        "backlog": backlog,
        "connections": queued,
        "late": refused,
    });
    Ok(Ready::new(facts, listener))
}
