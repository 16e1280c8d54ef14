//! Anything may be under `--proc`: a copy of a procfs in which each file is replaced by one that hangs, is
//! endless, or is truncated. Nothing may hang or panic, and what could not be read is reported.

use std::ffi::CString;
use std::fs::{self, File};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use left_out::{Lack, left_out};

#[allow(dead_code)]
mod left_out;

const HEADING: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
const STAT: &str = "10 (nginx) S 1 10 10 0 -1 0 0 0 0 0 5 6 0 0 20 0 1 0 500 1 1 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
const STATUS: &str = "Name:\tnginx\nState:\tS (sleeping)\nTgid:\t10\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nNSpid:\t10\nvoluntary_ctxt_switches:\t1\nnonvoluntary_ctxt_switches:\t1\n";
const LISTENER: &str = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 70 1 0000000000000000 100 0 0 10 0\n";
/// Connections in CLOSE_WAIT that make process 10 a suspect, so that all of its files are read.
const SOCKETS: u32 = 60;

/// The files, by path.
fn texts() -> Vec<(&'static str, String)> {
    let row = |n: u32| {
        let (port, inode) = (0x9000 + n, 100 + n);
        format!(
            "  {n}: 0100007F:1F90 0100007F:{port:04X} 08 00000000:00000001 00:00000000 00000000     0        0 {inode} 1 0000000000000000 100 0 0 10 0\n"
        )
    };
    let rows: String = (0..SOCKETS).map(row).collect();
    let syscall = "0 0x3 0x1 0x1 0x0 0x0 0x0 0x7ffd 0x7f24\n";
    let mut texts = vec![("net/tcp", format!("{HEADING}{LISTENER}{rows}"))];
    texts.extend(
        [
            ("net/tcp6", HEADING),
            ("net/protocols", "protocol\nTCP 1 2\n"),
            ("net/netstat", "TcpExt: ListenOverflows\nTcpExt: 1\n"),
            ("uptime", "1000.0 1.0\n"),
            ("sys/net/ipv4/ip_local_port_range", "32768 60999\n"),
            ("sys/kernel/random/boot_id", "x\n"),
            ("10/stat", STAT),
            ("10/status", STATUS),
            ("10/comm", "nginx\n"),
            ("10/limits", "Limit  Soft Limit  Hard Limit  Units\nMax open files   1024   4096   files\n"),
            ("10/cgroup", "0::/system.slice/nginx.service\n"),
            ("10/mountinfo", "24 1 0:22 / /proc rw - proc proc rw\n"),
            ("10/cmdline", "nginx: worker process\0"),
            ("10/maps", "55d0-55e0 r-xp 00000000 08:01 9 /usr/sbin/nginx\n"),
            ("10/exe", "\x7fELF\x02\n"),
            ("10/mem", "x"),
            ("10/fdinfo/4", "pos:\t0\nflags:\t02\ntfd:        8 events:     2019 data:                8  pos:0 ino:64 sdev:7\n"),
            ("10/task/10/stat", STAT),
            ("10/task/10/status", STATUS),
            ("10/task/10/schedstat", "1 2 3\n"),
            ("10/task/10/comm", "nginx\n"),
            ("10/task/10/syscall", syscall),
        ]
        .map(|(path, text)| (path, text.to_owned())),
    );
    texts
}

