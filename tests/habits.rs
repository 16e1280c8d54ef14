//! Command lines as users of ss, netstat, lsof, top, watch, journalctl and kubectl type them: each does what was
//! wanted, or is answered with what to type. What an answer tells to type is valid.

use std::process::{Command, Output};

use closewait::command::{self, Plan, UsageError};
use closewait::env::Terminal;

/// What a line does.
enum Answer {
    /// It is valid.
    Works,
    /// It is valid, and goes on until it is interrupted.
    Repeats,
    /// The first line of stderr contains this.
    Says(&'static str),
}
use Answer::{Repeats, Says, Works};

/// By the tool whose habit it is.
const LINES: [(&str, Answer); 261] = [
    // Help.
    ("help", Works),
    ("help list", Works),
    ("help watch", Works),
    ("list help", Works),
    ("check help", Works),
    ("help never-closed", Works),
    ("help CLOSE_WAIT", Works),
    ("help filters", Works),
    ("help columns", Works),
    ("version", Works),
    ("-V", Works),
    ("-?", Says("`--help`")),
    ("help lsit", Says("`closewait help list`")),
    ("man closewait", Says("`closewait man` does not take")),
    // ss.
    ("-tan", Works),
    ("-tulpn", Works),
    ("-tnp state close-wait", Works),
    ("-ti dst 127.0.0.1", Works),
    ("-4 -tl", Works),
    ("-t -a sport = :22 or dport = :22", Works),
    ("-H -tan", Works),
    ("-N nosuch -q", Says("nosuch")),
    ("-s", Says("`closewait` alone counts sockets by state")),
    ("-K dst 10.0.0.5", Says("`ss -K`")),
    ("-x", Says("`ss -x`")),
    ("-w", Says("`ss -w`")),
    ("-0", Says("`ss -0`")),
    ("-E", Says("`ss -E`")),
    ("-O", Says("`-W`")),
    ("-Z", Says("`ss -Z`")),
    ("-b", Says("`-i`")),
    ("-A tcp", Says("for -A tcp of ss write `-t`")),
    ("-A tcp,udp", Says("write `-tu`")),
    ("-Atcp", Says("for -A tcp of ss write `-t`")),
    ("-A all", Says("-A reads every network namespace")),
    ("-A unix", Says("`ss -A unix`")),
    ("check -w 100000 -c 100000", Works),
    ("-w 100000 -c 100000 check", Works),
    ("list -A inet", Says("write `-tu`")),
    ("-f inet", Says("write `-4`")),
    ("-f inet6", Says("write `-6`")),
    ("-f unix", Says("`ss -x`")),
    ("--family inet", Says("`-4`")),
    ("--query tcp", Says("`-t`")),
    ("--kill", Says("`ss -K`")),
    ("--summary", Says("`closewait` alone")),
    ("--processes", Says("shown by default")),
    ("--oneline", Says("`-W`")),
    ("--events", Says("`ss -E`")),
    ("listen", Says("`-l` or `state listen`")),
    ("close-wait", Says("`state close-wait`")),
    ("ESTABLISHED", Says("`state ESTABLISHED`")),
    ("state=close-wait", Says("`state close-wait`")),
    ("state!=listen", Says("`exclude listen`")),
    ("state != listen", Says("`exclude listen`")),
    ("state not listen", Says("`exclude listen`")),
    ("state is listen", Says("`state listen`")),
    ("foo=bar", Says("try `state close-wait`")),
    ("sport=80-90", Says("`--port 80-90`")),
    ("port=80,443", Says("`port = 80 or port = 443`")),
    (
        "name=nginx,python3",
        Says("`program = nginx or program = python3`"),
    ),
    ("name=nginx", Says("`program = nginx`")),
    ("name = nginx", Says("`program = nginx`")),
    ("progam=nginx", Says("`program = nginx`")),
    ("uid=0", Says("`user = 0`")),
    ("program=~ngi", Says("`program '~' ngi`")),
    ("program like ngi", Says("`program '~' ngi`")),
    ("program /root ^ngi", Says("`program '~' ^ngi`")),
    ("age> 5m", Says("`age gt 5m`")),
    ("age >5m", Says("`age gt 5m`")),
    ("age gte 5m", Says("`age ge 5m`")),
    ("recvq >0", Says("`recvq gt 0`")),
    ("recvq => 0", Says("`recvq ge 0`")),
    ("sport <> :80", Says("`sport != :80`")),
    ("port:8080", Says("`port = 8080`")),
    ("dst != 10.0.0.5", Says("`not dst 10.0.0.5`")),
    ("rport 80", Says("`dport = :80`")),
    (
        "program = nginx,python3",
        Says("`program = nginx or program = python3`"),
    ),
    (
        "program != nginx,python3",
        Says("`program != nginx and program != python3`"),
    ),
    (
        "unit = a.service,b.service",
        Says("`unit = a.service or unit = b.service`"),
    ),
    (
        "container abc,def",
        Says("`container = abc or container = def`"),
    ),
    ("program ~ ^a{1,2}$", Works),
    ("--port 8080 8081", Says("`--port 8080,8081`")),
    ("--pid 1 2", Says("`--pid 1,2`")),
    ("--program nginx python3", Says("`--program nginx,python3`")),
    (
        "--state established listening",
        Says("`--state established,listening`"),
    ),
    ("--state CLOSE WAIT", Says("`--state close-wait`")),
    ("--state TIME WAIT", Says("`--state time-wait`")),
    ("--state !listen", Says("`exclude listen`")),
    ("--port >1024", Says("`port gt 1024`")),
    ("--colour never", Says("`--color never`")),
    ("--sport 8080", Says("`sport = :8080`")),
    ("--dport=8080", Says("`dport = :8080`")),
    ("--since 5m", Says("`--older-than 5m`")),
    ("--since yesterday", Says("`--older-than 1h`")),
    ("--host 127.0.0.1", Says("`--peer 127.0.0.1`")),
    ("--prog nginx", Says("`--program nginx`")),
    ("--process 17", Says("`--pid 17`")),
    ("--lines=3", Says("`--limit 3`")),
    ("watch -n 1 list", Says("`closewait watch 1 list`")),
    ("watch -n 0.5 list", Says("`closewait watch 0.5 list`")),
    ("watch -n1", Says("`closewait watch 1`")),
    ("watch --interval 5", Says("`closewait watch 5`")),
    ("watch list 5", Repeats),
    ("watch .5", Repeats),
    ("never-closed", Says("`cause = never-closed`")),
    ("8080,8081", Says("`--port 8080,8081`")),
    ("8080-8090", Says("`--port 8080-8090`")),
    ("*:8080", Says("`--port 8080`")),
    ("x.cw", Says("`--from x.cw`")),
    ("/tmp/x.cw", Says("`--from /tmp/x.cw`")),
    ("completion bash", Says("`closewait completions bash`")),
    ("group", Says("`--by peer`")),
    ("-ti:8080", Says("`--port 8080`")),
    ("–port 80", Says("hyphens: --port")),
    ("sport = :8080-8090", Says("`--port 8080-8090`")),
    (
        "sport = :8080-:8090",
        Says("`sport ge :8080 and sport le :8090`"),
    ),
    ("--peer ::1:8443", Works),
    ("-itcp", Says("`-t`")),
    ("-iudp", Says("`-u`")),
    ("-i4TCP", Says("`-t -4`")),
    ("-i TCP:8080", Says("`-t --port 8080`")),
    ("-i tcp", Says("`-t`")),
    ("-tcp", Says("`--tcp`")),
    ("-udp", Says("`--udp`")),
    ("-state close-wait", Says("`--state close-wait`")),
    ("-state=close-wait", Says("`--state close-wait`")),
    ("-version", Says("`--version`")),
    ("-help", Says("`--help`")),
    ("-listen", Says("`--state listen`")),
    ("-pid 1", Says("`--pid 1`")),
    ("-port 8080", Says("`--port 8080`")),
    ("list -json", Says("`--json`")),
    ("-sTCP:^LISTEN", Says("`exclude LISTEN`")),
    ("--output yaml", Says("`--json`")),
    ("--output wide", Says("`-W`")),
    ("--output text", Says("./text")),
    ("state = close-wait", Works),
    ("sport=:80", Says("`sport = :80`")),
    ("sport :80", Works),
    ("tcp", Says("`-t`")),
    ("all", Says("`state all`")),
    ("--sport 80", Says("`sport = :80`")),
    ("--dport 3306", Says("`dport = :3306`")),
    ("--src 10.0.0.0/8", Says("`src 10.0.0.0/8`")),
    ("--dst 10.0.0.5", Says("`--peer 10.0.0.5`")),
    // netstat.
    ("-atunlp", Works),
    ("-antp", Works),
    ("-plnt", Works),
    ("-tunap", Works),
    ("-W", Works),
    ("-ano", Works),
    ("-c", Repeats),
    ("-tanpc", Repeats),
    ("watch", Repeats),
    ("watch 5", Repeats),
    ("-c 3", Says("`closewait watch 3`")),
    ("-g", Says("`netstat -g`")),
    ("--continuous", Repeats),
    ("--tcp --listening --numeric --program x", Works),
    ("--program", Says("a value is required")),
    ("netstat", Says("`closewait list`")),
    // lsof.
    ("-i :8080", Says("`--port 8080`")),
    ("-i:8080", Says("`-t --port 8080`")),
    ("-iTCP", Says("`-t`")),
    ("-iTCP:8080", Says("`-t --port 8080`")),
    ("-iUDP", Says("`-u`")),
    ("-iTCP@10.0.0.5", Says("`-t --peer 10.0.0.5`")),
    ("-sTCP:CLOSE_WAIT", Says("`--state CLOSE_WAIT`")),
    ("-p1234", Says("`--pid 1234`")),
    ("-p 1234", Says("`--pid 1234`")),
    ("-u root", Says("`--user root`")),
    ("-nP", Says("`-r` shows names")),
    // top, watch, ps.
    ("-n1", Says("`closewait watch 1`")),
    ("-n 2", Says("`closewait watch 2`")),
    ("-d 1", Says("`closewait watch 1`")),
    ("-d1", Says("`closewait watch 1`")),
    ("--watch", Says("`closewait watch 2`")),
    ("--interval 5", Says("`closewait watch 5`")),
    ("--refresh", Says("`closewait watch 2`")),
    ("top", Says("`closewait watch 2`")),
    ("--top 5", Says("`--limit 5`")),
    ("--sort -age -q", Works),
    ("--sort=-age -q", Works),
    ("ps", Says("`closewait list`")),
    // journalctl, systemctl.
    ("--since 1h", Says("`--older-than 1h`")),
    ("--follow", Says("`closewait watch 2`")),
    ("-f", Says("`closewait watch 2`")),
    ("-u nginx.service", Says("`--unit nginx.service`")),
    ("--no-pager", Says("leave it out")),
    ("status", Says("`closewait check`")),
    ("--lines 10", Says("`--limit 10`")),
    ("--service nginx", Says("`--unit nginx.service`")),
    // kubectl, docker, jq and friends.
    ("-o json", Says("`--json`")),
    ("-ojson", Says("`--json`")),
    ("-o wide", Says("`--json`")),
    ("--output json", Says("--json")),
    ("--format json", Says("`--json`")),
    ("--yaml", Says("`--json`")),
    ("json", Says("`--json`")),
    ("--all-namespaces", Says("`-A`")),
    ("--namespace blue", Says("`-N NAME`")),
    ("get", Says("`closewait list`")),
    ("ls", Says("`closewait list`")),
    ("--no-color", Says("`--color never`")),
    ("--name nginx", Says("`--program nginx`")),
    ("--host 10.0.0.5", Says("`--peer 10.0.0.5`")),
    ("--count", Says("`--by peer` by peer")),
    ("--group-by peer", Says("`--by peer`")),
    ("--established", Says("`--state established`")),
    ("--close-wait", Says("`--state close-wait`")),
    ("--never-closed", Says("`--cause never-closed`")),
    ("kill", Says("`ss -K`")),
    ("dump", Says("`closewait record FILE`")),
    ("ports", Says("`--by port`")),
    // Values alone.
    ("8080", Says("`port = 8080` or `pid = 8080`")),
    (":8080", Says("`port = :8080`")),
    ("123456", Says("`pid = 123456`")),
    ("nginx", Says("`program = nginx`")),
    ("10.0.0.5", Says("`dst 10.0.0.5`")),
    ("10.0.0.5:8443", Says("`dst 10.0.0.5:8443`")),
    ("peer 10.0.0.5", Says("`dst 10.0.0.5`")),
    ("peer", Says("`dst HOST`")),
    ("age", Says("write gt and lt")),
    ("port 80,443", Says("`port = 80 or port = 443`")),
    ("sport = :80,:443", Says("`sport = :80 or sport = :443`")),
    ("port 8000-8099", Says("`--port 8000-8099`")),
    ("dport 1-5", Says("`dport ge :1 and dport le :5`")),
    ("pid 1,2", Says("`pid = 1 or pid = 2`")),
    (
        "state close-wait,estab",
        Says("`state close-wait state estab`"),
    ),
    ("--limit -1", Says("no option takes -1")),
    ("--older-than -5m", Says("no option takes -5m")),
    ("--numeric-ports", Says("leave it out")),
    ("::1", Says("`--peer ::1`")),
    ("localhost", Says("`dst localhost`")),
    ("localhost:8080", Says("`dst localhost:8080`")),
    ("nginx.service", Says("`unit = nginx.service`")),
    ("net:[4026531833]", Says("`-N net:[4026531833]`")),
    ("--interface eth0", Says("`dev lo`")),
    ("--exclude listen", Says("`exclude listen`")),
    ("growth", Says("`closewait --for 10s`")),
    ("--growth", Says("`closewait --for 10s`")),
    ("--diff", Says("`closewait diff EARLIER LATER`")),
    ("leaks", Says("`closewait` alone")),
    ("lsit", Says("`closewait list`")),
    // Values of options.
    ("--port http,8000-8099,:443", Works),
    ("--port nosuch", Says("a name from /etc/services")),
    ("--peer localhost:3306", Works),
    ("--peer 10/8,[::1]:443", Works),
    ("--peer nosuch", Says("a name from /etc/hosts")),
    ("--peer 3306", Says("write :3306 for a port")),
    ("--state estab,time-wait", Works),
    ("--threshold warning=1,critical=2", Works),
    ("--limit all", Works),
    ("--limit none", Says("0 or all means all")),
    ("--user root,0", Works),
    ("--age 5m", Works),
    ("--idle 5m", Works),
    ("idle gt 5m", Works),
    ("age 5m", Works),
    ("list --columns idle_ms,older-than --sort idle", Works),
];

fn run(line: &str) -> Output {
    // A line that would go on for ever must fail the test, not stop it.
    Command::new("timeout")
        .args(["60", env!("CARGO_BIN_EXE_closewait")])
        .args(line.split(' '))
        .output()
        .unwrap()
}

/// The parts of an answer in backquotes.
fn typed(answer: &str) -> impl Iterator<Item = &str> {
    answer.split('`').skip(1).step_by(2)
}

/// What an answer tells to type, as a command line of this tool; `None` if it is one of another tool.
fn told(code: &str) -> Option<String> {
    let first = code.split(' ').next().unwrap_or_default();
    let line = match first {
        "ss" | "netstat" | "ip" => return None,
        "closewait" => code.to_owned(),
        _ => format!("closewait list {code}"),
    };
    // These options belong to triage.
    // The shell removes these quotes.
    let line = line.replace("'~'", "~");
    Some(match code {
        code if code.starts_with("--by") || code == "--prometheus" => format!("closewait {code}"),
        "closewait record FILE" => "closewait record /tmp/x".to_owned(),
        _ => line.replace("FILE", "x").replace("HOST", "10.0.0.5"),
    })
}

#[test]
fn what_other_tools_taught_fingers_works_or_is_answered_with_what_to_type() {
    let mut wrong = Vec::new();
    for (line, answer) in LINES {
        if matches!(answer, Repeats) {
            let words = ["closewait"].into_iter().chain(line.split(' '));
            let command = command::Command::read(words).unwrap();
            let plan = Plan::new(command, Terminal::default()).unwrap();
            assert!(matches!(plan, Plan::Watch(_)), "{line}");
            continue;
        }
        let output = run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        let first = said.lines().next().unwrap_or_default();
        let right = match answer {
            // 1: -q found nothing.
            Repeats | Works => !matches!(output.status.code(), Some(2 | 3 | 124)),
            Says(part) => first.starts_with("closewait: ") && first.contains(part),
        };
        if !right {
            wrong.push(format!("{line}: {said}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_check_answers_options_of_other_plugins() {
    for (line, part) in [
        ("check -H localhost", "leave out -H"),
        ("check -p 8080", "`--port 8080`"),
        ("check -p python3", "`--program python3`"),
        ("check -C python3", "`--program python3`"),
        ("check -s TIME_WAIT", "`--state TIME_WAIT`"),
        ("check -w 10%", "10 without %"),
    ] {
        let output = run(line);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(3), "{line}");
        assert!(said.contains(part), "{line}: {said}");
    }
}

#[test]
fn what_an_answer_tells_to_type_is_valid() {
    let mut seen = 0;
    for (line, _) in LINES.iter().filter(|(_, answer)| matches!(answer, Says(_))) {
        let said = String::from_utf8(run(line).stderr).unwrap();
        let first = said.lines().next().unwrap_or_default();
        // What was typed may be quoted before the answer.
        let (_, answer) = first.split_once(" has no option").unwrap_or(("", first));
        for code in typed(answer) {
            let Some(told) = told(code) else {
                continue;
            };
            let command = command::Command::read(told.split(' '));
            match command {
                Ok(command) => {
                    let plan = Plan::new(command, Terminal::default());
                    // A recording that is not there is no mistake of the line.
                    let mistake = plan.err().filter(UsageError::is_mistake);
                    assert!(mistake.is_none(), "{line}: {first}: {told}: {mistake:?}");
                }
                Err(error) => assert!(!error.use_stderr(), "{line}: {first}: {told}: {error}"),
            }
            seen += 1;
        }
    }
    assert!(seen > 80, "{seen}");
}
