//! From a recorded table to every view, as snapshots: classify and render without a live system.
//!
//! The sockets are those of fixtures/README.md; their owners are made up here, by port.

#![cfg(target_endian = "little")]

#[path = "pipeline/growth.rs"]
mod growth;
mod openmetrics;
mod recorded;

use std::collections::BTreeMap;
use std::time::Duration;

use closewait::classifier::finding::{self, Findings};
use closewait::classifier::{self, Report, queue};
use closewait::collector::placement::cgroup;
use closewait::command::inspection::Inspection;
use closewait::command::{self, Plan};
use closewait::env::Terminal;
use closewait::model::{
    Cgroups, Charset, Cpu, Details, Endpoint, Epoll, Evidence, FdLimit, Gap, GapKind, Halt, Holder,
    Holders, Host, Manager, Name, Namespace, Pid, PortRange, Process, Runtime, Scan,
    ServiceManager, Settings, Snapshot, Socket, Source, State, Threads, Tick, Timer, TimerKind,
    Users, Wait, WaitKind, WaitTarget,
};
use closewait::renderer;
use unicode_width::UnicodeWidthStr;

/// The processes of the story: number, name, and the local ports whose sockets they hold.
const PROCESSES: [(u32, &[u8], &[u16]); 11] = [
    (10, b"nginx", &[8081]),
    (11, b"nginx", &[]),
    (12, b"nginx", &[]),
    (300, b"node", &[8082]),
    (301, b"sh", &[]),
    (400, b"envoy", &[8443, 8087]),
    (500, b"postgres", &[5432]),
    (666, b"\x1b[31mred\n\xff", &[8086]),
    (700, b"ruby", &[8088, 8089, 8092]),
    (1234, b"java", &[8080, 8090, 8091, 8093]),
    (3225, b"python3", &[8084]),
];
/// Holds the clients' ends.
const CLIENT: Pid = Pid(9000);
const JAVA: Pid = Pid(1234);
/// No visible process holds the sockets of this port.
const HIDDEN: u16 = 8085;
/// 2026-01-02 03:04:05.678 UTC.
const TAKEN_AT_NS: i128 = 1_767_323_045_678_000_000;
/// The rows of a terminal.
const ROWS: usize = 24;
const ELAPSED: Duration = Duration::from_millis(12);

fn host() -> Host {
    Host {
        name: "web-1".into(),
        users: Users::new(vec![(0, "root".into()), (1000, "app".into())]),
        tick: Tick::from(4),
        ..Host::default()
    }
}

fn namespace(label: &str, source: Source) -> Namespace {
    Namespace {
        label: Some(label.into()),
        asked: None,
        inode: Some(4026531840),
        source,
        hides_subflows: false,
        settings: Settings {
            ephemeral: Some(PortRange {
                first: 32768,
                last: 60999,
            }),
            fin_timeout_s: Some(60),
            somaxconn: Some(4096),
            listen_overflows: Some(3),
            listen_drops: Some(3),
            ..Settings::default()
        },
    }
}

fn snapshot(source: Source, sockets: Vec<Socket>) -> Snapshot {
    Snapshot {
        host: host(),
        namespaces: vec![namespace("net:[4026531840]", source)],
        taken_at_ns: TAKEN_AT_NS,
        reading_ms: Some(1),
        subflows: Vec::new(),
        details: Details::default(),
        recorded: false,
        holders: Some(holders(&sockets)),
        sockets,
        scan: Scan {
            processes_seen: 148,
            processes_read: 148,
            fds_read: 2_345,
            privileged: true,
            root: true,
            blind_spots: Vec::new(),
        },
        cgroups: None,
        scanned: Vec::new(),
        others: None,
        gaps: Vec::new(),
        steps: Vec::new(),
    }
}

/// What a privileged run sees through sock_diag.
fn whole() -> Snapshot {
    snapshot(Source::Netlink, recorded::dumped("both.dump"))
}

/// The same sockets, read from /proc/net/tcp.
fn from_text() -> Snapshot {
    let mut snapshot = snapshot(Source::Procfs, recorded::printed());
    snapshot.gaps.push(Gap {
        kind: GapKind::ProcSource,
        count: 1,
        detail: "/proc/net/tcp was read as asked: it has no ages and no accept queue limits".into(),
        hint: "run without --source procfs".into(),
    });
    snapshot
}

/// What user 1000 sees: its own processes.
fn unprivileged() -> Snapshot {
    let mut snapshot = whole();
    let own: Vec<Socket> = snapshot
        .sockets
        .iter()
        .filter(|socket| pids(socket).contains(&JAVA))
        .cloned()
        .collect();
    snapshot.holders = Some(holders(&own));
    snapshot.scan.processes_read = 9;
    snapshot.scan.privileged = false;
    snapshot.scan.root = false;
    snapshot
}

