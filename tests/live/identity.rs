//! Programs that are all called python3: which is which.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::lab::{Age, Lab, Lack, left_out};

/// Accepts connections whose peers close, reads the end-of-file, and does not close them.
const LEAK: &str = r#"
import socket, sys, time
listener = socket.create_server(("127.0.0.1", 0))
port = listener.getsockname()[1]
kept = []
for _ in range(5):
    client = socket.create_connection(("127.0.0.1", port))
    server, _ = listener.accept()
    client.sendall(b"x")
    client.close()
    while server.recv(9):
        pass
    kept.append(server)
print(port, flush=True)
time.sleep(600)
"#;

/// A leaking script, which is killed in the end.
pub struct Script {
    pub process: Child,
    pub port: u16,
}

impl Script {
    pub fn start(dir: &Path, args: &[&str]) -> Script {
        let mut process = Command::new("python3")
            .args(args)
            .arg("--password=secret")
            .current_dir(dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let stdout = process.stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let port = line.trim().parse().expect("a port");
        Script { process, port }
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn findings_name_the_script_and_no_other_argument() {
    let found = Command::new("python3").arg("-c").arg("").status();
    if !found.is_ok_and(|status| status.success()) {
        return left_out(Lack::Program("python3"));
    }
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path();
    for name in ["shop.py", "orders.py"] {
        fs::write(place.join(name), LEAK).unwrap();
    }
    let shop = place.join("shop.py");
    let shop = shop.to_str().unwrap();
    let scripts = [
        (Script::start(place, &["-u", shop]), shop.to_owned()),
        (
            Script::start(place, &["-um", "orders"]),
            "-m orders".to_owned(),
        ),
    ];
    for (script, runs) in &scripts {
        lab.lingering(script.port, 5, Age::Least);
        let port = script.port.to_string();
        let found = &lab.json(&["--port", &port])["findings"][0];
        let command = found["owners"][0]["command"].as_str();
        let command = command.unwrap_or_default();
        assert!(
            command.starts_with("python3") && command.ends_with(runs),
            "{found}"
        );
        let pid = script.process.id();
        let text = lab.closewait(&["--port", &port]).stdout;
        assert!(text.contains(&format!("python3[{pid}] ({runs}")), "{text}");
        assert!(
            !text.contains("secret") && !found.to_string().contains("secret"),
            "{text}"
        );
    }
    // A recording has it too, and masks it on demand.
    let file = |name: &str| place.join(name).to_str().unwrap().to_owned();
    let (recording, masked) = (file("a.cw"), file("b.cw"));
    let done = lab.closewait(&["record", &recording]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let done = lab.closewait(&["record", "--redact", "--from", &recording, &masked]);
    assert_eq!(done.code, 0, "{}", done.stderr);
    let port = scripts[0].0.port.to_string();
    let text = |from: &str| lab.closewait(&["--from", from, "--port", &port]).stdout;
    assert!(text(&recording).contains("shop.py"), "{}", text(&recording));
    let masked = text(&masked);
    assert!(
        masked.contains("(script-") && !masked.contains("shop.py"),
        "{masked}"
    );
}
