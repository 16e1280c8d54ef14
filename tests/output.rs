//! Files written by `--output` and `record`: atomic, with the permissions of the old file, not through
//! other users' links, and without leftovers.

#![cfg(target_endian = "little")]

mod left_out;

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use rustix::fs::{CWD, Mode, inotify, mkfifoat};

use left_out::{Lack, left_out};

const NOBODY: u32 = 65534;
const OTHER: u32 = 65533;

fn recording() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/recordings/leak.cw");
    path.to_str().unwrap().to_owned()
}

/// The helper program of the live tests.
fn misbehave() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    this.ancestors().nth(2).unwrap().join("examples/misbehave")
}

fn closewait() -> Command {
    Command::new(env!("CARGO_BIN_EXE_closewait"))
}

/// What writes to a path: a listing, and a recording.
fn writes(path: &Path) -> [Vec<OsString>; 2] {
    let from: OsString = recording().into();
    let path = OsString::from(path);
    [
        ["list", "--from"]
            .map(OsString::from)
            .into_iter()
            .chain([from.clone(), "--output".into(), path.clone()])
            .collect(),
        vec![
            "record".into(),
            "--force".into(),
            "--redact".into(),
            "--from".into(),
            from,
            path,
        ],
    ]
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A directory where everybody makes files and removes their own, which belongs to root.
fn sticky() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
    dir
}

fn refused(output: &Output, why: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(why), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
}

fn written(output: &Output) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// All that is in a directory.
fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_file_that_is_replaced_keeps_its_mode_and_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sockets");
    for mode in [0o640, 0o604, 0o660, 0o200] {
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        if is_root() {
            chown(&path, Some(NOBODY), Some(OTHER)).unwrap();
        }
        let before = fs::metadata(&path).unwrap();
        let [listing, recording] = writes(&path);
        for (args, mode) in [(listing, mode), (recording, 0o600)] {
            written(&closewait().args(args).output().unwrap());
            let after = fs::metadata(&path).unwrap();
            assert_eq!(after.mode() & 0o7777, mode, "{mode:o}");
            assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
            assert!(after.len() > 100);
        }
        fs::remove_file(&path).unwrap();
    }
    // What may not be written is not replaced: for everybody but root that is the mode's matter.
    if is_root() {
        fs::set_permissions(dir.path(), Permissions::from_mode(0o777)).unwrap();
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        let (home, mut nobody) = as_nobody();
        refused(
            &nobody.args(writes_of(&home, &path)).output().unwrap(),
            "ermission denied",
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
        // One that may be written stays its owner's, or stays.
        fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
        let (home, mut nobody) = as_nobody();
        refused(
            &nobody.args(writes_of(&home, &path)).output().unwrap(),
            "owner",
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
    }
}

/// The tool where another user may run it, and a recording beside it.
fn as_nobody() -> (tempfile::TempDir, Command) {
    let home = tempfile::tempdir().unwrap();
    fs::set_permissions(home.path(), Permissions::from_mode(0o755)).unwrap();
    let program = home.path().join("closewait");
    fs::copy(env!("CARGO_BIN_EXE_closewait"), &program).unwrap();
    let copy = home.path().join("x.cw");
    fs::copy(recording(), &copy).unwrap();
    fs::set_permissions(&copy, Permissions::from_mode(0o644)).unwrap();
    let mut command = Command::new(program);
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    (home, command)
}

fn writes_of(home: &tempfile::TempDir, path: &Path) -> [OsString; 5] {
    let from = home.path().join("x.cw").into_os_string();
    [
        "list".into(),
        "--from".into(),
        from,
        "--output".into(),
        path.into(),
    ]
}

#[test]
fn an_access_control_list_is_kept_and_none_is_taken_from_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sockets");
    let set = |args: &[&str], path: &Path| {
        Command::new("setfacl")
            .args(args)
            .arg(path)
            .output()
            .is_ok_and(|output| output.status.success())
    };
    fs::write(&path, "old").unwrap();
    if !set(&["-m", "u:65534:r,g::-"], &path) {
        left_out(Lack::Kernel(
            "no setfacl, or no access control lists in the temporary directory",
        ));
        return;
    }
    let of = |path: &Path| {
        let output = Command::new("getfacl")
            .args(["-cn", "--absolute-names"])
            .arg(path)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let before = of(&path);
    assert!(before.contains("user:65534:r--"), "{before}");
    let [listing, _] = writes(&path);
    written(&closewait().args(&listing).output().unwrap());
    assert_eq!(of(&path), before);
    let plain = dir.path().join("plain");
    fs::write(&plain, "old").unwrap();
    let before = of(&plain);
    assert!(set(&["-d", "-m", "u:65534:rw"], dir.path()));
    for args in writes(&plain) {
        written(&closewait().args(args).output().unwrap());
        let after = of(&plain);
        assert!(!after.contains("65534"), "{before}{after}");
    }
}

#[test]
fn other_names_of_a_file_keep_what_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (path, other) = (dir.path().join("sockets"), dir.path().join("other"));
    fs::write(&path, "old").unwrap();
    fs::hard_link(&path, &other).unwrap();
    for args in writes(&path) {
        written(&closewait().args(args).output().unwrap());
    }
    assert_eq!(fs::read(&other).unwrap(), b"old");
    assert_eq!(names(dir.path()), ["other", "sockets"]);
}

