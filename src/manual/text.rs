//! The parts of the manual page that are not derived from the definitions of the options.

/// A term and its explanation.
pub type Entry = (&'static str, &'static str);

/// The forms that triage and lists print.
pub const OUTPUT: [Entry; 15] = [
    (
        "Recv-Q 0/1/+",
        "In groups: how many sockets have an empty receive queue, one byte in it (a FIN counts as \
         one byte), and more.",
    ),
    (
        "Age p50/max, Max age",
        "In groups: median and maximum age. On CLOSE_WAIT, the age is the time in that state; on \
         other states, the time since the last byte.",
    ),
    ("=12m", "An exact age."),
    ("12m\u{2013}14m", "An age between these bounds."),
    ("\u{2248}12m", "Both bounds round to this age."),
    ("\u{2265}12m", "At least this age."),
    (
        ":8080",
        "The service is this local port: this end is the server.",
    ),
    (
        "to 10.0.0.5:3306",
        "The service is at the remote end: this end is the client.",
    ),
    (
        "with 10.0.0.9",
        "Which end is the server is unknown; this is the peer.",
    ),
    ("java[1234]", "Held by this process."),
    ("nginx[10] +3", "Held by this process and three more."),
    (
        "java[1234] (not accepted)",
        "In the accept queue of a listener that this process holds.",
    ),
    (
        "-",
        "As an owner: held by no process, as in TIME_WAIT. Elsewhere: unknown, or does not apply.",
    ),
    (
        "?",
        "Hidden. The reason follows, such as (needs root), or is among the gaps.",
    ),
    ("!", "At the start of a line: needs attention."),
];

/// The conditions of a filter.
pub const CONDITIONS: [Entry; 14] = [
    (
        "state NAME, exclude NAME",
        "Several in a row add and remove states. They override -a, -l and the default of a list.",
    ),
    (
        "src HOST, dst HOST",
        "10.1.2.3, 10.0.0.0/8, 10.0.0.0/8:443, [2001:db8::1]:443, fe80::1%eth0, *:80, or a name.",
    ),
    (
        "sport OP PORT, dport OP PORT, port OP PORT",
        "port is either end. OP is one of = != < <= > >= or eq ne lt le gt ge. PORT is a number \
         or a name from /etc/services.",
    ),
    ("dev NAME", "Bound to this interface."),
    ("fwmark N/MASK", "The kernel shows marks only to root."),
    (
        "cgroup PATH",
        "The cgroup v2 in which the socket was created.",
    ),
    (
        "autobound",
        "The local port is in the range of ephemeral ports.",
    ),
    ("pid = N", "Held by this process."),
    (
        "program = NAME, program '~' REGEX",
        "Held by a process with this name, of which the kernel keeps 15 bytes.",
    ),
    (
        "user = NAME, inode = N",
        "The user and the inode of the socket.",
    ),
    (
        "unit = NAME, container = ID",
        "The systemd unit or container of the owner; also with != ~ !~. The beginning of an id is \
         enough.",
    ),
    (
        "netns = NAME, netns = net:[N]",
        "Reads every network namespace and keeps this one.",
    ),
    (
        "cause = NAME, side = server",
        "See CAUSES; the side is server or client.",
    ),
    (
        "age > 5m, recvq > 0, sendq > 64k",
        "age is its lower bound; age 5m means at least 5 minutes. idle and older-than mean the \
         same. Quote > and < from the shell, or write gt and lt.",
    ),
];

