//! What the user said: flags and commands, as clap reads them. No I/O and no meaning; that is
//! [`plan`](crate::plan)'s.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, ArgMatches, Args, CommandFactory, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::classifier::range::{Limits, NoRange, Range};
use crate::classifier::verdict::Status;
use crate::collector::SourceChoice;
use crate::collector::owners::ScanChoice;
use crate::exit::Outcome;
use crate::explain::Topic;
use crate::filter::{Network, duration};
use crate::model::{Cause, StateSet};

/// As long as monitoring usually waits for a check.
pub const TIMEOUT: Duration = Duration::from_secs(10);

/// TCP socket states: how many CLOSE_WAIT, whose, since when, why, and what to do next.
#[derive(Debug, Parser)]
#[command(
    name = "closewait",
    version,
    propagate_version = true,
    about,
    long_about = "TCP socket states: how many CLOSE_WAIT, whose, since when, why, and what to do \
                  next.\n\nWithout a command: triage, one screen with states, groups and findings. \
                  Any of the netstat letters without a command means `list`, so \
                  `closewait -atunlp` works as typed. Run it as root to see every owner.",
    after_help = "Exit codes: 0 done · 1 nothing could be read, or partial under --strict · 2 usage\n\
                  With -q: 0 a socket matched · 1 none · 2 error",
    disable_help_subcommand = true,
    args_override_self = true,
    infer_long_args = true
)]
pub struct Cli {
    #[command(flatten)]
    pub selection: Selection,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// States, groups and findings on one screen (what no command means)
    Triage(Box<Selection>),
    /// One line a socket, as netstat does
    List(Box<Selection>),
    /// One-shot check for monitoring: one line, performance data, exit code 0, 1, 2 or 3
    Check(Box<Check>),
    /// What a state or a cause means and what to do; alone: the state diagram with live counts
    Explain {
        /// A state such as CLOSE_WAIT, or a cause such as never-closed
        topic: Option<Topic>,
        #[command(flatten)]
        options: Box<Options>,
    },
    /// Save everything that a run sees, to be looked at later with --from, here or elsewhere
    Record(Box<Record>),
    /// Two readings of one host, socket by socket: what is still there, new, gone
    Diff(Box<Diff>),
    /// Print completions for a shell to read
    Completions {
        /// Whose
        shell: Shell,
    },
    /// Print the manual page: closewait man | man -l -
    Man,
}

/// Flags, and the words of a filter.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    #[command(flatten)]
    pub options: Options,
    /// Conditions as ss takes them, and more: state close-wait sport = :8080 not dst 10.0.0.0/8
    ///
    /// Conditions: state NAME, exclude NAME, src HOST, dst HOST, sport = PORT, dport = PORT,
    /// port = PORT, dev NAME, fwmark MARK, cgroup PATH, autobound; pid = N, program = NAME,
    /// program ~ REGEX, user = NAME, inode = N, cause = NAME, idle > 5m, recvq > 0, sendq > 0,
    /// side = server, unit = NAME, container = ID,
    /// netns = NAME. HOST is an address, a network or a name from /etc/hosts, and may end in
    /// :PORT; an IPv6 address with a port stands in brackets. Join them by and, or, not and
    /// parentheses with blanks around them; as in ss, `and` and `or` are read from left to
    /// right.
    #[arg(value_name = "FILTER")]
    pub filter: Vec<String>,
}

/// What `closewait record` does.
#[derive(Debug, Args)]
#[command(mut_args(|arg| {
    const KNOWN: [&str; 14] = [
        "file", "redact", "force", "netns", "all_netns", "proc", "source", "scan", "from", "sample",
        "no_evidence", "strict", "verbose", "color",
    ];
    let known = KNOWN.contains(&arg.get_id().as_str());
    if known { arg } else { arg.hide(true) }
}))]
pub struct Record {
    #[command(flatten)]
    pub target: Target,
    #[command(flatten)]
    pub options: Box<Options>,
}

/// What becomes of a recording.
#[derive(Debug, Clone, Args)]
pub struct Target {
    /// The file to write, readable to its owner only; `-` is stdout
    pub file: PathBuf,
    /// Put others in the place of addresses and of the names of hosts, users, programs, units,
    /// containers and namespaces; with --from those of an older recording
    #[arg(long, help_heading = "Recording")]
    pub redact: bool,
    /// Replace a file that is there
    #[arg(long, help_heading = "Recording")]
    pub force: bool,
}