/// Who holds a socket.
fn pids(socket: &Socket) -> Vec<Pid> {
    let port = socket.local.port;
    if port == HIDDEN {
        return Vec::new();
    }
    let mut pids: Vec<Pid> = PROCESSES
        .iter()
        .filter(|(_, _, ports)| ports.contains(&port))
        .map(|(pid, ..)| Pid(*pid))
        .collect();
    if pids.is_empty() {
        // The pool's connections are java's, as the story has it.
        pids.push(match (socket.state, socket.remote.port) {
            (State::CloseWait, 5432) => JAVA,
            _ => CLIENT,
        });
    }
    if socket.state == State::Listen && port == 8081 {
        pids.extend([Pid(11), Pid(12)]);
    }
    pids
}

fn holders(sockets: &[Socket]) -> Holders {
    holders_named(sockets, |pid, name| (pid, Name::new(name)))
}

/// The same with other numbers and names.
fn holders_named(sockets: &[Socket], named: impl Fn(Pid, &[u8]) -> (Pid, Name)) -> Holders {
    let mut next: BTreeMap<Pid, u32> = BTreeMap::new();
    let mut holders = Vec::new();
    let mut inherited = false;
    for socket in sockets.iter().filter(|socket| socket.inode != 0) {
        let mut pids = pids(socket);
        // A shell started by node got one of its sockets.
        if socket.state == State::CloseWait && socket.local.port == 8082 && !inherited {
            inherited = true;
            pids.push(Pid(301));
        }
        for pid in pids {
            let fd = next.entry(pid).or_insert(3);
            holders.push(Holder {
                inode: socket.inode,
                pid: named(pid, b"").0,
                fd: *fd,
            });
            *fd += 1;
        }
    }
    let all = PROCESSES.iter().map(|(pid, name, _)| (Pid(*pid), *name));
    let processes = all
        .chain([(CLIENT, b"curl".as_slice())])
        .map(|(pid, name)| named(pid, name))
        .map(|(pid, name)| Process {
            pid,
            name: Some(name),
            age_ms: Some(3_600_000),
            ancestors: Vec::new(),
        });
    Holders::new(holders, processes.collect())
}

/// The evidence about java: its workers wait for the database, and it is short of files.
fn evidence() -> Vec<Evidence> {
    let wait = |call: &str, kind, target, threads| Wait {
        call: call.into(),
        kind,
        target,
        threads,
        thread_names: Vec::new(),
    };
    let database = Endpoint::new([10, 0, 0, 5], 3306);
    vec![Evidence {
        pid: JAVA,
        age_ms: Some(3_600_000),
        runtime: Runtime::Java,
        open_fds: Some(29),
        fd_limit: Some(FdLimit::Files(32)),
        dead_sockets: Some(4),
        threads: Some(Threads {
            total: 40,
            running: 0,
            sleeping: 40,
            ..Threads::default()
        }),
        cpu: Some(Cpu {
            sample_ms: 200,
            percent: 5.0,
            busiest: Some((Pid(1240), 5.0)),
            ran_percent: Some(5.0),
            restless: 0,
        }),
        halt: Halt::default(),
        waits: Some(vec![
            wait(
                "recvfrom",
                WaitKind::Descriptor,
                Some(WaitTarget::Remote(database)),
                31,
            ),
            wait("futex", WaitKind::Lock, None, 9),
        ]),
        title: None,
        siblings: Vec::new(),
        thread_names: Vec::new(),
        locks: Vec::new(),
        epoll: Some(Epoll {
            watched: 0,
            edge: 0,
            muted: 5,
            absent: 1,
        }),
        unread: Vec::new(),
        ..Evidence::default()
    }]
}

/// The plan of a command line, on a terminal of that width or in a pipe.
fn planned(charset: Charset, width: Option<usize>, command: &str) -> Box<Inspection> {
    let words = std::iter::once("closewait").chain(command.split_ascii_whitespace());
    let said = command::Command::read(words).unwrap();
    let terminal = Terminal {
        width,
        height: width.map(|_| ROWS),
        charset,
        ..Terminal::default()
    };
    match Plan::new(said, terminal).unwrap() {
        Plan::Inspect(plan) => plan,
        Plan::Explain(explained) => explained.figures.unwrap(),
        _ => panic!("{command} reads nothing"),
    }
}

/// What a command line prints of a snapshot, on a terminal of that width or in a pipe.
fn rendered(snapshot: &Snapshot, width: Option<usize>, command: &str) -> String {
    rendered_in(Charset::Utf8, snapshot, width, command)
}

/// The same in the charset of a locale.
fn rendered_in(
    charset: Charset,
    snapshot: &Snapshot,
    width: Option<usize>,
    command: &str,
) -> String {
    rendered_with(&evidence(), charset, snapshot, width, command)
}

