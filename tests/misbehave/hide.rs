//! A server whose connections are in no `/proc/PID/fd`.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow, bail};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

use crate::settings::Settings;
use crate::{Ready, wire};

/// Reads the end of file and never closes. The connections are held (`way=`)
/// - `table`: by a thread with its own descriptor table
/// - `leader`: by a thread that has outlived the main thread of its process
/// - `ring`: by an io_uring, with no descriptor
/// - `flight`: in a message in a UNIX socket that nobody has received
/// - `call`: by a thread that reads from a connection whose descriptor another thread has closed
pub fn hide(settings: &mut Settings) -> Result<Ready> {
    let connections = settings.take("connections", 1)?;
    let way = settings.take("way", String::from("table"))?;
    settings.all_taken()?;
    if way == "call" {
        return call();
    }
    let facts = move |listener: &TcpListener| -> Result<Value> {
        Ok(json!({ "port": wire::port(listener)?, "connections": connections }))
    };
    match way.as_str() {
        "table" | "leader" => {
            let own_table = way == "table";
            let (ready, made) = mpsc::channel();
            thread::spawn(move || {
                let all = in_thread(own_table, connections);
                let reported = all
                    .as_ref()
                    .map_err(|error| anyhow!("{error:#}"))
                    .and_then(|(listener, _)| facts(listener));
                // The receiver waits for it.
                let _ = ready.send(reported);
                loop {
                    thread::park();
                }
            });
            let mut facts = made.recv()??;
            if !own_table {
                facts["pid"] = json!(std::process::id());
                crate::say(&facts)?;
                thread::spawn(|| {
                    let _ = io::copy(&mut io::stdin(), &mut io::sink());
                    std::process::exit(0);
                });
                end_this_thread();
            }
            Ok(Ready::new(facts, ()))
        }
        "ring" => {
            let (listener, servers) = leak(connections)?;
            let ring = ring(&servers)?;
            Ok(Ready::new(facts(&listener)?, (listener, ring)))
        }
        "flight" => {
            let (listener, servers) = leak(connections)?;
            let (from, to) = UnixDatagram::pair()?;
            for server in &servers {
                let fds = [server.as_fd()];
                let mut space =
                    [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                control.push(SendAncillaryMessage::ScmRights(&fds));
                let data = [io::IoSlice::new(b"x")];
                sendmsg(&from, &data, &mut control, SendFlags::empty())?;
            }
            Ok(Ready::new(facts(&listener)?, (listener, from, to)))
        }
        _ => bail!("there is no such way"),
    }
}

/// A listener, and the server ends of connections that the clients have closed.
fn leak(connections: usize) -> Result<(TcpListener, Vec<TcpStream>)> {
    let listener = wire::listen(wire::ROOMY)?;
    let mut servers = Vec::new();
    for _ in 0..connections {
        let (client, server) = wire::pair(&listener)?;
        wire::ask(&client, &server)?;
        wire::answer(&server, &client)?;
        drop(client);
        wire::read_end(&server)?;
        servers.push(server);
    }
    Ok((listener, servers))
}

#[allow(unsafe_code)]
fn in_thread(own_table: bool, connections: usize) -> Result<(TcpListener, Vec<TcpStream>)> {
    if own_table {
        // SAFETY: this thread uses none of its earlier descriptors.
        unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::FILES) }?;
    }
    leak(connections)
}

/// Ends the main thread; the process lives as long as its other threads.
#[allow(unsafe_code)]
fn end_this_thread() {
    // SAFETY: no other thread uses what this thread owns.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
}

/// Establishes a connection and closes its descriptor while a thread reads from it.
fn call() -> Result<Ready> {
    let listener = wire::listen(wire::ROOMY)?;
    let (client, server) = wire::pair(&listener)?;
    let fd = server.as_raw_fd();
    let (ready, waiting) = mpsc::channel();
    thread::spawn(move || {
        let _ = ready.send(rustix::thread::gettid());
        let _ = wire::read_end(&server);
        loop {
            thread::park();
        }
    });
    let thread = waiting.recv()?.as_raw_nonzero();
    let syscall = format!("/proc/self/task/{thread}/syscall");
    let reads = |text: &str| text.split(' ').nth(1) == Some(&format!("{fd:#x}"));
    while !reads(&std::fs::read_to_string(&syscall)?) {
        thread::yield_now();
    }
    close(fd);
    let facts = json!({ "port": wire::port(&listener)?, "connections": 1 });
    Ok(Ready::new(facts, (listener, client)))
}

#[allow(unsafe_code)]
fn close(fd: i32) {
    // SAFETY: its owner is a thread that never returns from its call.
    drop(unsafe { OwnedFd::from_raw_fd(fd) });
}

/// An io_uring in which the sockets are registered.
#[allow(unsafe_code)]
fn ring(servers: &[TcpStream]) -> Result<OwnedFd> {
    const REGISTER_FILES: libc::c_uint = 2;
    let mut parameters = [0u8; 120];
    // SAFETY: a `struct io_uring_params` has 120 bytes.
    let ring = unsafe { libc::syscall(libc::SYS_io_uring_setup, 8, parameters.as_mut_ptr()) };
    if ring < 0 {
        return Err(io::Error::last_os_error()).context("io_uring_setup");
    }
    let ring = i32::try_from(ring)?;
    // SAFETY: the kernel has just created it, and nobody else owns it.
    let ring = unsafe { OwnedFd::from_raw_fd(ring) };
    let fds: Vec<i32> = servers.iter().map(AsRawFd::as_raw_fd).collect();
    // SAFETY: the kernel reads exactly the numbers of this slice.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring.as_raw_fd(),
            REGISTER_FILES,
            fds.as_ptr(),
            fds.len(),
        )
    };
    if answer < 0 {
        return Err(io::Error::last_os_error()).context("io_uring_register");
    }
    Ok(ring)
}
