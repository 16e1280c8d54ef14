//! The side of a socket without a listener and with meaningless ports.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use serde_json::Value;

use crate::accuse::array;
use crate::lab::{Lab, Run, sockets_of, until};

/// Makes every port one that a connecting socket may get.
fn widen_the_range(lab: &Lab) {
    if lab.is_private() {
        let range = "/proc/sys/net/ipv4/ip_local_port_range";
        std::fs::write(range, "1024 65535").unwrap();
    }
}

/// Both ends of a connection whose listener is closed.
fn pair(address: &str) -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind(address).unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

/// Writes until the other end has no more room.
fn stuff(mut stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let full = loop {
        if let Err(error) = stream.write(&[0; 65_536]) {
            break error;
        }
    };
    assert_eq!(full.kind(), ErrorKind::WouldBlock);
}

fn say(mut from: &TcpStream, mut to: &TcpStream) {
    from.write_all(b"hello").unwrap();
    to.read_exact(&mut [0; 5]).unwrap();
}

fn ends(stream: &TcpStream) -> [SocketAddr; 2] {
    [stream.local_addr().unwrap(), stream.peer_addr().unwrap()]
}

fn end(end: &Value) -> SocketAddr {
    let port = u16::try_from(end["port"].as_u64().unwrap()).unwrap();
    SocketAddr::new(end["addr"].as_str().unwrap().parse().unwrap(), port)
}

#[test]
fn who_opened_a_connection_is_known_in_every_state() {
    let lab = Lab::new();
    widen_the_range(&lab);
    type Deed = fn(&TcpStream, &TcpStream);
    let deeds: [(&str, Deed); 10] = [
        ("nothing", |_, _| ()),
        ("both spoke", |client, server| {
            say(client, server);
            say(server, client);
        }),
        ("the client stuffs", |client, _| stuff(client)),
        ("the server stuffs", |_, server| stuff(server)),
        ("the client is done", |client, _| {
            client.shutdown(Shutdown::Write).unwrap();
        }),
        ("the server is done", |_, server| {
            server.shutdown(Shutdown::Write).unwrap();
        }),
        ("answered half closed", |client, server| {
            say(client, server);
            client.shutdown(Shutdown::Write).unwrap();
            say(server, client);
        }),
        ("a FIN that cannot leave", |client, _| {
            stuff(client);
            client.shutdown(Shutdown::Write).unwrap();
        }),
        ("the server's cannot leave", |_, server| {
            stuff(server);
            server.shutdown(Shutdown::Write).unwrap();
        }),
        ("LAST_ACK that cannot leave", |client, mut server| {
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
            stuff(server);
            server.shutdown(Shutdown::Write).unwrap();
        }),
    ];
    let mut expected = BTreeMap::new();
    let mut kept = Vec::new();
    for address in ["127.0.0.1:0", "[::1]:0"] {
        for (name, deed) in &deeds {
            let (client, server) = pair(address);
            deed(&client, &server);
            expected.insert(ends(&client), ("client", *name));
            expected.insert(ends(&server), ("server", *name));
            kept.push((client, server));
        }
    }
    let list = lab.json(&["list", "--no-owners"]);
    let mut seen = 0;
    for socket in sockets_of(&list) {
        let ends = [end(&socket["local"]), end(&socket["remote"])];
        if let Some((side, name)) = expected.get(&ends) {
            assert_eq!(socket["side"], *side, "{name}: {socket:#}");
            seen += 1;
        }
    }
    assert_eq!(seen, expected.len());
}

#[test]
fn a_client_on_the_port_of_a_listener_is_a_client() {
    let lab = Lab::new();
    // A connection to itself: both ends belong to the socket that called connect().
    let any = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
    let socket = rustix::net::socket(
        rustix::net::AddressFamily::INET6,
        rustix::net::SocketType::STREAM,
        None,
    )
    .unwrap();
    let reused = rustix::net::sockopt::set_socket_reuseaddr;
    reused(&socket, true).unwrap();
    rustix::net::bind(&socket, &any).unwrap();
    let own: SocketAddr = rustix::net::getsockname(&socket)
        .unwrap()
        .try_into()
        .unwrap();
    rustix::net::connect(&socket, &own).unwrap();
    let list = lab.json(&["list", "--no-owners", "--port", &own.port().to_string()]);
    let sides: Vec<&str> = sockets_of(&list)
        .filter_map(|socket| socket["side"].as_str())
        .collect();
    assert_eq!(sides, ["client"]);
}

#[test]
fn a_leak_of_a_server_that_no_longer_listens_is_one_group_in_every_output() {
    let lab = Lab::new();
    widen_the_range(&lab);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut kept = Vec::new();
    for _ in 0..150 {
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let server = listener.accept().unwrap().0;
        say(&client, &server);
        kept.push(server);
        // The other end remains for a while without a process, in FIN_WAIT2.
        drop(client);
    }
    drop(listener);
    let about = format!("port = {port}");
    until("the FINs to be acknowledged", || {
        let document = lab.json(&["--no-owners", &about]);
        let states = &document["states"];
        let done = states["FIN_WAIT2"] == 150;
        done.then_some(()).ok_or_else(|| states.to_string())
    });
    for source in ["netlink", "procfs"] {
        let select = ["--source", source, "--no-evidence", &about];
        let document = lab.json(&select);
        for state in ["CLOSE_WAIT", "FIN_WAIT2"] {
            let groups: Vec<&Value> = array(&document, "groups")
                .filter(|group| group["state"] == state)
                .collect();
            let [group] = groups[..] else {
                panic!("{source}: {} groups of {state}", groups.len());
            };
            assert_eq!(group["sockets"], 150, "{group:#}");
            if state == "CLOSE_WAIT" {
                assert_eq!(group["side"], "server", "{source}");
                assert_eq!(group["local_port"], port);
            } else {
                assert_eq!(group["side"], "client", "{source}");
                assert_eq!(group["remote"]["port"], port);
            }
        }
        let by_port = lab.json(&["--by", "port", "--source", source, &about]);
        assert_eq!(array(&by_port["by"], "rows").count(), 1, "{by_port:#}");
        let check = ["check", "--by", "port", "-w", "100", "--no-owners"];
        let limited = ["-c", "9999", "--source", source, "--allow-partial"];
        let Run { code, stdout, .. } =
            lab.closewait(&[&check[..], &limited, &[&about[..]]].concat());
        assert!(source == "netlink" || code == 1, "{stdout}");
        let exposition = lab.closewait(&["--prometheus", "--source", source, &about]);
        let series = exposition.stdout.lines().filter(|line| {
            line.starts_with("closewait_sockets{state=\"FIN_WAIT2\"")
                || line.starts_with("closewait_sockets{state=\"CLOSE_WAIT\"")
        });
        assert_eq!(series.count(), 2, "{}", exposition.stdout);
    }
}
