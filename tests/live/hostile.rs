//! Hostile names on a real system: of programs, their files and arguments, of users, network namespaces and
//! hosts. No output format prints them unescaped.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

#[path = "../hostile/attacks.rs"]
mod attacks;

use attacks::{NAMES, fault};

use crate::lab::{Lab, Lack, closewait, left_out};

const FORMS: [&str; 16] = [
    "-v --limit 0 --color always",
    "-v --limit 0",
    "--json",
    "--prometheus",
    "--by program,pid,user,netns",
    "--by program,user --csv",
    "--by program,netns --jsonl",
    "list -aeip",
    "list -aeiprW --color always",
    "list -a --columns +program,user,pid,cgroup,netns --csv",
    "list -ae --json",
    "list -aer --jsonl",
    "check -v --by owner -w 0",
    "explain",
    "record REC --force -v",
    "diff REC REC -a",
];

/// A file name without slashes.
fn of_file(name: &str) -> String {
    name.replace('/', "_")
}

/// Connections whose peers have closed, each the stdin of a program with a hostile name.
fn programs(dir: &Path) -> Vec<Child> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = listener.local_addr().unwrap();
    let start = |(at, name): (usize, &&str)| {
        let path = dir.join(of_file(name));
        // A copy, since a link would not have this name.
        fs::copy("/bin/sleep", &path).unwrap();
        let client = TcpStream::connect(to).unwrap();
        let (accepted, _) = listener.accept().unwrap();
        drop(client);
        let child = crate::lab::once_possible(|| {
            Command::new(&path)
                .arg0(name)
                .arg("60")
                .stdin(Stdio::from(OwnedFd::from(accepted.try_clone()?)))
                .spawn()
        });
        if at % 2 == 0 {
            fs::remove_file(&path).unwrap();
        }
        child
    };
    NAMES.iter().enumerate().map(start).collect()
}

/// Runs every output format where users, namespaces and hosts have hostile names too. Writes a file of output
/// and one of errors for each into the directory.
fn run_all(dir: &Path) {
    let (netns, passwd, hosts) = (dir.join("netns"), dir.join("passwd"), dir.join("hosts"));
    fs::create_dir(&netns).unwrap();
    for name in NAMES {
        fs::write(netns.join(of_file(name)), "").unwrap();
    }
    let one_line = NAMES.concat().replace(['\n', ':'], "");
    fs::write(&passwd, format!("{one_line}:x:0:0::/:/bin/sh\n")).unwrap();
    fs::write(&hosts, format!("127.0.0.1 {one_line}\n")).unwrap();
    let mut script = String::from(
        r#"mkdir -p /run/netns && mount --bind "$1/netns" /run/netns &&
           mount --bind "$1/passwd" /etc/passwd && mount --bind "$1/hosts" /etc/hosts || exit 9
           for file in /run/netns/* ; do unshare -n mount --bind /proc/self/ns/net "$file"; done
           REC=$1/rec
           tool() { number=$1; shift; "$CLOSEWAIT" "$@" >"$DIR/out.$number" 2>"$DIR/err.$number"; }
           DIR=$1
        "#,
    );
    for (number, form) in FORMS.iter().enumerate() {
        let form = form.replace("REC", "\"$REC\"");
        let all = if form.starts_with("list -aeip") || form.starts_with("diff") {
            ""
        } else {
            "-A"
        };
        script.push_str(&format!("tool {number} {form} {all}\n"));
    }
    script.push_str("exit 0\n");
    let status = Command::new("unshare")
        .args(["-m", "bash", "-c", &script, "bash"])
        .arg(dir)
        .env("CLOSEWAIT", closewait())
        .status()
        .unwrap();
    assert!(status.success(), "{status}");
}

#[test]
fn no_name_of_a_live_system_reaches_a_terminal() {
    let lab = Lab::new();
    if !lab.is_private() {
        return left_out(Lack::Namespace);
    }
    lab.enter();
    let dir = tempfile::tempdir().unwrap();
    let bin = dir.path().join("bin");
    fs::create_dir(&bin).unwrap();
    let mut children = programs(&bin);
    run_all(dir.path());
    for child in &mut children {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let text = |kind: &str, number: usize| {
        let bytes = fs::read(dir.path().join(format!("{kind}.{number}"))).unwrap();
        String::from_utf8(bytes).unwrap_or_else(|error| panic!("{}: {error}", FORMS[number]))
    };
    for (number, form) in FORMS.iter().enumerate() {
        let (out, err) = (text("out", number), text("err", number));
        assert_eq!(fault(&err, false), None, "{form}: {err}");
        let is_file = form.starts_with("record");
        assert!(is_file || !out.is_empty(), "{form}: {err}");
        match *form {
            // Metrics contain exact names, but each stays on its line.
            "--prometheus" => assert!(!out.contains("\nFORGED"), "{out}"),
            _ => {
                let plain = out.replace("\r\n", "\n");
                assert_eq!(
                    fault(&plain, form.contains("always")),
                    None,
                    "{form}: {out}"
                );
            }
        }
    }
    let json: Value = serde_json::from_str(&text("out", 10)).unwrap();
    let namespaces = json["namespaces"].as_array().unwrap();
    let labels = namespaces.iter().filter_map(|one| one["netns"].as_str());
    let labels: Vec<&str> = labels.collect();
    for name in NAMES {
        assert!(
            labels.contains(&of_file(name).as_str()),
            "{name:?} in {labels:?}"
        );
    }
    let sockets = json["sockets"].as_array().unwrap();
    let owners = sockets
        .iter()
        .filter_map(|socket| socket["owners"][0]["name"].as_str());
    let owners: Vec<&str> = owners.collect();
    for name in NAMES {
        // The kernel keeps 15 bytes, even if a character is cut.
        let file = of_file(name);
        let kept = &file.as_bytes()[..file.len().min(15)];
        if let Ok(kept) = std::str::from_utf8(kept) {
            assert!(owners.contains(&kept), "{name:?} in {owners:?}");
        }
    }
}

#[test]
fn no_name_that_is_typed_reaches_a_terminal() {
    let lab = Lab::new();
    for names in NAMES.chunks(8) {
        let name = names.concat();
        let path = format!("/nonexistent/{name}");
        for args in [
            &["-N", &name][..],
            &["dev", &name],
            &["--proc", &path],
            &["--output", &path],
            &["--from", &path],
            &["record", &path],
            &["diff", &path, &path],
            &["check", "-N", &name],
            &["--program", &name],
            &["program", "=", &name],
            &[&format!("--{name}")],
            &["list", "--columns", &name],
        ] {
            let found = lab.closewait(args);
            assert_eq!(fault(&found.stdout, false), None, "{args:?}");
            assert_eq!(fault(&found.stderr, false), None, "{args:?}");
        }
    }
}
