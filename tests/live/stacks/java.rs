//! A Java program: its threads by name, what they wait for, and what the virtual machine says of itself.
//! Nothing attaches to it, so it prints no thread dump and no call of it returns.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::accuse::array;
use crate::lab::{Lab, Lack, left_out, until};

/// Holds connections that their clients have closed. Readers wait for the service on the port that is
/// given, others for a lock. At the end of its input it prints how many waits have ended.
const PROGRAM: &str = r#"
import java.net.*;
import java.util.*;
import java.util.concurrent.atomic.AtomicInteger;

public class Shop {
    static final Object LOCK = new Object();
    static final AtomicInteger returned = new AtomicInteger();
    static final List<Socket> kept = new ArrayList<>();

    static void start(String name, Runnable work) {
        Thread thread = new Thread(work, name);
        thread.setDaemon(true);
        thread.start();
    }

    static void query(Socket service) {
        try {
            service.getInputStream().read();
        } catch (Exception error) {
        }
        returned.incrementAndGet();
    }

    static void reserve() {
        synchronized (LOCK) {
            returned.incrementAndGet();
        }
    }

    public static void main(String[] arguments) throws Exception {
        int port = Integer.parseInt(arguments[0]);
        ServerSocket listener = new ServerSocket(0, 64, InetAddress.getByName("127.0.0.1"));
        for (int i = 0; i < 5; i++) {
            Socket client = new Socket("127.0.0.1", listener.getLocalPort());
            kept.add(listener.accept());
            client.close();
        }
        synchronized (LOCK) {
            for (int i = 1; i <= 12; i++) {
                Socket service = new Socket("127.0.0.1", port);
                kept.add(service);
                start("http-nio-8080-exec-" + i, () -> query(service));
            }
            for (int i = 1; i <= 7; i++) {
                start("stock-" + i, Shop::reserve);
            }
            System.out.println(listener.getLocalPort());
            System.in.read();
            System.out.println(returned.get());
            System.out.flush();
            Runtime.getRuntime().halt(0);
        }
    }
}
"#;

/// The running program. It is killed if a test fails.
struct Shop {
    process: Child,
    port: u16,
}

impl Drop for Shop {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts the program, which asks this service. `None` without a JDK.
fn shop(service: &TcpListener) -> Option<(tempfile::TempDir, Shop)> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("Shop.java");
    fs::write(&file, PROGRAM).unwrap();
    let mut process = Command::new("java")
        // Little memory and few threads of its own.
        .args(["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"])
        .arg(&file)
        .arg(service.local_addr().unwrap().port().to_string())
        .arg("--password=secret")
        .env_remove("JAVA_TOOL_OPTIONS")
        .env_remove("JDK_JAVA_OPTIONS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut line = String::new();
    let out = process.stdout.as_mut().unwrap();
    // One byte at a time, so that nothing of the next line is taken.
    let mut byte = [0];
    while out.read(&mut byte).unwrap() == 1 && byte != *b"\n" {
        line.push(char::from(byte[0]));
    }
    let port = line.parse().expect("a port");
    Some((dir, Shop { process, port }))
}

/// The group of the threads with this name.
fn group<'a>(process: &'a Value, name: &str) -> Option<&'a Value> {
    let is_it = |named: &Value| named["name"] == name;
    array(process, "stacks").find(|group| array(group, "thread_names").any(is_it))
}

#[test]
fn the_threads_of_a_java_program_are_told_apart_by_name_and_it_notices_nothing() {
    let lab = Lab::new();
    let service = TcpListener::bind("127.0.0.1:0").unwrap();
    let Some((_dir, mut shop)) = shop(&service) else {
        return left_out(Lack::Program("java"));
    };
    let port = shop.port.to_string();
    let select = ["--grace", "0", "--sample", "0", "--port", &port];
    let document = until("stacks of all threads", || {
        let document = lab.json(&select);
        let process = &document["findings"][0]["processes"][0];
        let counts = |name| group(process, name).map(|group| group["count"].clone());
        match (counts("http-nio-8080-e"), counts("stock-")) {
            (Some(readers), Some(waiters)) if readers == 12 && waiters == 7 => Ok(document),
            _ => Err(format!("{document:#}")),
        }
    });
    let process = &document["findings"][0]["processes"][0];
    let version = process["version"].as_str().unwrap();
    assert!(version.ends_with(", Shop.java"), "{version}");
    assert!(version.contains(|c: char| c.is_ascii_digit()), "{version}");
    assert!(!format!("{document}").contains("secret"), "{document:#}");
    let readers = group(process, "http-nio-8080-e").unwrap();
    let remote = json!({ "addr": "127.0.0.1", "port": service.local_addr().unwrap().port() });
    let target = &readers["targets"][0];
    assert_eq!(target["count"], 12, "{readers:#}");
    assert_eq!(target["remote"]["port"], remote["port"], "{readers:#}");
    let waiters = group(process, "stock-").unwrap();
    assert_eq!(waiters["state"], "futex", "{waiters:#}");

    // It ends, has printed nothing, and no wait has ended.
    shop.process.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut said = String::new();
    let mut out = BufReader::new(shop.process.stdout.take().unwrap());
    out.read_line(&mut said).unwrap();
    let mut errors = String::new();
    shop.process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert!(shop.process.wait().unwrap().success());
    assert_eq!((said.trim(), errors.as_str()), ("0", ""));
}