/// A directory that is read as a procfs.
fn tree(texts: &[(&str, String)]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in texts {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let fds = root.path().join("10/fd");
    fs::create_dir_all(&fds).unwrap();
    symlink("socket:[70]", fds.join("3")).unwrap();
    symlink("anon_inode:[eventpoll]", fds.join("4")).unwrap();
    for n in 0..SOCKETS {
        let (fd, inode) = (10 + n, 100 + n);
        symlink(format!("socket:[{inode}]"), fds.join(fd.to_string())).unwrap();
    }
    root
}

/// Runs the command with 2 GB of memory, for at most a minute.
fn run(arguments: &[&str]) -> Output {
    let limited = "ulimit -v 2000000; exec timeout -s KILL 60 \"$@\"";
    let output = Command::new("bash")
        .args(["-c", limited, "bash", env!("CARGO_BIN_EXE_closewait")])
        .args(arguments)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let code = output.status.code();
    assert!(
        matches!(code, Some(0..=3)),
        "{arguments:?}: {code:?} {said}"
    );
    for never in ["panic", "a fault in closewait", "not enough memory"] {
        assert!(!said.contains(never), "{arguments:?}: {said}");
    }
    assert!(said.lines().count() <= 1, "{arguments:?}: {said}");
    output
}

/// The output of triage for a tree; empty on an error, which must be one line.
fn triage(root: &Path) -> Option<serde_json::Value> {
    let root = root.to_str().unwrap();
    let output = run(&["--proc", root, "--source", "procfs", "--json"]);
    if output.status.code() == Some(1) {
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
        return None;
    }
    assert_eq!(output.status.code(), Some(0));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The kinds of gaps, and what could not be read of the suspect.
fn unseen(told: &serde_json::Value) -> (Vec<String>, usize) {
    let gaps = told["gaps"].as_array().unwrap();
    let kinds = gaps
        .iter()
        .map(|gap| gap["kind"].as_str().unwrap().to_owned());
    let evidence = told["findings"][0]["evidence"].as_array().unwrap();
    let is_unread =
        |line: &&serde_json::Value| line.as_str().unwrap().starts_with("unknown about ");
    (kinds.collect(), evidence.iter().filter(is_unread).count())
}

/// What replaces a file.
type Odd = (&'static str, fn(&Path));

const ODD: [Odd; 5] = [
    ("a named pipe", |path| {
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }),
    ("a device", |path| symlink("/dev/zero", path).unwrap()),
    ("a file of 10 GB", |path| {
        File::create(path).unwrap().set_len(10 << 30).unwrap();
    }),
    ("a directory", |path| fs::create_dir(path).unwrap()),
    ("a link to itself", |path| symlink(path, path).unwrap()),
];

/// Does the work for all items, some of them at a time.
fn for_each<T: Sync>(all: &[T], work: impl Fn(&T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(one) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    work(one);
                }
            });
        }
    });
}

#[test]
fn a_tree_of_files_is_read_as_a_procfs_is() {
    let told = triage(tree(&texts()).path()).unwrap();
    let evidence = told["findings"][0]["evidence"].to_string();
    for said in [
        "62 of 1,024 files open",
        "used 0 % of a CPU",
        "started 16m ago",
    ] {
        assert!(evidence.contains(said), "{evidence}");
    }
    assert_eq!(unseen(&told).1, 0, "{evidence}");
}

#[test]
fn nothing_in_place_of_a_file_is_waited_for_or_read_without_end() {
    let cases: Vec<(&str, Odd)> = texts()
        .iter()
        .flat_map(|(path, _)| ODD.map(|odd| (*path, odd)))
        .collect();
    for_each(&cases, |(path, (what, make))| {
        let root = tree(&texts());
        let place = root.path().join(path);
        fs::remove_file(&place).unwrap();
        make(&place);
        let told = triage(root.path());
        let unseen = told.as_ref().map(unseen);
        match (*path, unseen) {
            // Without this file there is no output.
            ("net/tcp", unseen) => assert_eq!(unseen, None, "{what}"),
            ("net/tcp6", Some((gaps, _))) => {
                assert!(
                    gaps.contains(&"family-unread".to_owned()),
                    "{what}: {gaps:?}"
                );
            }
            ("10/stat" | "10/limits" | "10/task/10/syscall", Some((_, unread))) => {
                assert_eq!(unread, 1, "{path} is {what}");
            }
            (_, unseen) => assert!(unseen.is_some(), "{path} is {what}"),
        }
    });
}

