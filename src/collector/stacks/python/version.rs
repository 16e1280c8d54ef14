//! A version of CPython, as it is in `PY_VERSION_HEX` (CPython's `Include/patchlevel.h`).

use std::fmt;

use crate::model::Name;

/// A version, such as 3.11.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u8,
    pub(super) minor: u8,
    micro: u8,
    stage: Stage,
}

/// How far a version was from its release. The structures of a version are final from its first candidate
/// on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Alpha(u8),
    Beta(u8),
    Candidate(u8),
    Final,
}

impl Version {
    /// `None` if no version is written like that.
    pub(super) fn from_hex(hex: u64) -> Option<Version> {
        let [serial, micro, minor, major] = u32::try_from(hex).ok()?.to_le_bytes();
        let stage = match (serial >> 4, serial & 0xf) {
            (0xa, serial) => Stage::Alpha(serial),
            (0xb, serial) => Stage::Beta(serial),
            (0xc, serial) => Stage::Candidate(serial),
            (0xf, 0) => Stage::Final,
            _ => return None,
        };
        (major == 3).then_some(Version {
            major,
            minor,
            micro,
            stage,
        })
    }

    pub(super) fn is_final(self) -> bool {
        matches!(self.stage, Stage::Candidate(_) | Stage::Final)
    }

    pub(super) fn name(self) -> Name {
        Name::new(format!("CPython {self}").into_bytes())
    }
}

impl fmt::Display for Version {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}.{}", self.major, self.minor, self.micro)?;
        match self.stage {
            Stage::Alpha(serial) => write!(formatter, "a{serial}"),
            Stage::Beta(serial) => write!(formatter, "b{serial}"),
            Stage::Candidate(serial) => write!(formatter, "rc{serial}"),
            Stage::Final => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_written_as_python_writes_them() {
        let text = |hex| Version::from_hex(hex).map(|version| version.to_string());
        assert_eq!(text(0x030b_02f0).unwrap(), "3.11.2");
        assert_eq!(text(0x030e_00a3).unwrap(), "3.14.0a3");
        assert_eq!(text(0x030d_00c1).unwrap(), "3.13.0rc1");
        for odd in [0, 0x020b_02f0, 0x030b_0200, 0x030b_02f1, 1 << 40] {
            assert_eq!(text(odd), None, "{odd:x}");
        }
        assert!(Version::from_hex(0x030d_00c1).unwrap().is_final());
        assert!(!Version::from_hex(0x030d_00b4).unwrap().is_final());
    }
}