#[test]
fn a_link_stays_one_and_leads_to_what_is_written() {
    let dir = tempfile::tempdir().unwrap();
    for at in 0..2 {
        let target = dir.path().join(format!("target-{at}"));
        let (link, chain) = (
            dir.path().join(format!("link-{at}")),
            dir.path().join(format!("chain-{at}")),
        );
        // It need not be there.
        symlink(format!("target-{at}"), &link).unwrap();
        symlink(&link, &chain).unwrap();
        written(&closewait().args(&writes(&chain)[at]).output().unwrap());
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(fs::symlink_metadata(&target).unwrap().len() > 100);
        let loops = dir.path().join(format!("loop-{at}"));
        symlink(&loops, &loops).unwrap();
        refused(
            &closewait().args(&writes(&loops)[at]).output().unwrap(),
            "symbolic links",
        );
        let nowhere = dir.path().join(format!("nowhere-{at}"));
        symlink("/nonexistent/table", &nowhere).unwrap();
        refused(
            &closewait().args(&writes(&nowhere)[at]).output().unwrap(),
            "No such file",
        );
        assert!(fs::symlink_metadata(&nowhere).unwrap().is_symlink());
    }
}

#[test]
fn in_a_directory_of_everybody_no_link_and_no_file_of_another_is_used() {
    if !is_root() {
        left_out(Lack::Root);
        return;
    }
    let (home, shared) = (tempfile::tempdir().unwrap(), sticky());
    let secret = home.path().join("secret");
    fs::write(&secret, "old").unwrap();
    let of_other = |path: &Path| {
        std::os::unix::fs::lchown(path, Some(OTHER), Some(OTHER)).unwrap();
    };
    let at = |name: &str| shared.path().join(name);
    symlink(&secret, at("link")).unwrap();
    symlink(home.path().join("new"), at("dangling")).unwrap();
    symlink(home.path(), at("directory")).unwrap();
    mkfifoat(CWD, at("pipe"), Mode::from_raw_mode(0o666)).unwrap();
    fs::write(at("file"), "theirs").unwrap();
    for name in ["link", "dangling", "directory", "pipe", "file"] {
        of_other(&at(name));
    }
    // A link of one's own to one of another leads no further.
    symlink(at("link"), home.path().join("mine")).unwrap();
    let paths = [
        at("link"),
        at("dangling"),
        at("directory/secret"),
        at("directory/new"),
        at("pipe"),
        at("file"),
        home.path().join("mine"),
    ];
    for path in paths {
        for args in writes(&path) {
            refused(&closewait().args(args).output().unwrap(), "of another user");
        }
    }
    assert_eq!(fs::read(&secret).unwrap(), b"old");
    assert_eq!(fs::read(at("file")).unwrap(), b"theirs");
    assert_eq!(names(home.path()), ["mine", "secret"]);
    // One's own, and those of whom the directory is.
    symlink(home.path().join("new"), at("own")).unwrap();
    for args in writes(&at("own")) {
        written(&closewait().args(args).output().unwrap());
    }
    chown(shared.path(), Some(OTHER), None).unwrap();
    for args in writes(&at("link")) {
        written(&closewait().args(args).output().unwrap());
    }
    assert!(fs::metadata(&secret).unwrap().len() > 100);
}

