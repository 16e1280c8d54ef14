//! The figures of a socket's [`Detail`]: the name, place and meaning of each.
//!
//! Places are offsets in `struct tcp_info` (`include/uapi/linux/tcp.h`) and `SK_MEMINFO_`
//! numbers (`include/uapi/linux/sock_diag.h`). A name ends with its unit where it has one.

mod table;

pub use self::table::{MEMORY, TCP_INFO};
use super::{Detail, DetailSet};

/// One figure.
#[derive(Debug)]
pub struct Figure {
    pub name: &'static str,
    /// What it means, in a few words.
    pub about: &'static str,
    place: Place,
    /// The value with which the kernel reports that there is none.
    unset: Option<u64>,
}

impl PartialEq for Figure {
    fn eq(&self, other: &Figure) -> bool {
        self.name == other.name
    }
}

impl Eq for Figure {}

/// The place of a figure in its structure: its first byte and its width.
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
    /// In the structure that a congestion control sends as this attribute.
    Control {
        kind: u16,
        at: usize,
        width: usize,
    },
    /// The bytes of the congestion window per round trip time, as ss computes `send`; unknown without a
    /// round trip time, or if the product overflows.
    Send,
}

/// The value of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FigureValue {
    Flag(bool),
    Number(u64),
}

impl Figure {
    /// The details that must be read for this figure.
    pub fn needs(&self) -> DetailSet {
        match self.place {
            Place::Memory(_) => DetailSet::MEMORY,
            Place::Control { .. } => DetailSet::CONGESTION,
            _ => DetailSet::INFO,
        }
    }

    /// The value for a socket; `None` if the kernel did not report it.
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

/// The number of `width` bytes at `at`, in native byte order; `None` if bytes are missing.
fn number(bytes: &[u8], at: usize, width: usize) -> Option<u64> {
    let bytes = bytes.get(at..at.checked_add(width)?)?;
    Some(match width {
        1 => u64::from(*bytes.first()?),
        2 => u64::from(u16::from_ne_bytes(*bytes.first_chunk()?)),
        4 => u64::from(u32::from_ne_bytes(*bytes.first_chunk()?)),
        _ => u64::from_ne_bytes(*bytes.first_chunk()?),
    })
}

#[cfg(test)]
mod tests {
    use super::table::{BBR, DCTCP};
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