/// What `closewait diff` compares.
#[derive(Debug, Args)]
#[command(mut_args(|arg| {
    const OTHERS: [&str; 16] = [
        "timers", "extend", "info", "memory", "columns", "sort", "resolve", "resolve_timeout",
        "prometheus", "label_limit", "quiet", "sample", "no_evidence", "threshold", "numeric",
        "programs",
    ];
    let hidden = OTHERS.contains(&arg.get_id().as_str());
    if hidden { arg.hide(true) } else { arg }
}))]
pub struct Diff {
    /// Two recordings, the earlier one first, and the words of a filter
    ///
    /// With --from only the later one is named, with --against none: closewait diff --from A
    /// --against now. CLOSE_WAIT is compared unless other states are named.
    #[arg(value_name = "A B [FILTER]")]
    pub words: Vec<String>,
    /// What the earlier reading is compared with: a recording, or `now` for this host as it is
    #[arg(long, value_name = "FILE|now", help_heading = "Reading")]
    pub against: Option<PathBuf>,
    #[command(flatten)]
    pub options: Box<Options>,
}

/// What `closewait check` judges. Its `-t`, `-w` and `-c` are those that every monitoring plugin has.
#[derive(Debug, Args)]
#[command(
    mut_arg("tcp", |arg| arg.short(None).hide(true)),
    mut_arg("by", |arg| arg
        .hide(false)
        .value_delimiter(None)
        .value_name("WHAT")
        .help("What to count by; the largest count is judged: total, owner, port or listener [default: by owner and by listening port]")),
    mut_arg("state", |arg| arg.help("Sockets in this state [default: CLOSE_WAIT]; any other needs -w or -c")),
    mut_args(|arg| {
        const OTHERS: [&str; 24] = [
            "prometheus", "label_limit", "output",
            "all", "listening", "udp", "numeric", "programs", "timers", "extend", "info",
            "memory", "wide", "columns", "sort", "limit", "json", "jsonl", "csv", "no_header",
            "color", "quiet", "resolve", "resolve_timeout",
        ];
        let hidden = OTHERS.contains(&arg.get_id().as_str());
        if hidden { arg.hide(true) } else { arg }
    }),
    after_help = "Exit codes: 0 OK · 1 WARNING · 2 CRITICAL · 3 UNKNOWN, and for a mistake in the \
                  arguments\nA RANGE alerts outside of it: 10 (0 to 10), 10: (10 and more), ~:10 (10 \
                  and less), 10:20; @10:20 alerts inside. LIMITS are WARNING,CRITICAL, a range each."
)]
pub struct Check {
    #[command(flatten)]
    pub selection: Selection,
    /// WARNING if the largest count is outside this range; -w and -c replace only the built-in
    /// thresholds of counts
    #[arg(
        short = 'w',
        long,
        value_name = "RANGE",
        allow_hyphen_values = true,
        help_heading = "Check"
    )]
    pub warning: Option<Range>,
    /// CRITICAL if the largest count is outside this range
    #[arg(
        short = 'c',
        long,
        value_name = "RANGE",
        allow_hyphen_values = true,
        help_heading = "Check"
    )]
    pub critical: Option<Range>,
    /// Also judge the open files of each process with selected sockets, in percent of its limit; the
    /// fullest counts: 70,90
    #[arg(
        long,
        value_name = "LIMITS",
        allow_hyphen_values = true,
        help_heading = "Check"
    )]
    pub fd_share: Option<Limits>,
    /// Also judge how full the fullest accept queue is, in percent: 50,90
    #[arg(
        long,
        value_name = "LIMITS",
        allow_hyphen_values = true,
        help_heading = "Check"
    )]
    pub queue: Option<Limits>,
    /// Also judge the growth per minute of the count that grows fastest, from two readings: 10/min
    /// or 10,100. A count that falls alerts only if the range reaches below 0
    #[arg(long, value_name = "LIMITS", allow_hyphen_values = true, value_parser = growth, help_heading = "Check")]
    pub growth: Option<Limits>,
    /// Time between the two readings of --growth [default: 5s]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration, help_heading = "Check")]
    pub between: Option<Duration>,
    /// UNKNOWN if there is no verdict after this many seconds [default: 10]
    #[arg(short = 't', long, value_name = "SECONDS", value_parser = duration, help_heading = "Check")]
    pub timeout: Option<Duration>,
    /// Judge what was seen, and name what was not, instead of UNKNOWN
    #[arg(long, help_heading = "Check")]
    pub allow_partial: bool,
}

