//! What differs between versions of Go: where the structures of the runtime have their fields, and its
//! texts.
//!
//! The numbers are those of x86-64. They are from the DWARF of programs built by Go 1.19.8, 1.21.13,
//! 1.22.10, 1.23.9, 1.24.11, 1.25.5, 1.26.6 and 1.27.3, and the texts from their data. Programs built by
//! 1.18.3, 1.20.3 and 1.20.7 have no DWARF: their goroutines were compared with what the runtime writes
//! itself. `tests/runtimes/go` compares that for any toolchain.

use super::reasons::Reasons;
use crate::model::Words;

/// The oldest and the newest version in the table, as in `1.18`.
const KNOWN: std::ops::RangeInclusive<u32> = 18..=27;

/// `g.stack`: the lowest address of the stack, and the first one above it.
pub(super) const STACK: usize = 0;
/// `g.sched.sp`, followed by `pc`: where a goroutine goes on that does not run.
pub(super) const SCHEDULED: usize = 56;
/// `g.sched.g`: the address of the `g` itself.
pub(super) const ITSELF: usize = SCHEDULED + 16;

/// Where the fields are, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Layout {
    /// `g.syscallsp`, followed by `syscallpc`.
    pub(super) system_call: usize,
    /// `g.atomicstatus`.
    pub(super) status: usize,
    /// `g.goid`.
    pub(super) id: usize,
    /// `g.waitsince`, followed by `waitreason`.
    pub(super) wait: usize,
    /// `g.trackingSeq`, which counts how often a goroutine stopped to run.
    pub(super) sequence: usize,
    /// `moduledata.gofunc`.
    pub(super) function_data: u64,
    /// Which of the words of a `runtime.pollDesc` is `rg`; the next is `wg`.
    pub(super) poll_waiters: usize,
    pub(super) table: Table,
    pub(super) reasons: Reasons,
}

/// The version of the table of functions (internal/abi/symtab.go, "PCLnTabMagic").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Table {
    Go118,
    Go120,
}

impl Table {
    pub(super) fn magic(self) -> u32 {
        match self {
            Table::Go118 => 0xffff_fff0,
            Table::Go120 => 0xffff_fff1,
        }
    }

    /// The size of a `_func`, in bytes.
    pub(super) fn function(self) -> u64 {
        match self {
            Table::Go118 => 40,
            Table::Go120 => 44,
        }
    }

    /// The size of an `inlinedCall`, and where it has the name and the place of the call, in bytes.
    pub(super) fn inlined(self) -> (u64, u64, u64) {
        match self {
            Table::Go118 => (20, 12, 16),
            Table::Go120 => (16, 4, 8),
        }
    }
}

impl Layout {
    /// The layout of a version such as `go1.22.1`, `go1.24rc2` or `go1.23.4 X:nocoverageredesign`.
    ///
    /// # Errors
    /// The version is none that is known, in words.
    pub(super) fn of(version: &str) -> Result<Layout, Words> {
        let minor = version.strip_prefix("go1.").and_then(|rest| {
            let end = rest.find(|of: char| !of.is_ascii_digit());
            rest.get(..end.unwrap_or(rest.len()))?.parse::<u32>().ok()
        });
        match minor {
            Some(minor) if KNOWN.contains(&minor) => Ok(Layout::of_minor(minor)),
            _ => Err(format!(
                "its goroutines were not read: closewait knows Go 1.{} to 1.{}, and it was built with {version}",
                KNOWN.start(),
                KNOWN.end()
            )
            .into()),
        }
    }

    fn of_minor(minor: u32) -> Layout {
        let (system_call, status) = match minor {
            ..=22 => (112, 144),
            // `syscallbp` is new.
            23..=24 => (112, 152),
            // `gobuf.ret` is gone.
            _ => (104, 144),
        };
        Layout {
            system_call,
            status,
            id: status + 8,
            wait: status + 24,
            sequence: status
                + match minor {
                    ..=20 => 45,
                    21 => 44,
                    _ => 47,
                },
            function_data: match minor {
                ..=19 => 304,
                20..=26 => 320,
                _ => 344,
            },
            poll_waiters: if minor <= 20 { 3 } else { 4 },
            table: if minor <= 19 {
                Table::Go118
            } else {
                Table::Go120
            },
            reasons: Reasons::of_minor(minor),
        }
    }

    /// How many bytes of a `g` contain all that is read.
    pub(super) fn length(&self) -> usize {
        self.sequence + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_not_known_is_named_and_never_guessed() {
        for known in ["go1.18", "go1.19.8", "go1.24rc2", "go1.27.3 X:nogreenteagc"] {
            assert!(Layout::of(known).is_ok(), "{known}");
        }
        for unknown in [
            "go1.17.13",
            "go1.28",
            "go1.280",
            "go2.0",
            "go1.",
            "devel go1.28-a",
            "",
        ] {
            let error = Layout::of(unknown).unwrap_err();
            assert!(error.raw().ends_with(unknown), "{error}");
        }
    }

    #[test]
    fn the_fields_are_where_the_debug_information_of_real_programs_has_them() {
        let fields = |version| {
            let layout = Layout::of(version).unwrap();
            let Layout {
                system_call,
                status,
                id,
                wait,
                sequence,
                function_data,
                ..
            } = layout;
            (system_call, status, id, wait, sequence, function_data)
        };
        assert_eq!(fields("go1.19.8"), (112, 144, 152, 168, 189, 304));
        assert_eq!(fields("go1.21.13"), (112, 144, 152, 168, 188, 320));
        assert_eq!(fields("go1.22.10"), (112, 144, 152, 168, 191, 320));
        assert_eq!(fields("go1.23.9"), (112, 152, 160, 176, 199, 320));
        assert_eq!(fields("go1.24.11"), (112, 152, 160, 176, 199, 320));
        assert_eq!(fields("go1.25.5"), (104, 144, 152, 168, 191, 320));
        assert_eq!(fields("go1.26.6"), (104, 144, 152, 168, 191, 320));
        assert_eq!(fields("go1.27.3"), (104, 144, 152, 168, 191, 344));
    }
}