/// The names that come up in a directory while `work` runs.
fn seen(dir: &Path, work: impl FnOnce()) -> Vec<String> {
    let watch = inotify::init(inotify::CreateFlags::NONBLOCK).unwrap();
    let events = inotify::WatchFlags::CREATE | inotify::WatchFlags::MOVED_TO;
    inotify::add_watch(&watch, dir, events).unwrap();
    work();
    let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
    let mut reader = inotify::Reader::new(watch, &mut buffer);
    let mut names = Vec::new();
    while let Ok(event) = reader.next() {
        names.extend(
            event
                .file_name()
                .map(|name| name.to_str().unwrap().to_owned()),
        );
    }
    names
}

#[test]
fn a_file_has_no_name_before_it_is_whole() {
    let dir = tempfile::tempdir().unwrap();
    for (at, name) in ["sockets", "x.cw"].into_iter().enumerate() {
        let path = dir.path().join(name);
        let args = &writes(&path)[at];
        let seen_of_new = seen(dir.path(), || {
            written(&closewait().args(args).output().unwrap())
        });
        assert_eq!(seen_of_new, [name]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777 & !0o644, 0);
    }
    // What cannot be read leaves no trace.
    let args = [
        "list",
        "--source",
        "procfs",
        "--proc",
        "/nonexistent",
        "--output",
        "sockets",
    ];
    let seen = seen(dir.path(), || {
        let output = closewait()
            .args(args)
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
    });
    assert_eq!(seen, Vec::<String>::new());
}

#[test]
fn an_answer_by_the_exit_code_alone_replaces_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sockets");
    fs::write(&path, "old").unwrap();
    let mut quiet = closewait();
    quiet.args(&writes(&path)[0]).arg("-q");
    written(&quiet.output().unwrap());
    assert_eq!(fs::read(&path).unwrap(), b"old");
}

#[test]
fn metrics_of_a_reading_that_failed_say_so_with_the_mode_that_they_had() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("closewait.prom");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let args = [
        "--prometheus",
        "--source",
        "procfs",
        "--proc",
        "/nonexistent",
        "--output",
    ];
    let output = closewait().args(args).arg(&path).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = fs::read_to_string(&path).unwrap();
    assert!(
        text.contains("closewait_up 0") || text.contains(" 0\n"),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"), "{text}");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
}