/// Limits of a growth, of which each may end in `/min`.
fn growth(text: &str) -> Result<Limits, NoRange> {
    let limits: Vec<&str> = text
        .split(',')
        .map(|limit| limit.strip_suffix("/min").unwrap_or(limit))
        .collect();
    limits.join(",").parse()
}

/// The page that a command asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    Triage,
    List,
    Check,
    Explain,
}

impl Cli {
    /// How a mistake in the arguments ends: to monitoring it is UNKNOWN.
    pub fn mistake(&self) -> Outcome {
        match self.command {
            Some(Command::Check(_)) => Outcome::Checked(Status::Unknown),
            _ => Outcome::Usage,
        }
    }

    /// Within which time a check must have its answer; `None` of everything else.
    pub fn timeout(&self) -> Option<Duration> {
        match &self.command {
            Some(Command::Check(check)) => Some(check.timeout.unwrap_or(TIMEOUT)),
            _ => None,
        }
    }

    /// Whether a procfs is named to be read.
    pub fn names_proc(&self) -> bool {
        let after = match &self.command {
            None | Some(Command::Completions { .. } | Command::Man) => None,
            Some(Command::Triage(after) | Command::List(after)) => Some(&after.options),
            Some(Command::Check(check)) => Some(&check.selection.options),
            Some(Command::Explain { options, .. }) => Some(options.as_ref()),
            Some(Command::Record(record)) => Some(record.options.as_ref()),
            Some(Command::Diff(diff)) => Some(diff.options.as_ref()),
        };
        let before = &self.selection.options;
        before.proc.is_some() || after.is_some_and(|options| options.proc.is_some())
    }

    /// How a run ends of which the recording cannot be read.
    pub fn failure(&self) -> Outcome {
        let is_quiet = match &self.command {
            Some(Command::Triage(after) | Command::List(after)) => after.options.quiet,
            Some(Command::Check(_)) => return Outcome::Checked(Status::Unknown),
            _ => false,
        };
        if is_quiet || self.selection.options.quiet {
            Outcome::Undecided
        } else {
            Outcome::Unread
        }
    }

    /// The same of arguments that could not be understood, as far as they can be.
    pub fn mistake_of(words: impl IntoIterator<Item = OsString>) -> Outcome {
        let words: Vec<OsString> = words.into_iter().collect();
        let command = Cli::command().ignore_errors(true);
        let matches = command.try_get_matches_from(&words).ok();
        let subcommand = matches.as_ref().and_then(ArgMatches::subcommand_name);
        let is_check = match subcommand {
            Some(name) => name == "check",
            // Where no command was found, whoever wrote the word meant it for one.
            None => words.iter().any(|word| word == "check"),
        };
        if is_check {
            Outcome::Checked(Status::Unknown)
        } else {
            Outcome::Usage
        }
    }
}

impl Selection {
    /// What was said before a command and after it.
    pub fn and(self, after: Selection) -> Selection {
        Selection {
            options: self.options.and(after.options),
            filter: [self.filter, after.filter].concat(),
        }
    }
}