#[test]
fn all_files_may_be_odd_at_once() {
    for_each(&ODD, |(_, make)| {
        let root = tree(&texts());
        for (path, _) in &texts()[1..] {
            let place = root.path().join(path);
            fs::remove_file(&place).unwrap();
            make(&place);
        }
        assert!(triage(root.path()).is_some());
    });
}

#[test]
fn texts_that_are_cut_off_or_no_texts_end_no_run() {
    const PARTS: usize = 12;
    let parts: Vec<usize> = (0..PARTS).collect();
    for_each(&parts, |part| {
        let mut texts = texts();
        for (_, text) in &mut texts[1..] {
            text.truncate(text.len() * part / PARTS);
        }
        assert!(triage(tree(&texts).path()).is_some());
    });
    let odd = [
        "10 (x)",
        "10 (x) ",
        "(",
        ")(",
        "1 )(",
        "Max open files",
        "\u{fffd}\u{0}",
        "-",
        "18446744073709551616",
    ];
    for_each(&odd, |odd| {
        let mut texts = texts();
        for (_, text) in &mut texts[1..] {
            *text = (*odd).to_owned();
        }
        let told = triage(tree(&texts).path()).unwrap();
        assert!(unseen(&told).1 >= 2, "{odd:?}: {told}");
    });
}

#[test]
fn a_pipe_is_no_network_namespace_and_a_device_no_recording() {
    let root = tempfile::tempdir().unwrap();
    let at = |(name, make): &Odd| -> PathBuf {
        let path = root.path().join(name.replace(' ', "-"));
        make(&path);
        path
    };
    let paths: Vec<PathBuf> = ODD.iter().map(at).collect();
    let paths: Vec<&str> = paths.iter().map(|path| path.to_str().unwrap()).collect();
    for path in &paths {
        let output = run(&["-N", path]);
        assert_eq!(output.status.code(), Some(1), "{path}");
    }
    // A recording may come through a pipe, so naming one waits for it.
    for path in &paths[1..] {
        for arguments in [&["list", "--from", path][..], &["diff", path, path]] {
            let output = run(arguments);
            assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        }
    }
}

#[test]
fn a_program_whose_file_system_does_not_answer_is_told_without_it() {
    let root = tree(&texts());
    let exe = root.path().join("10/exe");
    let Some(_hanging) = hanging(&exe) else {
        return left_out(match rustix::process::geteuid().is_root() {
            true => Lack::Kernel("no permission events of fanotify"),
            false => Lack::Root,
        });
    };
    let told = triage(root.path()).unwrap();
    assert!(
        told.to_string().contains("62 of 1,024 files open"),
        "{told}"
    );
    let root = root.path().to_str().unwrap();
    // If nothing can be read without the file, a check ends at its deadline.
    let tcp = format!("{root}/net/tcp");
    let _hanging = hanging(Path::new(&tcp));
    let output = run(&["check", "-t", "1", "--proc", root, "--source", "procfs"]);
    assert_eq!(output.status.code(), Some(3));
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(line.contains("no verdict within 1 s"), "{line}");
}

/// Makes opening a file block until this is dropped: the kernel asks a listener that does not answer.
fn hanging(file: &Path) -> Option<OwnedFd> {
    let path = CString::new(file.as_os_str().as_bytes()).unwrap();
    let events = libc::O_RDONLY.cast_unsigned();
    // SAFETY: a plain call.
    let listener =
        unsafe { libc::fanotify_init(libc::FAN_CLASS_CONTENT | libc::FAN_CLOEXEC, events) };
    if listener < 0 {
        return None;
    }
    // SAFETY: the descriptor is new, and nobody else owns it.
    let listener = unsafe { OwnedFd::from_raw_fd(listener) };
    let (add, opens) = (libc::FAN_MARK_ADD, libc::FAN_OPEN_PERM);
    let number = listener.as_raw_fd();
    // SAFETY: the path ends with a NUL and outlives the call.
    let marked = unsafe { libc::fanotify_mark(number, add, opens, libc::AT_FDCWD, path.as_ptr()) };
    (marked == 0).then_some(listener)
}
