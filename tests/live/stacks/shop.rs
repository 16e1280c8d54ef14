//! The same job in Rust: its threads ask a remote service and wait for the answer.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

#[inline(never)]
fn query_db(remote: &mut TcpStream) -> usize {
    let mut answer = [0; 512];
    let _ = remote.write(b"SELECT 1\n");
    let length = remote.read(&mut answer).unwrap_or(0);
    std::hint::black_box(length)
}

#[inline(never)]
fn load_user(remote: &mut TcpStream, user: usize) -> usize {
    let row = query_db(remote) + user;
    std::hint::black_box(row)
}

struct Checkout {
    port: u16,
}

impl Checkout {
    #[inline(never)]
    fn handle(&self, mut client: TcpStream) -> usize {
        let mut request = [0; 4096];
        let length = client.read(&mut request).unwrap_or(0);
        let mut remote = TcpStream::connect(("127.0.0.1", self.port)).expect("a service");
        let user = load_user(&mut remote, length);
        std::hint::black_box(user)
    }
}

fn main() {
    let port = std::env::args().next_back().expect("a port");
    let port = port.parse().expect("a number");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let own = listener.local_addr().expect("an address").port();
    println!("{{\"port\": {own}}}");
    std::thread::spawn(|| {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    for client in listener.incoming().flatten() {
        let handler = std::thread::Builder::new().name("worker-1".to_owned());
        let handle = move || Checkout { port }.handle(client);
        handler.spawn(handle).expect("a thread");
    }
}