/// The same with this evidence.
fn rendered_with(
    evidence: &[Evidence],
    charset: Charset,
    snapshot: &Snapshot,
    width: Option<usize>,
    command: &str,
) -> String {
    let plan = planned(charset, width, command);
    let report = classifier::classify(snapshot, &plan.rules);
    let findings = findings(&report, &plan, evidence);
    let mut out = Vec::new();
    renderer::render(&report, &findings, None, &plan.view, ELAPSED, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn findings(report: &Report<'_>, plan: &Inspection, evidence: &[Evidence]) -> Findings {
    let thresholds = &plan.rules.thresholds;
    let sets = finding::sets(report);
    let queues = queue::queues(report);
    finding::findings(report, sets, queues, evidence, thresholds)
}

fn check(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.set_snapshot_path("snapshots/pipeline");
    // Escape sequences as a character that an editor shows, and line ends as they are.
    let shown = text.replace('\x1b', "␛").replace('\r', "␍");
    settings.bind(|| insta::assert_snapshot!(name, shown));
}

#[test]
fn triage_on_terminals_and_in_a_pipe() {
    let snapshot = whole();
    check("triage-80", &rendered(&snapshot, Some(80), "--color never"));
    check(
        "triage-160",
        &rendered(&snapshot, Some(160), "--color never"),
    );
    check("triage-pipe", &rendered(&snapshot, None, "--color never"));
    check(
        "triage-80-colour",
        &rendered(&snapshot, Some(80), "--color always"),
    );
    check(
        "triage-all",
        &rendered(&snapshot, Some(100), "--color never --limit 0"),
    );
}

/// The connections once more, in another namespace that has no listener; its name is hostile.
fn in_two_namespaces() -> Snapshot {
    let mut snapshot = whole();
    let others: Vec<Socket> = snapshot
        .sockets
        .iter()
        .filter(|socket| socket.state == State::CloseWait)
        .map(|socket| Socket {
            netns: 1,
            ..socket.clone()
        })
        .collect();
    snapshot.sockets.extend(others);
    let mut other = namespace("blue \x1b[31mred", Source::Netlink);
    other.asked = Some("blue".into());
    other.inode = Some(4_026_532_290);
    snapshot.namespaces.push(other);
    snapshot
}

#[test]
fn nothing_of_one_namespace_is_taken_for_anothers() {
    let snapshot = in_two_namespaces();
    check(
        "triage-namespaces",
        &rendered(&snapshot, Some(160), "-A --color never"),
    );
    check(
        "list-namespaces",
        &rendered(
            &snapshot,
            None,
            "list -A state close-wait sport = :8084 or sport = :8080",
        ),
    );
    let text = rendered(&snapshot, None, "-A --json");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let finding = |netns: &str| {
        let findings = document["findings"].as_array().unwrap();
        let mut of_queue = findings
            .iter()
            .filter(|finding| finding["cause"] == "not-accepted");
        of_queue.find(|finding| finding["netns"] == netns).unwrap()
    };
    let served = finding("net:[4026531840]");
    assert_eq!(served["owners"][0]["name"], "python3");
    // The listener of the first namespace does not serve the second.
    let lost = finding("blue \x1b[31mred");
    assert_eq!(lost["owners"].as_array().unwrap().len(), 0);
    // Nor are the other ends of its connections there.
    assert!(served["evidence"].to_string().contains("accept queue"));
    assert!(!lost["evidence"].to_string().contains("accept queue"));
    // What a shell would take for more than a name is not put into a command.
    assert!(lost["next_steps"].to_string().contains(" -N blue"));
    let mut hostile = snapshot.clone();
    hostile.namespaces[1].asked = Some("$(reboot) \x1b[31m".into());
    let text = rendered(&hostile, None, "-A --json --limit 0");
    assert!(text.contains(" netns = 4026532290") && !text.contains("reboot"));
}

#[test]
fn counts_by_dimensions_have_every_socket_in_one_row() {
    let snapshot = whole();
    let by = |command: &str| rendered(&snapshot, Some(80), &format!("{command} --color never"));
    check("by-state-port", &by("--by state,port,side"));
    let narrow = "--by program,pid,user,peer,port,state,cause,netns --limit 9 --color never";
    check("by-80", &rendered(&snapshot, Some(80), narrow));
    check("by-program", &by("--by program,user --limit 0"));
    check(
        "by-peer-pipe",
        &rendered(&snapshot, None, "--by peer,cause --color never"),
    );
    check(
        "by-csv",
        &rendered(&snapshot, None, "--by program,state --csv"),
    );
    check(
        "by-sorted",
        &by("--by cause,program state close-wait --sort=-program"),
    );
    let hidden = rendered(&unprivileged(), Some(80), "--by program --color never");
    check("by-program-unprivileged", &hidden);
    for dimensions in [
        "state",
        "side,port",
        "peer",
        "program",
        "user,netns",
        "cause,state,program",
    ] {
        let text = rendered(&snapshot, None, &format!("--by {dimensions} --json"));
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let rows = document["by"]["rows"].as_array().unwrap();
        let sum =
            |field: &str| -> f64 { rows.iter().map(|row| row[field].as_f64().unwrap()).sum() };
        assert_eq!(
            sum("sockets"),
            snapshot.sockets.len() as f64,
            "{dimensions}"
        );
        assert!((sum("share") - 1.0).abs() < 1e-9, "{dimensions}");
        assert_eq!(
            Some(sum("close_wait")),
            document["states"]["CLOSE_WAIT"].as_f64()
        );
        assert_eq!(document["by"]["left_out"], 0);
    }
}

/// With the control groups of some of the processes.
fn placed() -> Snapshot {
    let mut snapshot = whole();
    let mut cgroups = Cgroups::default();
    for (pid, path) in [
        (10, "/system.slice/nginx.service"),
        (1234, "/system.slice/docker-4f9a2c6e8b1d.scope"),
        (3225, "/user.slice/a\x1b[31m b.service"),
        (9000, "/"),
    ] {
        cgroups
            .of_process
            .insert(Pid(pid), cgroup::of_path(path.as_bytes()));
    }
    snapshot.cgroups = Some(cgroups);
    snapshot
}

#[test]
fn units_and_containers_are_told_where_they_are_asked_for() {
    let snapshot = placed();
    let shown = |command: &str| rendered(&snapshot, None, &format!("{command} --color never"));
    check("by-unit", &shown("--by unit,container --limit 0"));
    check(
        "list-cgroup",
        &shown("list -e state close-wait dport != :5432"),
    );
    check("by-unit-csv", &shown("--by unit --csv"));
    let pids = |words: &str| -> Vec<u64> {
        let text = rendered(&snapshot, None, &format!("list -a --json {words}"));
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        let sockets = document["sockets"].as_array().unwrap().iter();
        let mut pids: Vec<u64> = sockets
            .flat_map(|socket| socket["owners"].as_array().unwrap())
            .map(|owner| owner["pid"].as_u64().unwrap())
            .collect();
        pids.sort_unstable();
        pids.dedup();
        pids
    };
    assert_eq!(pids("container = 4f9a"), [1234]);
    assert_eq!(pids("container = 9a2c"), Vec::<u64>::new());
    assert_eq!(pids("unit ~ ^docker-"), [1234]);
    assert_eq!(pids("unit = nginx.service state close-wait"), [10]);
    assert_eq!(pids("unit = nginx state close-wait"), [10]);
    // Those of whom it is not known are neither.
    let others = pids("unit != nginx and container !~ .");
    assert!(others.contains(&9000) && others.contains(&3225));
    assert!(!others.contains(&1234) && !others.contains(&300));
    let text = rendered(&snapshot, None, "unit = nginx --json");
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    let gaps = document["gaps"].as_array().unwrap();
    assert!(
        gaps.iter().any(|gap| gap["kind"] == "undecided"),
        "{gaps:?}"
    );
}

#[test]
fn triage_of_a_partial_view_says_what_is_missing() {
    let wide = |snapshot: &Snapshot, command: &str| {
        let command = format!("{command} --color never");
        rendered(snapshot, Some(80), &command)
    };
    check("triage-procfs", &wide(&from_text(), ""));
    check("triage-unprivileged", &wide(&unprivileged(), ""));
    let unread = Snapshot {
        holders: None,
        scan: Scan::default(),
        ..whole()
    };
    check("triage-no-owners", &wide(&unread, "--no-owners"));
}

#[test]
fn triage_without_a_close_wait_says_so() {
    let healthy = whole()
        .sockets
        .into_iter()
        .filter(|socket| socket.state != State::CloseWait)
        .collect();
    let healthy = snapshot(Source::Netlink, healthy);
    check(
        "triage-healthy",
        &rendered(&healthy, Some(80), "--color never"),
    );
    let empty = snapshot(Source::Netlink, Vec::new());
    check("triage-empty", &rendered(&empty, Some(80), "--color never"));
    let other = rendered(&whole(), Some(80), "--color never --port 8092");
    check("triage-selected", &other);
}

#[test]
fn a_name_that_no_socket_has_is_no_all_clear() {
    // A hidden owner may be any program.
    let hidden = rendered(&whole(), None, "--json --program ngnix");
    let document: serde_json::Value = serde_json::from_str(&hidden).unwrap();
    assert!(document.get("without_sockets").is_none(), "{hidden}");
    let mut sockets = whole().sockets;
    sockets.retain(|socket| socket.local.port != HIDDEN);
    let seen = snapshot(Source::Netlink, sockets);
    let command = "--color never --program ngnix --port 9";
    check("triage-unknown", &rendered(&seen, Some(80), command));
    let json = rendered(&seen, None, "--json --program ngnix --port 8081");
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    let said = ["program ngnix has no TCP socket; did you mean nginx?"];
    assert_eq!(document["without_sockets"], serde_json::json!(said));
    let known = rendered(&seen, None, "--json --program nginx --port 8081");
    let document: serde_json::Value = serde_json::from_str(&known).unwrap();
    assert!(document.get("without_sockets").is_none(), "{known}");
}

#[test]
fn a_list_on_a_terminal_and_in_a_pipe() {
    let snapshot = whole();
    check(
        "list-pipe",
        &rendered(&snapshot, None, "list --color never"),
    );
    check(
        "list-80",
        &rendered(&snapshot, Some(80), "list -a --color never"),
    );
    check(
        "list-80-close-wait",
        &rendered(&snapshot, Some(80), "list state close-wait --color never"),
    );
    check(
        "list-160",
        &rendered(&snapshot, Some(160), "list -a --color never"),
    );
    check(
        "list-60-close-wait",
        &rendered(&snapshot, Some(60), "list state close-wait --color never"),
    );
    check(
        "list-160-colour",
        &rendered(&snapshot, Some(160), "list -l --color always"),
    );
    check(
        "list-timers-extended",
        &rendered(&snapshot, None, "list -aoe --color never"),
    );
    check(
        "list-sorted",
        &rendered(
            &snapshot,
            None,
            "list --state close-wait --sort=-recvq --limit 8 --color never",
        ),
    );
    check(
        "list-procfs",
        &rendered(&from_text(), None, "list --state close-wait --color never"),
    );
}

#[test]
fn the_state_diagram_carries_the_counts() {
    let snapshot = whole();
    check(
        "diagram-80",
        &rendered(&snapshot, Some(80), "explain --color never"),
    );
    check(
        "diagram-colour",
        &rendered(&snapshot, Some(80), "explain --color always"),
    );
}

#[test]
fn a_topic_has_its_figures_in_its_language() {
    let mut snapshot = whole();
    let settings = &mut snapshot.namespaces[0].settings;
    settings.time_wait_limit = Some(65_536);
    let mut shown = String::new();
    for topic in [
        "CLOSE_WAIT",
        "TIME_WAIT",
        "FIN_WAIT2",
        "SYN_RECV",
        "LISTEN",
        "BOUND_INACTIVE",
        "never-closed",
        "inherited",
        "peer-not-closed",
        "dead-descriptors",
    ] {
        for language in ["en", "zh"] {
            let command = format!("explain {topic} --lang {language}");
            let figures = rendered_in(Charset::Ascii, &snapshot, Some(80), &command);
            shown.push_str(&format!("$ closewait {command}\n{figures}\n"));
        }
    }
    check("figures", &shown);
}

/// The same sockets, held by processes with long names and numbers.
fn with_long_names() -> Snapshot {
    let mut snapshot = whole();
    snapshot.holders = Some(holders_named(&snapshot.sockets, |pid, name| {
        let name = match name {
            b"python3" => "gunicorn: worke",
            b"node" => "name-of-15-char",
            b"nginx" => "python3",
            b"\x1b[31mred\n\xff" => "工作进程",
            name => std::str::from_utf8(name).unwrap(),
        };
        (Pid(pid.0 + 4_180_000), name.into())
    }));
    snapshot
}

#[test]
fn owners_stay_recognizable_on_a_narrow_terminal() {
    let snapshot = with_long_names();
    for width in [60, 80, 100, 160] {
        for command in ["--limit 0", "list state close-wait"] {
            let text = rendered(&snapshot, Some(width), &format!("{command} --color never"));
            let rows = text.lines().filter(|line| line.starts_with("! "));
            let rows: Vec<&str> = rows.filter(|line| !line.contains("██")).collect();
            for (name, pid) in [
                ("gunicorn", 4_183_225),
                ("name-of", 4_180_300),
                ("python3", 4_180_010),
                ("java", 4_181_234),
                ("工作进程", 4_180_666),
            ] {
                let most = if width < 80 { 2 } else { 8 };
                let name: String = name.chars().take(most).collect();
                let whole = rows.iter().find(|row| {
                    let owner = row.find(&name).map(|at| &row[at..]);
                    owner.is_some_and(|owner| owner.contains(&format!("[{pid}]")))
                });
                assert!(whole.is_some(), "{width} {command}: {name}: {text}");
            }
        }
    }
    for width in [80, 160] {
        let shown = |command: &str| rendered(&snapshot, Some(width), command);
        check(
            &format!("names-list-{width}"),
            &shown("list state close-wait --color never"),
        );
        let triage = shown("--color never --state close-wait --limit 20");
        let groups = triage.lines().skip_while(|line| !line.contains("Owner"));
        let groups: Vec<&str> = groups.take_while(|line| !line.is_empty()).collect();
        check(&format!("names-groups-{width}"), &groups.join("\n"));
    }
}

#[test]
fn in_a_locale_without_utf_8_every_view_is_ascii_and_aligned() {
    let mut snapshot = whole();
    let mut other = namespace("café", Source::Netlink);
    other.inode = Some(4_026_532_290);
    snapshot.namespaces.push(other);
    for socket in snapshot.sockets.iter_mut().skip(60) {
        socket.netns = 1;
    }
    let ascii = |width, command: &str| rendered_in(Charset::Ascii, &snapshot, width, command);
    for width in [Some(60), Some(80), Some(160), None] {
        for command in ["", "list -a", "list -aoe", "--by netns,program", "explain"] {
            let text = ascii(width, &format!("{command} --color never"));
            assert!(text.is_ascii(), "{command}: {text}");
            let most = width.filter(|width| *width >= 80 && !command.contains("-aoe"));
            let too_wide = |line: &&str| most.is_some_and(|most| line.len() > most);
            assert_eq!(text.lines().find(too_wide), None, "{command} {width:?}");
        }
        for command in ["list -a --json", "list -a --jsonl", "list -a --csv"] {
            let text = ascii(width, command);
            assert_eq!(text, rendered(&snapshot, width, command));
            assert!(text.contains("café"), "{command}");
        }
    }
    check("ascii-triage-80", &ascii(Some(80), "--color never"));
    check("ascii-list-80", &ascii(Some(80), "list --color never"));
    check("ascii-list-pipe", &ascii(None, "list state close-wait"));
    check("ascii-diagram", &ascii(Some(80), "explain --color never"));
}

#[test]
fn csv_has_a_record_for_each_socket() {
    let text = rendered(&whole(), None, "list -a --csv");
    check("list-csv", &text);
    let mut records = csv::Reader::from_reader(text.as_bytes());
    assert_eq!(records.records().map(Result::unwrap).count(), 85);
}

#[test]
fn metrics_hold_whatever_a_program_calls_itself() {
    let text = rendered(&whole(), None, "--prometheus");
    assert_eq!(openmetrics::faults(&text), Vec::<String>::new());
    assert!(text.contains("red\\n"), "the hostile name is there");
    check("prometheus", &text);
    let few = rendered(&whole(), None, "--prometheus --label-limit 3");
    assert_eq!(openmetrics::faults(&few), Vec::<String>::new());
    let sum = |text: &str, state: &str| -> f64 {
        let of_state = format!("closewait_sockets{{state=\"{state}\"");
        let lines = text.lines().filter(|line| line.starts_with(&of_state));
        let counts = lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>());
        counts.map(Result::unwrap).sum()
    };
    for state in State::ALL {
        assert_eq!(sum(&text, state.name()), sum(&few, state.name()), "{state}");
    }
}

#[test]
fn json_of_triage_and_of_each_socket() {
    let document: serde_json::Value =
        serde_json::from_str(&rendered(&whole(), None, "--json")).unwrap();
    // The schema holds the form (tests/schema.rs); this holds the words, and one of each object.
    let words = |finding: &serde_json::Value| {
        let keys = [
            "severity",
            "cause",
            "summary",
            "meaning",
            "evidence",
            "next_steps",
        ];
        keys.map(|key| finding[key].clone())
    };
    let findings = document["findings"].as_array().unwrap();
    let shown = serde_json::json!({
        "words": findings.iter().take(3).map(words).collect::<Vec<_>>(),
        "finding": findings[0],
        "group": document["groups"][0],
        "listener": document["listeners"][0],
    });
    check(
        "triage-json",
        &serde_json::to_string_pretty(&shown).unwrap(),
    );
    let lines = rendered(&whole(), None, "list -a --jsonl");
    let first: Vec<&str> = lines.lines().take(12).collect();
    check("list-jsonl", &first.join("\n"));

    let list = rendered(&whole(), None, "list -a --json");
    let mut list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let sockets = list.as_object_mut().unwrap().remove("sockets").unwrap();
    let lines: Vec<serde_json::Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(sockets, serde_json::Value::Array(lines));
    assert_eq!(list["groups"], document["groups"]);
    assert_eq!(list["findings"], document["findings"]);
    assert_eq!(list["states"], document["states"]);
}

#[test]
fn no_line_is_wider_than_the_terminal() {
    let views = [
        "",
        "--limit 0",
        "--port 8080",
        "--state close-wait",
        "--sort=-recvq",
    ];
    for snapshot in [whole(), from_text(), unprivileged()] {
        for width in [60, 80, 100, 160] {
            for view in views {
                let command = format!("{view} --color never");
                let text = rendered(&snapshot, Some(width), &command);
                for line in text.lines() {
                    assert!(line.width() <= width, "{command}, {width}: {line:?}");
                }
            }
        }
    }
}

#[test]
fn the_worst_finding_fits_the_rows_above_the_prompt_whatever_else_there_is() {
    let snapshots = [whole(), from_text(), unprivileged(), in_two_namespaces()];
    for snapshot in snapshots {
        let document = rendered(&snapshot, None, "-A --json");
        let document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let worst = &document["findings"][0];
        let steps = worst["next_steps"].as_array().unwrap().len();
        let facts = worst["evidence"].as_array().unwrap().len();
        for (width, rows) in [
            (80, 24),
            (80, 30),
            (80, 100),
            (120, 24),
            (160, 24),
            (160, 60),
        ] {
            let mut plan = planned(Charset::Utf8, Some(width), "-A --color never");
            plan.view.findings.rows = Some(rows);
            let report = classifier::classify(&snapshot, &plan.rules);
            let findings = findings(&report, &plan, &evidence());
            let mut out = Vec::new();
            renderer::render(&report, &findings, None, &plan.view, ELAPSED, &mut out).unwrap();
            let text = String::from_utf8(out).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            let seen = &lines[lines.len().saturating_sub(rows - 1)..];
            let start = |start: &str| seen.iter().filter(|line| line.starts_with(start)).count();
            let severity = worst["severity"].as_str().unwrap().to_uppercase();
            let (cause, summary) = (&worst["cause"], worst["summary"].as_str().unwrap());
            let headline = format!("{severity} {}: {}", cause.as_str().unwrap(), &summary[..12]);
            let is_headline = |line: &&str| line.contains(&headline);
            assert!(seen.iter().any(is_headline), "{width}x{rows}: {text}");
            assert_eq!(start("    → "), steps, "{width}x{rows}: {text}");
            assert!(start("    · ") >= 3, "{width}x{rows}: {text}");
            if rows == 100 {
                assert_eq!(start("    · "), facts, "{text}");
            }
            // Some of the others are visible, too.
            assert!(start("  INFO ") >= 3, "{width}x{rows}: {text}");
        }
    }
}

#[test]
fn a_narrow_terminal_costs_a_listing_no_port_state_age_or_cause() {
    let pipe = rendered(&whole(), None, "list -a");
    for width in [80, 100, 120, 160] {
        let narrow = rendered(&whole(), Some(width), "list -a --color never");
        for line in narrow.lines() {
            assert!(line.width() <= width, "{width}: {line}");
        }
        for (narrow, pipe) in narrow.lines().zip(pipe.lines()).skip(1) {
            let words: Vec<&str> = pipe.split_whitespace().collect();
            let shown: Vec<&str> = narrow[2..].split_whitespace().collect();
            let state = shown.iter().position(|word| *word == words[5]).unwrap();
            let port = |end: &str| end.rsplit_once(':').unwrap().1.to_owned();
            assert_eq!(port(shown[state - 2]), port(words[3]), "{narrow}");
            assert_eq!(port(shown[state - 1]), port(words[4]), "{narrow}");
            assert_eq!(shown[state..state + 3], words[5..8], "{narrow}");
        }
    }
    let whole_lines = rendered(&whole(), Some(80), "list -aW --color never");
    for (whole, pipe) in whole_lines.lines().zip(pipe.lines()) {
        assert_eq!(&whole[2..], pipe);
    }
}

#[test]
fn a_narrow_terminal_shows_the_columns_that_were_named() {
    let named = "list --columns proto,sendq,local,state,owner --color never";
    let (narrow, pipe) = (
        rendered(&whole(), Some(60), named),
        rendered(&whole(), None, named),
    );
    for (narrow, pipe) in narrow.lines().zip(pipe.lines()) {
        assert_eq!(&narrow[2..], pipe);
    }
    let added = rendered(&whole(), Some(80), "list --columns +sendq --color never");
    assert!(added.contains(" Send-Q "), "{added}");
}

#[test]
fn no_line_ends_with_a_blank_and_nothing_hostile_reaches_it() {
    for width in [Some(80), None] {
        for view in ["", "--limit 0", "list -a", "list -aoe"] {
            let text = rendered(&whole(), width, &format!("{view} --color never"));
            for line in text.lines() {
                assert_eq!(line, line.trim_end(), "{view}");
            }
            let hostile = |c: char| c.is_control() && c != '\n';
            assert!(!text.contains(hostile), "{view}");
        }
    }
}

#[test]
fn in_a_pipe_the_sixth_word_is_the_state_and_the_number_of_words_before_the_owner_is_stable() {
    let text = rendered(&whole(), None, "list -a -H --color never");
    assert_eq!(text.lines().count(), 85);
    for line in text.lines() {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        assert!(
            words[5].parse::<closewait::model::StateSet>().is_ok(),
            "{line}"
        );
        assert!(words[0] == "tcp" || words[0] == "tcp6", "{line}");
        assert!(words.len() >= 9, "{line}");
    }
}

#[test]
fn both_sources_give_the_same_groups_but_for_ages_and_causes() {
    let groups = |snapshot: &Snapshot| -> Vec<serde_json::Value> {
        let document = rendered(snapshot, None, "--json");
        let mut document: serde_json::Value = serde_json::from_str(&document).unwrap();
        let groups = document["groups"].as_array_mut().unwrap();
        for group in groups.iter_mut() {
            let group = group.as_object_mut().unwrap();
            group.remove("idle_ms");
            group.remove("causes");
            // /proc does not have a listener's limit.
            group.remove("send_q_max");
        }
        let mut groups = std::mem::take(groups);
        groups.sort_by_key(ToString::to_string);
        groups
    };
    assert_eq!(groups(&whole()), groups(&from_text()));
}

/// A hundred ephemeral ports of which two remote ends take some, and two listeners with half-open connections.
fn with_limits(reuse: u8, cookies: u8) -> Snapshot {
    let here = |port| Endpoint::new([10, 0, 0, 1], port);
    let mut sockets = Vec::new();
    let mut to = |state, ports: std::ops::Range<u16>, remote: Endpoint| {
        sockets.extend(ports.map(|port| Socket::bare(state, here(32_768 + port), remote)));
    };
    to(State::TimeWait, 0..70, Endpoint::new([10, 0, 0, 5], 3306));
    to(State::SynSent, 70..90, Endpoint::new([10, 0, 0, 5], 3306));
    to(State::TimeWait, 0..49, Endpoint::new([10, 0, 0, 6], 6379));
    for (port, queue) in [(443, 0), (8443, 129)] {
        sockets.push(Socket {
            inode: port.into(),
            recv_q: queue,
            send_q: 128,
            ..Socket::bare(State::Listen, here(port), Endpoint::new([0, 0, 0, 0], 0))
        });
        let client =
            |number: u16| Endpoint::new([198, 51, 100, 1 + (number % 100) as u8], 40_000 + number);
        sockets.extend((0..129).map(|number| Socket {
            timer: Some(Timer {
                kind: TimerKind::Retransmit,
                expires_ms: 900,
                retransmits: 2,
            }),
            ..Socket::bare(State::SynRecv, here(port), client(number))
        }));
        sockets.extend(
            (200..500).map(|number| Socket::bare(State::TimeWait, here(port), client(number))),
        );
    }
    let mut snapshot = snapshot(Source::Netlink, sockets);
    let settings = &mut snapshot.namespaces[0].settings;
    settings.ephemeral = Some(PortRange {
        first: 32_768,
        last: 32_887,
    });
    settings.reserved = Some(vec![PortRange {
        first: 32_868,
        last: 40_000,
    }]);
    settings.tw_reuse = Some(reuse);
    settings.time_wait_limit = Some(724);
    settings.syncookies = Some(cookies);
    settings.max_syn_backlog = Some(128);
    snapshot
}

#[test]
fn what_time_wait_and_syn_recv_use_up_has_a_line_each() {
    let snapshot = with_limits(2, 1);
    for width in [80, 160] {
        let name = format!("triage-limits-{width}");
        check(&name, &rendered(&snapshot, Some(width), "--color never"));
    }
    let lines = |reuse, cookies, command| {
        let all = rendered(&with_limits(reuse, cookies), None, command);
        let is_meant =
            |line: &&str| line.starts_with("  TIME_WAIT: ") || line.starts_with("  SYN_RECV: ");
        let lines: Vec<String> = all.lines().filter(is_meant).map(str::to_owned).collect();
        lines.join("\n")
    };
    let other = lines(1, 0, "");
    assert!(
        other.contains("can reuse those in TIME_WAIT after 1 s"),
        "{other}"
    );
    assert!(
        other.contains("129 of 96 (full, limited by tcp_max_syn_backlog)"),
        "{other}"
    );
    assert!(other.contains("new clients are dropped"), "{other}");
    // All connections to a selected remote end count, and no line is about others.
    let selected = lines(2, 1, "--state syn-sent");
    assert!(
        selected.contains("TIME_WAIT: 90 of 100 ephemeral ports"),
        "{selected}"
    );
    assert_eq!(selected.lines().count(), 1, "{selected}");
    assert_eq!(lines(2, 1, "--port 6379"), "");
}

#[test]
fn a_finding_about_java_says_which_program_it_is() {
    let words = [
        "/opt/jdk/bin/java",
        "-jar",
        "/srv/shop/shop.jar",
        "--password=secret",
    ];
    let mut evidence = evidence();
    evidence[0].command = closewait::model::Command::of(&words.map(str::as_bytes));
    evidence[0].inside.manager = Some(Manager::Service {
        name: "shop.service".into(),
        of: ServiceManager::System,
    });
    let snapshot = whole();
    let shown = |width, command| rendered_with(&evidence, Charset::Utf8, &snapshot, width, command);
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(" ");
    for width in [Some(80), Some(160), None] {
        let text = words(shown(width, "--port 8080"));
        let owner = "java[1234] (/srv/shop/shop.jar, shop.service) on :8080";
        assert!(text.contains(&format!("sockets of {owner}")), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&shown(None, "--port 8080 --json")).unwrap();
    let owner = serde_json::json!({
        "pid": 1234, "name": "java", "command": "java /srv/shop/shop.jar", "unit": "shop.service",
    });
    assert_eq!(json["findings"][0]["owners"][0], owner);
}