#[test]
fn where_every_file_has_a_name_it_is_replaced_as_well() {
    if !misbehave().exists() {
        left_out(Lack::Program("misbehave"));
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("sockets");
    fs::write(&path, "old").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
    let run = |args: &[OsString]| {
        let mut named = Command::new(misbehave());
        named
            .arg("named")
            .arg(env!("CARGO_BIN_EXE_closewait"))
            .args(args);
        named.output().unwrap()
    };
    written(&run(&writes(&path)[0]));
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    let new = dir.path().join("new.cw");
    let args = ["record", "--redact", "--from"].map(OsString::from);
    let args = [&args[..], &[recording().into(), new.clone().into()]].concat();
    written(&run(&args));
    assert_eq!(fs::metadata(&new).unwrap().mode() & 0o777, 0o600);
    refused(&run(&args), "exists");
    assert_eq!(names(dir.path()), ["new.cw", "sockets"]);
    // Into a directory that is gone nothing is written, and the reason is the directory's.
    let args = writes(&dir.path().join("gone/table"));
    refused(&run(&args[0]), "No such file");
}

#[test]
fn pipes_devices_and_open_files_are_written_into() {
    let dir = tempfile::tempdir().unwrap();
    let shell = |script: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", script, env!("CARGO_BIN_EXE_closewait"), &recording()]);
        let output = command.current_dir(dir.path()).output().unwrap();
        written(&output);
        String::from_utf8(output.stdout).unwrap()
    };
    let table = shell(r#""$0" list --from "$1""#);
    for path in ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"] {
        assert_eq!(
            shell(&format!(r#""$0" list --from "$1" --output {path}"#)),
            table,
            "{path}"
        );
    }
    symlink("/dev/stdout", dir.path().join("log")).unwrap();
    assert_eq!(shell(r#""$0" list --from "$1" --output log"#), table);
    assert_eq!(
        shell(r#""$0" list --from "$1" --output /dev/fd/3 3>&1"#),
        table
    );
    // Where it stands, among what others write.
    for (path, redirect) in [("/dev/stdout", ">"), ("/dev/fd/3", "3>")] {
        let script = format!(
            r#"{{ echo a >&{fd}; "$0" list --from "$1" --output {path}; echo b >&{fd}; }} {redirect} among; cat among"#,
            fd = if redirect == ">" { 1 } else { 3 },
        );
        assert_eq!(shell(&script), format!("a\n{table}b\n"), "{path}");
    }
    assert_eq!(
        shell(r#"mkfifo pipe; cat pipe & "$0" list --from "$1" --output pipe; wait"#),
        table
    );
    assert_eq!(shell(r#""$0" list --from "$1" --output /dev/null"#), "");
    let full = closewait()
        .args(&writes(Path::new("/dev/full"))[0])
        .output()
        .unwrap();
    refused(&full, "No space left");
    for path in [".", "log/", "among/"] {
        let args = &writes(&dir.path().join(path))[0];
        assert_eq!(
            closewait().args(args).output().unwrap().status.code(),
            Some(1),
            "{path}"
        );
    }
    assert_eq!(names(dir.path()), ["among", "log", "pipe"]);
}

#[test]
fn a_relative_path_is_written_where_the_process_stands_whatever_is_mounted_there() {
    let probe = Command::new("unshare").args(["-m", "true"]).output();
    if !is_root() || !probe.is_ok_and(|probe| probe.status.success()) {
        left_out(Lack::Namespace);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // As in the shell of `nsenter -m`: the name of the directory leads elsewhere.
    let script = r#"cd "$1" && mount -t tmpfs none "$1" && "$0" record --redact --from "$2" q.cw &&
                    "$0" list --from "$2" --output sockets && ls"#;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, env!("CARGO_BIN_EXE_closewait")]);
    let output = command.arg(dir.path()).arg(recording()).output().unwrap();
    written(&output);
    assert_eq!(names(dir.path()), ["q.cw", "sockets"]);
}

#[test]
fn a_file_for_a_file_is_not_for_a_terminal() {
    use closewait::command::{Command, Plan};
    use closewait::env::Terminal;
    let look = |args: &[&str]| {
        let command = Command::read(args).unwrap();
        match Plan::new(
            command,
            Terminal {
                width: Some(40),
                ..Terminal::default()
            },
        )
        .unwrap()
        {
            Plan::Inspect(inspection) => inspection.view.look.width,
            _ => panic!("{args:?}"),
        }
    };
    assert_eq!(look(&["closewait", "list"]), Some(40));
    assert_eq!(look(&["closewait", "list", "--output", "-"]), Some(40));
    assert_eq!(look(&["closewait", "list", "--output", "sockets"]), None);
}

/// The tool with more rights than whoever starts it: by `how`, in a directory of everybody's.
fn privileged(how: &str) -> Option<(tempfile::TempDir, PathBuf)> {
    let (home, _) = as_nobody();
    let program = home.path().join("closewait");
    match how {
        "setuid" => fs::set_permissions(&program, Permissions::from_mode(0o4755)).unwrap(),
        capabilities => {
            let set = Command::new("setcap")
                .arg(capabilities)
                .arg(&program)
                .output();
            if !set.is_ok_and(|set| set.status.success()) {
                left_out(Lack::Program(
                    "setcap (libcap2-bin), or the file system has none",
                ));
                return None;
            }
        }
    }
    Some((home, program))
}

#[test]
fn rights_beyond_the_callers_open_no_file_for_the_caller() {
    if !is_root() {
        left_out(Lack::Root);
        return;
    }
    let closed = tempfile::tempdir().unwrap();
    fs::set_permissions(closed.path(), Permissions::from_mode(0o700)).unwrap();
    fs::copy(recording(), closed.path().join("x.cw")).unwrap();
    fs::write(closed.path().join("secret"), "topsecret\n").unwrap();
    fs::write(closed.path().join("sockets"), "old").unwrap();
    let inside = |name: &str| closed.path().join(name).into_os_string();
    for how in [
        "setuid",
        "cap_dac_override,cap_dac_read_search,cap_sys_ptrace,cap_chown,cap_fowner+ep",
    ] {
        let Some((home, program)) = privileged(how) else {
            continue;
        };
        let open = tempfile::tempdir().unwrap();
        chown(open.path(), Some(NOBODY), None).unwrap();
        let run = |args: &[OsString]| {
            let mut command = Command::new(&program);
            command.args(args).uid(NOBODY).gid(NOBODY).current_dir("/");
            loop {
                match command.output() {
                    Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {}
                    output => break output.unwrap(),
                }
            }
        };
        let words =
            |words: &[&str]| -> Vec<OsString> { words.iter().map(OsString::from).collect() };
        let from = home.path().join("x.cw").into_os_string();
        let recorded = [words(&["list", "--from"]), vec![from.clone()]].concat();
        let cases = [
            [words(&["list", "--from"]), vec![inside("x.cw")]].concat(),
            [words(&["diff"]), vec![from.clone(), inside("x.cw")]].concat(),
            [recorded.clone(), vec!["--output".into(), inside("sockets")]].concat(),
            [recorded.clone(), vec!["--output".into(), inside("new")]].concat(),
            vec!["record".into(), inside("new.cw")],
            [words(&["record", "--force"]), vec![inside("x.cw")]].concat(),
        ];
        for args in cases {
            refused(&run(&args), "ermission denied");
        }
        // Its own files the caller has as ever.
        let mine = open.path().join("mine.cw");
        written(&run(&["record".into(), mine.clone().into()]));
        assert_eq!(fs::metadata(&mine).unwrap().uid(), NOBODY);
        let table = open.path().join("sockets").into_os_string();
        written(&run(&[recorded, vec!["--output".into(), table]].concat()));
        // A directory that the caller made is no way round.
        let fake = open.path().join("proc");
        fs::create_dir_all(fake.join("10/fd")).unwrap();
        fs::create_dir_all(fake.join("net")).unwrap();
        symlink(closed.path().join("secret"), fake.join("10/comm")).unwrap();
        symlink(closed.path().join("secret"), fake.join("10/stat")).unwrap();
        symlink("socket:[4242]", fake.join("10/fd/3")).unwrap();
        let line = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4242 1 0 100 0 0 10 0\n";
        fs::write(fake.join("net/tcp"), format!("  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n{line}")).unwrap();
        let args = [
            "list",
            "-a",
            "--source",
            "procfs",
            "--proc",
            fake.to_str().unwrap(),
        ];
        let output = run(&words(&args));
        let said = format!("{output:?}");
        assert!(!said.contains("topsecret"), "{how}: {said}");
        assert!(said.contains("8080"), "{how}: {said}");
    }
    assert_eq!(fs::read(closed.path().join("sockets")).unwrap(), b"old");
    assert_eq!(names(closed.path()), ["secret", "sockets", "x.cw"]);
    let mut text = String::new();
    File::open(closed.path().join("secret"))
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    assert_eq!(text, "topsecret\n");
}
