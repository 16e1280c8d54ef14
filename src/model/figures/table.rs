//! The table of figures: the name, place and meaning of each, in the order of ss.

use super::Figure;
use super::Place::{self, High4, Low4, Memory, U8, U16, U32, U64};

const fn figure(name: &'static str, place: Place, about: &'static str) -> Figure {
    Figure {
        name,
        about,
        place,
        unset: None,
    }
}

const fn or_unset(unset: u64, mut figure: Figure) -> Figure {
    figure.unset = Some(unset);
    figure
}

/// `INET_DIAG_VEGASINFO`, `INET_DIAG_DCTCPINFO` and `INET_DIAG_BBRINFO`: the attributes of the
/// structures in `include/uapi/linux/inet_diag.h`.
const VEGAS: u16 = 3;
pub(super) const DCTCP: u16 = 9;
pub(super) const BBR: u16 = 16;

const fn control(kind: u16, at: usize, width: usize) -> Place {
    Place::Control { kind, at, width }
}

const fn option(bit: u8) -> Place {
    Place::Bit { at: 5, bit }
}

/// The figures of tcp_info, in the order in which ss -i prints them.
pub static TCP_INFO: &[Figure] = &[
    figure("timestamps", option(0), "timestamps are on (ts)"),
    figure("sack", option(1), "selective acknowledgements are on"),
    figure("wscale", option(2), "window scaling is on"),
    figure("ecn", option(3), "explicit congestion notification is on"),
    figure("ecn_seen", option(4), "a packet with an ECN mark came"),
    figure("fastopen", option(5), "data in the SYN was acknowledged"),
    figure(
        "ca_state",
        U8(1),
        "congestion state: 0 open, 1 disorder, 2 CWR, 3 recovery, 4 loss",
    ),
    figure("snd_wscale", Low4(6), "window scale of the peer"),
    figure("rcv_wscale", High4(6), "window scale of this end"),
    figure(
        "app_limited",
        Place::Bit { at: 7, bit: 0 },
        "the delivery rate was limited by the application",
    ),
    figure("rto_us", U32(8), "retransmission timeout"),
    figure("backoff", U8(4), "how often the running timer was doubled"),
    figure(
        "retransmits",
        U8(2),
        "retransmissions of the same data so far",
    ),
    figure(
        "probes",
        U8(3),
        "window or keepalive probes without an answer",
    ),
    figure("rtt_us", U32(68), "smoothed round trip time"),
    figure(
        "rttvar_us",
        U32(72),
        "mean deviation of the round trip time",
    ),
    figure("ato_us", U32(12), "delayed acknowledgement timeout"),
    figure("mss", U32(16), "bytes a segment sent, at most"),
    figure("pmtu", U32(60), "path MTU in bytes"),
    figure("rcvmss", U32(20), "bytes a segment received, as estimated"),
    figure(
        "advmss",
        U32(84),
        "bytes a segment that were announced to the peer",
    ),
    figure("cwnd", U32(80), "congestion window in segments"),
    or_unset(
        0x7fff_ffff,
        figure("ssthresh", U32(76), "slow start threshold in segments"),
    ),
    figure(
        "bytes_sent",
        U64(200),
        "bytes sent, retransmissions included",
    ),
    figure("bytes_retrans", U64(208), "bytes retransmitted"),
    figure("bytes_acked", U64(120), "bytes sent and acknowledged"),
    figure(
        "bytes_received",
        U64(128),
        "bytes received, a FIN counting as one",
    ),
    figure("segs_out", U32(136), "segments sent"),
    figure("segs_in", U32(140), "segments received"),
    figure("data_segs_out", U32(156), "segments with data sent"),
    figure("data_segs_in", U32(152), "segments with data received"),
    figure(
        "last_data_sent_ms",
        U32(44),
        "time since data was sent (lastsnd)",
    ),
    figure(
        "last_data_recv_ms",
        U32(52),
        "time since data came in (lastrcv)",
    ),
    figure(
        "last_ack_recv_ms",
        U32(56),
        "time since an acknowledgement came in (lastack)",
    ),
    or_unset(
        u64::MAX,
        figure("pacing_rate_bytes_per_s", U64(104), "pacing rate"),
    ),
    or_unset(
        u64::MAX,
        figure(
            "max_pacing_rate_bytes_per_s",
            U64(112),
            "limit of the pacing rate",
        ),
    ),
    figure(
        "delivery_rate_bytes_per_s",
        U64(160),
        "rate at which data was delivered last",
    ),
    figure("delivered", U32(192), "segments delivered"),
    figure("delivered_ce", U32(196), "of these, with a congestion mark"),
    figure("busy_us", U64(168), "time with data to send"),
    figure(
        "rwnd_limited_us",
        U64(176),
        "of this, held up by the peer's window",
    ),
    figure(
        "sndbuf_limited_us",
        U64(184),
        "of this, held up by the send buffer",
    ),
    figure("unacked", U32(24), "segments sent and not acknowledged"),
    figure(
        "retrans",
        U32(36),
        "segments retransmitted and not acknowledged",
    ),
    figure("total_retrans", U32(100), "segments retransmitted in all"),
    figure("lost", U32(32), "segments that are taken for lost"),
    figure("sacked", U32(28), "segments acknowledged selectively"),
    figure("dsack_dups", U32(216), "segments that the peer had twice"),
    figure(
        "fackets",
        U32(40),
        "forward acknowledgements (0 since Linux 4.15)",
    ),
    figure("reordering", U32(88), "how far segments came out of order"),
    figure("reord_seen", U32(220), "how often they did"),
    or_unset(
        0,
        figure(
            "rcv_rtt_us",
            U32(92),
            "round trip time as the receiver sees it",
        ),
    ),
    figure(
        "rcv_space",
        U32(96),
        "bytes that the application reads in a round trip",
    ),
    figure(
        "rcv_ssthresh",
        U32(64),
        "bytes of window that may be announced",
    ),
    figure("notsent", U32(144), "bytes queued and not sent yet"),
    or_unset(
        0xffff_ffff,
        figure("minrtt_us", U32(148), "least round trip time"),
    ),
    figure("rcv_ooopack", U32(224), "segments received out of order"),
    figure(
        "snd_wnd",
        U32(228),
        "window that the peer announced, in bytes",
    ),
    figure(
        "rcv_wnd",
        U32(232),
        "window announced to the peer, in bytes",
    ),
    figure("rehash", U32(236), "times another path was tried"),
    figure("total_rto", U16(240), "retransmission timeouts in all"),
    figure(
        "total_rto_recoveries",
        U16(242),
        "of these, those that recovered",
    ),
    figure(
        "total_rto_time_ms",
        U32(244),
        "time spent in recovery from timeouts",
    ),
    figure(
        "usec_timestamps",
        option(6),
        "timestamps count microseconds",
    ),
    figure("tfo_child", option(7), "accepted with data in the SYN"),
    figure(
        "send_bytes_per_s",
        Place::Send,
        "rate that the window and the round trip allow (ss: send)",
    ),
    figure(
        "bbr_bw_bytes_per_s",
        control(BBR, 0, 8),
        "BBR: bandwidth estimate",
    ),
    figure(
        "bbr_minrtt_us",
        control(BBR, 8, 4),
        "BBR: least round trip time",
    ),
    figure(
        "bbr_pacing_gain",
        control(BBR, 12, 4),
        "BBR: gain of the pacing rate, in 256ths",
    ),
    figure(
        "bbr_cwnd_gain",
        control(BBR, 16, 4),
        "BBR: gain of the congestion window, in 256ths",
    ),
    figure(
        "dctcp_enabled",
        control(DCTCP, 0, 2),
        "DCTCP: 1 where it is in use, 0 where it fell back",
    ),
    figure(
        "dctcp_ce_state",
        control(DCTCP, 2, 2),
        "DCTCP: 1 where the last packet had a congestion mark",
    ),
    figure(
        "dctcp_alpha",
        control(DCTCP, 4, 4),
        "DCTCP: part of the bytes that were marked, in 1024ths",
    ),
    figure(
        "dctcp_ab_ecn",
        control(DCTCP, 8, 4),
        "DCTCP: acknowledged bytes that were marked",
    ),
    figure(
        "dctcp_ab_tot",
        control(DCTCP, 12, 4),
        "DCTCP: acknowledged bytes",
    ),
    figure(
        "vegas_enabled",
        control(VEGAS, 0, 4),
        "Vegas and its like: 1 where it is in use",
    ),
    figure(
        "vegas_rttcnt",
        control(VEGAS, 4, 4),
        "Vegas: round trips measured in this window",
    ),
    figure(
        "vegas_rtt_us",
        control(VEGAS, 8, 4),
        "Vegas: round trip time",
    ),
    figure(
        "vegas_minrtt_us",
        control(VEGAS, 12, 4),
        "Vegas: least round trip time",
    ),
];

/// The figures of memory, in bytes but for the last, in the order in which ss -m prints them.
pub static MEMORY: &[Figure] = &[
    figure(
        "rmem_alloc",
        Memory(0),
        "bytes of memory that received data takes (r)",
    ),
    figure("rcvbuf", Memory(1), "limit of the same, SO_RCVBUF (rb)"),
    figure(
        "wmem_alloc",
        Memory(2),
        "bytes of memory handed to lower layers (t)",
    ),
    figure(
        "sndbuf",
        Memory(3),
        "limit of memory to send, SO_SNDBUF (tb)",
    ),
    figure("fwd_alloc", Memory(4), "bytes reserved and not used (f)"),
    figure(
        "wmem_queued",
        Memory(5),
        "bytes of memory that queued data takes (w)",
    ),
    figure("optmem", Memory(6), "bytes of memory that options take (o)"),
    figure(
        "sk_backlog",
        Memory(7),
        "bytes that wait while the socket is locked (bl)",
    ),
    figure("drops", Memory(8), "packets dropped (d)"),
];