/// What a user of the binary alone needs to know.
pub const NOTES: [Entry; 5] = [
    (
        "Privileges",
        "Reading sockets needs none. Owners of other users' sockets need root, or CAP_SYS_PTRACE \
         and CAP_DAC_READ_SEARCH. closewait writes only the files named by record and --output, \
         and sends no signals. As root it duplicates sockets of other processes for a few microseconds \
         (pidfd_getfd(2)), with -A and --pid, and for sockets in no table. --peek does so to copy the \
         first 2 KiB that a program has not read; until then, a close by the program sends no FIN.",
    ),
    (
        "Memory of programs",
        "Triage and record copy parts of the memory of the processes named in findings, to show where \
         in their code they wait. check, list, --by, --prometheus and -q never read stacks, watch only \
         with --stacks; --no-stacks turns it off. Wherever findings are judged, in check too, closewait \
         copies what the system call of a waiting thread points to: the descriptors of poll(2) and \
         select(2), and the word of a lock; --no-evidence turns that off. This needs what ptrace(2) \
         needs: root, or the same user. Nothing is attached, stopped, signalled or written.",
    ),
    (
        "Gaps",
        "Whatever could not be read is listed under \"Not seen\" or on stderr, with the reason. \
         Unknown values are shown as unknown, never as 0.",
    ),
    (
        "Without sock_diag",
        "If sock_diag(7) is unavailable, /proc/net/tcp is read: it has no ages and no accept \
         queue limits.",
    ),
    (
        "Causes",
        "A cause is a judgement about one moment. Runtimes that read ahead (Go, Node, asyncio) \
         look like a leak until their handler is done.",
    ),
];

/// What `closewait check` prints after the bar.
pub const PERFORMANCE_DATA: [Entry; 5] = [
    (
        "close_wait",
        "All sockets in the checked states, including young ones.",
    ),
    ("counted", "Those that linger."),
    ("worst", "The largest count of one group (see --by)."),
    (
        "oldest",
        "The lower bound of the age of the oldest socket that counts.",
    ),
    (
        "fd_share, queue, growth",
        "The values that --fd-share, --queue and --growth judge.",
    ),
];

pub const EXAMPLES: [Entry; 13] = [
    (
        "closewait",
        "Show states, groups and findings on one screen.",
    ),
    (
        "closewait list --state close-wait",
        "List the CLOSE_WAIT sockets, one per line, with every owner.",
    ),
    (
        "closewait -atunlp",
        "List sockets with the options of netstat(8).",
    ),
    (
        "closewait list state close-wait dport = :3306 not dst 10.0.0.0/8",
        "List sockets that match a filter of ss(8).",
    ),
    (
        "closewait --by peer,program --state close-wait",
        "Count which peers closed connections to which programs.",
    ),
    (
        "closewait -A",
        "Read every network namespace, including those of containers.",
    ),
    (
        "closewait -q --state close-wait --older-than 1m",
        "Print nothing; the exit status tells a script whether such a socket exists.",
    ),
    (
        "closewait list --jsonl --state close-wait",
        "Print one JSON object per socket, for jq(1).",
    ),
    (
        "closewait record incident.cw",
        "Save everything before a restart. Read it later with --from incident.cw.",
    ),
    (
        "closewait watch 5 list --state close-wait",
        "Repeat a list every five seconds, in place on a terminal.",
    ),
    (
        "closewait diff before.cw after.cw",
        "Show which sockets are still there, new or gone.",
    ),
    (
        "closewait check -w 100 -c 1000 --queue 50,100",
        "Check for monitoring, with limits for counts and accept queues.",
    ),
    (
        "closewait explain never-closed",
        "Explain a cause, how to confirm it and how to fix it.",
    ),
];

/// Files that a user can replace or restrict.
pub const FILES: [Entry; 6] = [
    (
        "/proc",
        "Owners of sockets, kernel settings and, if sock_diag(7) is unavailable, the sockets \
         themselves (see --proc).",
    ),
    (
        "/sys/kernel/btf/vmlinux",
        "Layout of kernel data, for the BPF iterator (see --scan).",
    ),
    ("/etc/services", "Names of ports in filters and with -r."),
    ("/etc/hosts", "Names of hosts in filters and with -r."),
    ("/etc/resolv.conf", "Name servers, only with -r."),
    ("/run/netns", "Names of network namespaces."),
];

pub const ENVIRONMENT: [Entry; 5] = [
    (
        "LC_ALL, LC_CTYPE, LANG",
        "Locale; the first one that is set. If it is not UTF-8, all text is ASCII.",
    ),
    ("NO_COLOR", "If set and not empty, no colours."),
    (
        "CLICOLOR_FORCE",
        "If set and not 0, colours even in a pipe.",
    ),
    ("TERM", "If it is dumb, no colours."),
    ("COLUMNS", "Width of the help."),
];