/// Flags that every command takes, before it or after it.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// All states, LISTEN too (without it, a list leaves LISTEN out)
    #[arg(short = 'a', long, help_heading = "netstat letters")]
    pub all: bool,
    /// LISTEN only (-a wins)
    #[arg(short = 'l', long, help_heading = "netstat letters")]
    pub listening: bool,
    /// TCP, MPTCP with it (default)
    #[arg(short = 't', long, help_heading = "netstat letters")]
    pub tcp: bool,
    /// UDP; with -t both
    #[arg(short = 'u', long, help_heading = "netstat letters")]
    pub udp: bool,
    /// Numbers (default); with -r, only ports stay numbers
    #[arg(short = 'n', long, help_heading = "netstat letters")]
    pub numeric: bool,
    /// Owners (always on; see --no-owners)
    #[arg(short = 'p', long, help_heading = "netstat letters")]
    pub programs: bool,
    /// Timers
    #[arg(short = 'o', long, help_heading = "netstat letters")]
    pub timers: bool,
    /// User, inode, cookie and cgroup; in JSON unit and container too
    #[arg(short = 'e', long, help_heading = "netstat letters")]
    pub extend: bool,
    /// tcp_info: congestion, round trips, bytes; all of it in JSON
    #[arg(short = 'i', long, help_heading = "netstat letters")]
    pub info: bool,
    /// Memory of the socket
    #[arg(short = 'm', long, help_heading = "netstat letters")]
    pub memory: bool,
    /// Leave nothing out on a narrow terminal (in a pipe nothing ever is)
    #[arg(short = 'W', long, help_heading = "netstat letters")]
    pub wide: bool,
    /// IPv4
    #[arg(short = '4', long, help_heading = "netstat letters")]
    pub ipv4: bool,
    /// IPv6
    #[arg(short = '6', long, help_heading = "netstat letters")]
    pub ipv6: bool,

    /// Sockets in this state: any spelling, or a group of ss such as `connected`
    #[arg(long, value_name = "STATE", help_heading = "Selection")]
    pub state: Vec<StateSet>,
    /// Sockets with this port at either end
    #[arg(long, value_name = "PORT", help_heading = "Selection")]
    pub port: Vec<u16>,
    /// Sockets that this process holds, or has not accepted yet
    #[arg(long, value_name = "PID", help_heading = "Selection")]
    pub pid: Vec<u32>,
    /// The same by the process's name
    #[arg(long, value_name = "NAME", help_heading = "Selection")]
    pub program: Vec<String>,
    /// Sockets whose remote address is this, or in this network
    #[arg(long, value_name = "CIDR", help_heading = "Selection")]
    pub peer: Vec<Network>,
    /// CLOSE_WAIT sockets with this cause
    #[arg(long, value_name = "CAUSE", help_heading = "Selection")]
    pub cause: Vec<Cause>,
    /// Sockets idle for at least this long: 90, 90s, 5m, 1h30m
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Selection")]
    pub older_than: Option<Duration>,
    /// Another network namespace: a name, a PID, a path or net:[N]
    #[arg(
        short = 'N',
        long,
        value_name = "NAME|PID|PATH",
        global = true,
        help_heading = "Selection"
    )]
    pub netns: Option<String>,
    /// Every network namespace of the host
    #[arg(
        short = 'A',
        long,
        conflicts_with = "netns",
        global = true,
        help_heading = "Selection"
    )]
    pub all_netns: bool,

    /// Count by these, in place of groups and findings: protocol, state, side, port, peer, program, pid, user, unit, container, netns, cause
    #[arg(
        long,
        value_name = "A,B",
        value_delimiter = ',',
        global = true,
        help_heading = "Output"
    )]
    pub by: Vec<String>,
    /// These columns alone, `+A,B` for more than the usual ones, `help` for all there are (list)
    #[arg(
        long,
        value_name = "A,B|+C|help",
        global = true,
        help_heading = "Output"
    )]
    pub columns: Option<String>,
    /// Order by a column, reversed by a leading `-`: --sort=-recvq
    #[arg(
        long,
        value_name = "KEY",
        allow_hyphen_values = true,
        global = true,
        help_heading = "Output"
    )]
    pub sort: Option<String>,
    /// Names in place of addresses and ports: /etc/services, /etc/hosts, and DNS by the servers
    /// of /etc/resolv.conf; no other module of nsswitch.conf
    #[arg(short = 'r', long, global = true, help_heading = "Output")]
    pub resolve: bool,
    /// How long to wait for all names together [default: 2s]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Output")]
    pub resolve_timeout: Option<Duration>,
    /// At most this many rows or groups; 0 for all
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub limit: Option<usize>,
    /// One JSON document
    #[arg(long, help_heading = "Output", group = "form")]
    pub json: bool,
    /// One JSON object a socket and line (list)
    #[arg(long, help_heading = "Output", group = "form")]
    pub jsonl: bool,
    /// Comma-separated values, RFC 4180 (list)
    #[arg(long, help_heading = "Output", group = "form")]
    pub csv: bool,
    /// OpenMetrics text, for Prometheus (triage)
    #[arg(long, help_heading = "Output", group = "form")]
    pub prometheus: bool,
    /// With --prometheus: at most this many series of ports, programs or queues; the rest is
    /// summed [default: 100]
    #[arg(long, value_name = "N", help_heading = "Output")]
    pub label_limit: Option<usize>,
    /// Write to this file, whole or not at all; it takes the place of an older one, with its mode and
    /// owner. `-` is stdout
    #[arg(long, value_name = "FILE", global = true, help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// No heading
    #[arg(short = 'H', long, help_heading = "Output")]
    pub no_header: bool,
    /// Colours; NO_COLOR, CLICOLOR_FORCE and TERM=dumb are honoured
    #[arg(long, value_name = "WHEN", value_enum, help_heading = "Output")]
    pub color: Option<ColorChoice>,
    /// Print nothing; exit 0 if a socket matched, 1 if none
    #[arg(short = 'q', long, help_heading = "Output")]
    pub quiet: bool,
    /// Say what was read, how, and how long each step took (stderr)
    #[arg(short = 'v', long, action = ArgAction::Count, help_heading = "Output")]
    pub verbose: u8,

    /// Do not read who holds the sockets
    #[arg(long, help_heading = "Reading")]
    pub no_owners: bool,
    /// Do not look into the processes that findings name
    #[arg(long, help_heading = "Reading")]
    pub no_evidence: bool,
    /// How long to watch the processor use of processes that findings name; 0 turns it off
    /// [default: 200ms]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Reading")]
    pub sample: Option<Duration>,
    /// How long a CLOSE_WAIT may last before it counts [default: 5s]
    #[arg(long, value_name = "DURATION", value_parser = duration, help_heading = "Judgement")]
    pub grace: Option<Duration>,
    /// Another threshold of severity: warning=N, critical=N (sockets), fd-warning=N, fd-critical=N, queue-warning=N, queue-critical=N (percent)
    #[arg(long, value_name = "NAME=N", help_heading = "Judgement")]
    pub threshold: Vec<String>,

    /// Where sockets are read from [default: auto]
    #[arg(long, value_enum, help_heading = "Reading")]
    pub source: Option<SourceChoice>,
    /// How the holders of sockets are found [default: auto; procfs with --source procfs]
    #[arg(long, value_name = "HOW", value_enum, help_heading = "Reading")]
    pub scan: Option<ScanChoice>,
    /// Read this procfs, and the network namespace of its PID 1 [default: /proc]
    #[arg(long, value_name = "DIR", help_heading = "Reading")]
    pub proc: Option<PathBuf>,
    /// Look at a recording in place of this host; `-` is stdin
    #[arg(long, value_name = "FILE", global = true, help_heading = "Reading")]
    pub from: Option<PathBuf>,
    /// A partial view is an error
    #[arg(long, help_heading = "Reading")]
    pub strict: bool,
}

