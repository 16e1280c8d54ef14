//! What each column is called, and what it shows.

use super::Column;

impl Column {
    /// The name: a key of JSON and a heading of CSV.
    pub fn name(self) -> &'static str {
        self.words().0
    }

    /// The heading in a table; netstat's word if netstat has the column.
    pub fn heading(self) -> &'static str {
        self.words().1
    }

    /// What it shows.
    pub fn about(self) -> &'static str {
        self.words().2
    }

    fn words(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Column::Change => (
                "change",
                "Change",
                "with --for: new, gone, or changed (it was in another state)",
            ),
            Column::Netns => ("netns", "Netns", "network namespace"),
            Column::Proto => (
                "proto",
                "Proto",
                "tcp, tcp6, udp or udp6 as in netstat; mptcp, mptcp6, subflow, subflow6",
            ),
            Column::Protocol => (
                "protocol",
                "Protocol",
                "tcp, mptcp, subflow (of an MPTCP connection) or udp",
            ),
            Column::Family => ("family", "Family", "ipv4 or ipv6"),
            Column::RecvQ => (
                "recv_q",
                "Recv-Q",
                "bytes received but not read, a FIN counting as one; LISTEN: connections to \
                 accept; MPTCP: memory used by unread bytes",
            ),
            Column::SendQ => (
                "send_q",
                "Send-Q",
                "bytes not acknowledged; LISTEN: limit of the accept queue",
            ),
            Column::Local => ("local", "Local Address", "this end"),
            Column::LocalAddr => ("local_addr", "Local Addr", "its address"),
            Column::LocalPort => ("local_port", "Local Port", "its port"),
            Column::Remote => ("remote", "Foreign Address", "the other end"),
            Column::RemoteAddr => ("remote_addr", "Foreign Addr", "its address"),
            Column::RemotePort => ("remote_port", "Foreign Port", "its port"),
            Column::State => ("state", "State", "state"),
            Column::Side => ("side", "Side", "server or client"),
            Column::Age => (
                "age",
                "Age",
                "time in CLOSE_WAIT, otherwise idle time: = exact, ≥ lower bound, or a range",
            ),
            Column::IdleAtLeast => ("idle_at_least_ms", "Age≥", "lower bound of the age"),
            Column::IdleAtMost => ("idle_at_most_ms", "Age≤", "upper bound of the age"),
            Column::Cause => ("cause", "Cause", "why it is in CLOSE_WAIT"),
            Column::Timer => (
                "timer",
                "Timer",
                "running timer: kind(expires in, retransmissions or probes); CSV: the kind",
            ),
            Column::TimerExpires => (
                "timer_expires_ms",
                "Expires",
                "time until the timer expires",
            ),
            Column::TimerRetransmits => (
                "timer_retransmits",
                "Retr",
                "retransmissions or unanswered probes so far",
            ),
            Column::Uid => ("uid", "UID", "user id of its owner"),
            Column::User => ("user", "User", "name of that user in /etc/passwd"),
            Column::Inode => ("inode", "Inode", "inode"),
            Column::Cookie => (
                "cookie",
                "Cookie",
                "number that identifies the socket for its lifetime",
            ),
            Column::Token => (
                "mptcp_token",
                "MPTCP token",
                "identifies an MPTCP connection and its subflows",
            ),
            Column::CgroupId => (
                "cgroup_id",
                "Cgroup ID",
                "id of the cgroup in which it was created",
            ),
            Column::Cgroup => ("cgroup", "Cgroup", "control group of its first holder"),
            Column::Unit => ("unit", "Unit", "systemd unit of that cgroup"),
            Column::Container => ("container", "Container", "container of that cgroup"),
            Column::Accepted => (
                "accepted",
                "Accepted",
                "no while it waits in its listener's queue",
            ),
            Column::OwnerKind => (
                "owner_kind",
                "Owner Kind",
                "process, listener, kernel or hidden",
            ),
            Column::Owner => (
                "owner",
                "Owner",
                "who holds it, abbreviated; may contain spaces",
            ),
            Column::Owners => ("owners", "Owners", "every holder: pid:fd:name"),
            Column::Pids => ("pids", "PID", "pid of every process that holds it"),
            Column::Programs => ("programs", "Program", "their names"),
            Column::Interface => ("dev", "Dev", "index of the interface to which it is bound"),
            Column::Mark => ("mark", "Mark", "SO_MARK"),
            Column::V6only => ("v6only", "V6only", "IPV6_V6ONLY of an IPv6 listener"),
            Column::Congestion => ("congestion", "Cong", "congestion control"),
            Column::Tos => ("tos", "TOS", "IPv4 type of service"),
            Column::Tclass => ("tclass", "Tclass", "IPv6 traffic class"),
            Column::Shutdown => (
                "shutdown",
                "Shutdown",
                "directions that are shut down: 1 receiving, 2 sending, 3 both",
            ),
            Column::Figure(figure) => (figure.name, figure.name, figure.about),
        }
    }
}
