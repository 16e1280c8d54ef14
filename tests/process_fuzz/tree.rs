//! A directory like a procfs: two programs with stuck connections, and every file that is read of them. Each
//! input changes some of the files, which are then restored.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::edits;

const HEADING: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n";
/// The inodes of the sockets of process 10; those of process 20 follow.
const SOCKETS: u32 = 6;

pub struct Tree {
    root: tempfile::TempDir,
    texts: Vec<(PathBuf, Vec<u8>)>,
}

impl Tree {
    pub fn new() -> Tree {
        // In memory, if there is a tmpfs.
        let place = Path::new("/dev/shm");
        let root = tempfile::tempdir_in(place).or_else(|_| tempfile::tempdir());
        let root = root.unwrap();
        let path = |path: String| root.path().join(path);
        let texts: Vec<(PathBuf, Vec<u8>)> = texts()
            .into_iter()
            .map(|(name, text)| (path(name), text.into_bytes()))
            .collect();
        for (path, text) in &texts {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        for (pid, first) in [(10, 100), (20, 100 + SOCKETS)] {
            let fds = path(format!("{pid}/fd"));
            fs::create_dir_all(&fds).unwrap();
            symlink("socket:[70]", fds.join("3")).unwrap();
            symlink("anon_inode:[eventpoll]", fds.join("4")).unwrap();
            for n in 0..SOCKETS {
                let inode = first + n;
                symlink(format!("socket:[{inode}]"), fds.join((10 + n).to_string())).unwrap();
            }
        }
        Tree { root, texts }
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Changes files while `work` runs. The first byte of each edit chooses the file.
    pub fn changed(&self, edits: &[u8], work: impl FnOnce()) {
        let mut changed: Vec<usize> = Vec::new();
        for edit in edits.chunks_exact(edits::EDIT) {
            let at = usize::from(edit[1]) % self.texts.len();
            if !changed.contains(&at) && changed.len() < 8 {
                changed.push(at);
            }
        }
        for at in &changed {
            let (path, text) = &self.texts[*at];
            let own = |edit: &&[u8]| usize::from(edit[1]) % self.texts.len() == *at;
            let own: Vec<u8> = edits
                .chunks_exact(edits::EDIT)
                .filter(own)
                .flatten()
                .copied()
                .collect();
            fs::write(path, edits::text(text, &own)).unwrap();
        }
        work();
        for at in changed {
            let (path, text) = &self.texts[at];
            fs::write(path, text).unwrap();
        }
    }
}

fn stat(pid: u32, name: &str, state: char, parent: u32) -> String {
    format!(
        "{pid} ({name}) {state} {parent} {pid} {pid} 0 -1 0 0 0 0 0 5 6 0 0 20 0 1 0 500 1 1 18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n"
    )
}

fn status(pid: u32, group: u32, name: &str, state: &str) -> String {
    format!(
        "Name:\t{name}\nState:\t{state}\nTgid:\t{group}\nPPid:\t9\nTracerPid:\t20\nUid:\t0\t33\t0\t0\nGid:\t0\t33\t0\t0\nNSpid:\t{pid}\t1\nCapEff:\t0000000000000000\nvoluntary_ctxt_switches:\t1\nnonvoluntary_ctxt_switches:\t1\n"
    )
}

/// The files, by path.
fn texts() -> Vec<(String, String)> {
    let row = |n: u32| {
        let (port, inode) = (0x9000 + n, 100 + n);
        format!(
            "  {n}: 0100007F:1F90 0100007F:{port:04X} 08 00000000:00000001 00:00000000 00000000     0        0 {inode} 1 0000000000000000 100 0 0 10 0\n"
        )
    };
    let listener = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000003 00:00000000 00000000     0        0 70 1 0000000000000000 100 0 0 10 0\n";
    let rows: String = (0..2 * SOCKETS).map(row).collect();
    let group = "1/root/sys/fs/cgroup/system.slice/nginx.service";
    let mountinfo = "24 1 0:22 / /proc rw - proc proc rw\n30 1 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n31 1 0:27 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n32 1 0:4 net:[4026531840] /run/netns/blue rw - nsfs nsfs rw\n";
    let mut texts: Vec<(String, String)> = [
        ("net/tcp", format!("{HEADING}{listener}{rows}")),
        ("net/tcp6", HEADING.to_owned()),
        ("net/udp", HEADING.to_owned()),
        ("net/protocols", "protocol\nTCP 1 2\n".to_owned()),
        ("net/netstat", "TcpExt: ListenOverflows ListenDrops\nTcpExt: 1 2\n".to_owned()),
        ("uptime", "1000.0 1.0\n".to_owned()),
        ("locks", "1: FLOCK  ADVISORY  WRITE 20 fd:00:7 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 10 fd:00:7 0 EOF\n".to_owned()),
        ("sys/net/ipv4/ip_local_port_range", "32768 60999\n".to_owned()),
        ("sys/kernel/random/boot_id", "d0d0caca-1234-4321-8888-0123456789ab\n".to_owned()),
        ("sys/kernel/osrelease", "6.1.0\n".to_owned()),
        ("sys/kernel/hostname", "web\n".to_owned()),
        ("1/stat", stat(1, "init", 'S', 0)),
        ("1/status", status(1, 1, "init", "S (sleeping)")),
        ("1/mountinfo", mountinfo.to_owned()),
        ("1/root/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nwww:x:33:33::/:/bin/false\n".to_owned()),
        ("9/stat", stat(9, "nginx", 'S', 1)),
        ("9/status", status(9, 9, "nginx", "S (sleeping)")),
        ("9/cmdline", "nginx: master process\0".to_owned()),
        ("9/task/9/children", "10 20 ".to_owned()),
        ("10/task/11/wchan", "rpc_wait_bit_killable".to_owned()),
        ("10/task/11/stack", "[<0>] percpu_rwsem_wait+0x116/0x140\n[<0>] mnt_want_write+0x8a/0xa0\n".to_owned()),
        ("10/mem", "\u{2}\0\0\0\0\0\0\0\u{b}\0\0\0\0\0\0\0".repeat(9)),
    ]
    .map(|(path, text)| (path.to_owned(), text))
    .into();
    for (file, text) in [
        ("cpu.max", "1000 100000\n"),
        (
            "cpu.stat",
            "usage_usec 9\nnr_periods 115\nnr_throttled 111\nthrottled_usec 6767\n",
        ),
        ("cgroup.freeze", "1\n"),
        ("cgroup.events", "populated 1\nfrozen 1\n"),
    ] {
        texts.push((format!("{group}/{file}"), text.to_owned()));
    }
    for (pid, name, title) in [
        (10, "nginx", "nginx: worker process\0"),
        (
            20,
            "postgres",
            "postgres: app db 10.0.0.1(5) idle in transaction",
        ),
    ] {
        for (file, text) in [
            ("stat", stat(pid, name, 'S', 9)),
            ("status", status(pid, pid, name, "S (sleeping)")),
            ("comm", format!("{name}\n")),
            ("limits", "Limit  Soft Limit  Hard Limit  Units\nMax open files   1024   4096   files\n".to_owned()),
            ("cgroup", "1:freezer:/system.slice\n0::/system.slice/nginx.service\n".to_owned()),
            ("mountinfo", mountinfo.to_owned()),
            ("cmdline", title.to_owned()),
            ("maps", "00000000-00010000 rw-s 00000000 08:01 9 /dev/shm/lock\n55d0-55e0 r-xp 00000000 08:01 9 /usr/lib/libpython3.so\n".to_owned()),
            ("exe", "\x7fELF\x02\n".to_owned()),
            ("fdinfo/4", "pos:\t0\nflags:\t02\ntfd:       10 events:     2019 data:                8  pos:0 ino:64 sdev:7\n".to_owned()),
        ] {
            texts.push((format!("{pid}/{file}"), text));
        }
        let tasks = [
            (
                pid,
                'S',
                "S (sleeping)",
                "0 0xa 0x1 0x1 0x0 0x0 0x0 0x7ffd 0x7f24\n",
            ),
            (
                pid + 1,
                'D',
                "D (disk sleep)",
                "73 0x5 0x2 0x1 0x0 0x0 0x0 0x7ffd 0x7f24\n",
            ),
            (
                pid + 2,
                't',
                "t (tracing stop)",
                "202 0x10 0x0 0x2 0x0 0x0 0x0 0x7ffd 0x7f24\n",
            ),
            (
                pid + 3,
                'S',
                "S (sleeping)",
                "202 0x10 0x80 0x2 0x0 0x0 0x0 0x7ffd 0x7f24\n",
            ),
            (pid + 4, 'R', "R (running)", "running\n"),
            (
                pid + 5,
                'S',
                "S (sleeping)",
                "7 0x0 0x2 0xffffffff 0x0 0x0 0x0 0x7ffd 0x7f24\n",
            ),
            (
                pid + 6,
                'S',
                "S (sleeping)",
                "232 0x4 0x10 0x20 0x0 0x0 0x0 0x7ffd 0x7f24\n",
            ),
        ];
        for (thread, state, words, syscall) in tasks {
            for (file, text) in [
                ("stat", stat(thread, name, state, 9)),
                ("status", status(thread, pid, name, words)),
                ("schedstat", "1 2 3\n".to_owned()),
                ("comm", format!("{name}-{thread}\n")),
                ("syscall", syscall.to_owned()),
            ] {
                texts.push((format!("{pid}/task/{thread}/{file}"), text));
            }
        }
    }
    texts
}
