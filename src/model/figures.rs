//! The figures of a socket's [`Detail`]: what each is called, where it stands, what it says.
//!
//! The places are those of `struct tcp_info` (`include/uapi/linux/tcp.h`) and of the `SK_MEMINFO_`
//! numbers (`include/uapi/linux/sock_diag.h`). A name ends with its unit where it has one.

use super::{Detail, DetailSet};

/// One figure.
#[derive(Debug)]
pub struct Figure {
    pub name: &'static str,
    /// What it says, in a few words.
    pub about: &'static str,
    place: Place,
    /// The value by which the kernel says that there is none.
    unset: Option<u64>,
}

impl PartialEq for Figure {
    fn eq(&self, other: &Figure) -> bool {
        self.name == other.name
    }
}

impl Eq for Figure {}

/// How a figure stands in its structure: the byte that it begins at, and its width.
#[derive(Debug, Clone, Copy)]
enum Place {
    Bit {
        at: usize,
        bit: u8,
    },
    Low4(usize),
    High4(usize),
    U8(usize),
    U16(usize),
    U32(usize),
    U64(usize),
    /// One of the memory figures, by number.
    Memory(usize),
    /// Of the structure that a congestion control sends as this attribute: at which byte, and how
    /// wide.
    Control {
        kind: u16,
        at: usize,
        width: usize,
    },
    /// The congestion window's bytes over the round trip time, as ss computes it; `None` where there
    /// was no round trip, or the product is none that a kernel could mean.
    Send,
}

/// What a figure says of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FigureValue {
    Flag(bool),
    Number(u64),
}

impl Figure {
    /// What has to be asked for to know it.
    pub fn needs(&self) -> DetailSet {
        match self.place {
            Place::Memory(_) => DetailSet::MEMORY,
            Place::Control { .. } => DetailSet::CONGESTION,
            _ => DetailSet::INFO,
        }
    }

    /// What it says of a socket; `None` where the kernel did not tell it.
    pub fn of(&self, detail: &Detail) -> Option<FigureValue> {
        let info = detail.info.bytes();
        let number = match self.place {
            Place::Bit { at, bit } => {
                let options = number(info, at, 1)?;
                return Some(FigureValue::Flag(options >> bit & 1 == 1));
            }
            Place::Low4(at) => number(info, at, 1)? & 0xf,
            Place::High4(at) => number(info, at, 1)? >> 4,
            Place::U8(at) => number(info, at, 1)?,
            Place::U16(at) => number(info, at, 2)?,
            Place::U32(at) => number(info, at, 4)?,
            Place::U64(at) => number(info, at, 8)?,
            Place::Control { kind, at, width } => number(detail.control(kind)?, at, width)?,
            Place::Send => {
                let (mss, rtt_us) = (number(info, 16, 4)?, number(info, 68, 4)?);
                let window = number(info, 80, 4)?.checked_mul(mss)?;
                window.checked_mul(1_000_000)?.checked_div(rtt_us)?
            }
            Place::Memory(place) => number(detail.memory.bytes(), place * 4, 4)?,
        };
        (self.unset != Some(number)).then_some(FigureValue::Number(number))
    }
}

/// The number of so many bytes, in this machine's order, that begins at one; `None` where they are
/// not all there.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    Some(match width {
        1 => u64::from(*bytes.first()?),
        2 => u64::from(u16::from_ne_bytes(*bytes.first_chunk()?)),
        4 => u64::from(u32::from_ne_bytes(*bytes.first_chunk()?)),
        _ => u64::from_ne_bytes(*bytes.first_chunk()?),
    })
}

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

/// `INET_DIAG_VEGASINFO`, `INET_DIAG_DCTCPINFO` and `INET_DIAG_BBRINFO`: which of the structures of
/// `include/uapi/linux/inet_diag.h` came.
const VEGAS: u16 = 3;
const DCTCP: u16 = 9;
const BBR: u16 = 16;

const fn control(kind: u16, at: usize, width: usize) -> Place {
    Place::Control { kind, at, width }
}

const fn option(bit: u8) -> Place {
    Place::Bit { at: 5, bit }
}

use Place::{High4, Low4, Memory, U8, U16, U32, U64};

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_past_what_an_older_kernel_sent_is_unknown() {
        let mut detail = Detail::default();
        let mut info = [0; 104];
        info[68..72].copy_from_slice(&1500u32.to_ne_bytes());
        info[76..80].copy_from_slice(&0x7fff_ffffu32.to_ne_bytes());
        info[5] = 0b11;
        info[6] = 0x7a;
        detail.set_info(&info);
        let of = |name: &str| of(name, &detail);
        assert_eq!(of("rtt_us"), Some(FigureValue::Number(1500)));
        assert_eq!(of("ssthresh"), None);
        assert_eq!(of("sack"), Some(FigureValue::Flag(true)));
        assert_eq!(of("ecn"), Some(FigureValue::Flag(false)));
        assert_eq!(of("snd_wscale"), Some(FigureValue::Number(10)));
        assert_eq!(of("rcv_wscale"), Some(FigureValue::Number(7)));
        assert_eq!(of("total_retrans"), Some(FigureValue::Number(0)));
        assert_eq!(of("pacing_rate_bytes_per_s"), None);
        assert!(MEMORY.iter().all(|figure| figure.of(&detail).is_none()));
    }

    fn of(name: &str, detail: &Detail) -> Option<FigureValue> {
        let figure = TCP_INFO.iter().find(|figure| figure.name == name);
        figure.unwrap().of(detail)
    }

    #[test]
    fn what_a_congestion_control_says_of_itself_is_read_only_as_its_own() {
        let mut detail = Detail::default();
        let bbr: Vec<u8> = [0x89ab_cdefu32, 1, 40, 739, 512]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        detail.set_control(BBR, &bbr);
        let number = |name| of(name, &detail);
        let expected = u64::from_ne_bytes(*bbr.first_chunk().unwrap());
        assert_eq!(
            number("bbr_bw_bytes_per_s"),
            Some(FigureValue::Number(expected))
        );
        assert_eq!(number("bbr_minrtt_us"), Some(FigureValue::Number(40)));
        assert_eq!(number("bbr_pacing_gain"), Some(FigureValue::Number(739)));
        assert_eq!(number("bbr_cwnd_gain"), Some(FigureValue::Number(512)));
        assert_eq!(number("vegas_enabled"), None);
        assert_eq!(number("dctcp_alpha"), None);
        // Cut off within a figure.
        detail.set_control(DCTCP, &bbr[..6]);
        assert!(of("dctcp_ce_state", &detail).is_some());
        assert_eq!(of("dctcp_alpha", &detail), None);
        assert_eq!(of("bbr_bw_bytes_per_s", &detail), None);
    }

    #[test]
    fn a_rate_that_no_kernel_could_mean_is_unknown() {
        let mut info = [0; 104];
        let mut send = |mss: u32, rtt_us: u32, cwnd: u32| {
            for (at, word) in [(16, mss), (68, rtt_us), (80, cwnd)] {
                info[at..at + 4].copy_from_slice(&word.to_ne_bytes());
            }
            let mut detail = Detail::default();
            detail.set_info(&info);
            of("send_bytes_per_s", &detail)
        };
        assert_eq!(send(1460, 1000, 10), Some(FigureValue::Number(14_600_000)));
        assert_eq!(send(1460, 0, 10), None);
        assert_eq!(send(u32::MAX, 1, u32::MAX), None);
    }

    #[test]
    fn no_two_figures_share_a_name() {
        let mut names: Vec<&str> = TCP_INFO
            .iter()
            .chain(MEMORY)
            .map(|figure| figure.name)
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