impl From<Options> for Selection {
    fn from(options: Options) -> Selection {
        Selection {
            options,
            filter: Vec::new(),
        }
    }
}

impl Options {
    /// Options given in two places: what can be given several times adds up, of the rest the
    /// later one counts.
    fn and(self, after: Options) -> Options {
        Options {
            source: after.source.or(self.source),
            scan: after.scan.or(self.scan),
            proc: after.proc.or(self.proc),
            from: after.from.or(self.from),
            all: self.all || after.all,
            listening: self.listening || after.listening,
            tcp: self.tcp || after.tcp,
            udp: self.udp || after.udp,
            numeric: self.numeric || after.numeric,
            resolve: self.resolve || after.resolve,
            resolve_timeout: after.resolve_timeout.or(self.resolve_timeout),
            programs: self.programs || after.programs,
            timers: self.timers || after.timers,
            extend: self.extend || after.extend,
            info: self.info || after.info,
            memory: self.memory || after.memory,
            wide: self.wide || after.wide,
            ipv4: self.ipv4 || after.ipv4,
            ipv6: self.ipv6 || after.ipv6,
            state: [self.state, after.state].concat(),
            port: [self.port, after.port].concat(),
            pid: [self.pid, after.pid].concat(),
            program: [self.program, after.program].concat(),
            peer: [self.peer, after.peer].concat(),
            cause: [self.cause, after.cause].concat(),
            older_than: after.older_than.or(self.older_than),
            netns: after.netns.or(self.netns),
            all_netns: self.all_netns || after.all_netns,
            by: [self.by, after.by].concat(),
            columns: after.columns.or(self.columns),
            sort: after.sort.or(self.sort),
            limit: after.limit.or(self.limit),
            json: self.json || after.json,
            jsonl: self.jsonl || after.jsonl,
            csv: self.csv || after.csv,
            prometheus: self.prometheus || after.prometheus,
            label_limit: after.label_limit.or(self.label_limit),
            output: after.output.or(self.output),
            no_header: self.no_header || after.no_header,
            color: after.color.or(self.color),
            quiet: self.quiet || after.quiet,
            verbose: self.verbose.saturating_add(after.verbose),
            no_owners: self.no_owners || after.no_owners,
            no_evidence: self.no_evidence || after.no_evidence,
            sample: after.sample.or(self.sample),
            grace: after.grace.or(self.grace),
            threshold: [self.threshold, after.threshold].concat(),
            strict: self.strict || after.strict,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal
    Auto,
    Always,
    Never,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Whether `list` was said, and all that stands before a command and behind it.
    fn said(line: &str) -> (bool, Selection) {
        let Cli { selection, command } = Cli::try_parse_from(line.split(' ')).unwrap();
        match command {
            Some(Command::List(after)) => (true, selection.and(*after)),
            Some(Command::Triage(after)) => (false, selection.and(*after)),
            _ => (false, selection),
        }
    }

    #[test]
    fn the_definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn netstat_letters_bundle_before_and_after_the_command() {
        let (is_list, Selection { options, .. }) = said("closewait -atunlp");
        assert!(options.all && options.programs && !is_list);
        for line in [
            "closewait list -at4",
            "closewait -at4 list",
            "closewait -a list -t4",
        ] {
            let (is_list, Selection { options, .. }) = said(line);
            assert!(options.all && options.tcp && options.ipv4, "{line}");
            assert!(is_list, "{line}");
        }
    }

    #[test]
    fn nothing_that_was_said_before_a_command_is_lost() {
        let line = "closewait --state listen --limit 1 list --state close-wait --limit 2 -a -a";
        let (_, said) = said(line);
        assert_eq!(said.options.state.len(), 2);
        assert_eq!(said.options.limit, Some(2));
    }

    #[test]
    fn the_words_of_a_filter_may_stand_between_flags() {
        for line in [
            "closewait list -a sport = :80 --json ( dst 10.0.0.1 )",
            "closewait -a sport = :80 ( dst 10.0.0.1 ) --json",
            "closewait triage --json sport = :80 -a ( dst 10.0.0.1 )",
        ] {
            let (_, said) = said(line);
            assert_eq!(
                said.filter.join(" "),
                "sport = :80 ( dst 10.0.0.1 )",
                "{line}"
            );
            assert!(said.options.all && said.options.json, "{line}");
        }
        let unknown = "closewait list sport = :80 --jsn";
        assert!(Cli::try_parse_from(unknown.split(' ')).is_err());
    }

    #[test]
    fn every_command_that_an_explanation_prints_is_valid_today() {
        use crate::explain::{Topic, text};
        use crate::model::State;

        let states = State::ALL.map(Topic::State).into_iter();
        let mut seen = 0;
        for topic in states.chain(Topic::causes().map(Topic::Cause)) {
            for line in text(topic).lines().map(str::trim) {
                let line = line.strip_prefix("sudo ").unwrap_or(line);
                let command = line.split("  ").next().unwrap_or_default();
                if !command.starts_with("closewait ") {
                    continue;
                }
                let words = command
                    .split(' ')
                    .map(|word| if word == "PID" { "1" } else { word });
                let parsed = Cli::try_parse_from(words);
                assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
                seen += 1;
            }
        }
        assert!(seen > 20, "{seen}");
    }
}
