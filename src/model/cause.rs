//! Causes: why a socket is in CLOSE_WAIT. One table names each of them.

use std::fmt;
use std::str::FromStr;

/// The table of causes: the variant, the name, and whether a socket with it stays open longer than it
/// should. Causes of sockets come first, in the order in which the rules try them; then those that
/// only findings have. The rows are passed to the macro `$with`.
///
/// A new cause is a row here, a rule in `classifier/cause.rs`, a sentence in
/// `renderer/findings/meaning/`, a text in `explain/text/en/causes/` and `zh/`, and its name in `docs/`.
macro_rules! causes {
    ($with:ident) => {
        $with! {
            of_sockets {
                Transient "transient" false,
                NotAccepted "not-accepted" true,
                HalfClose "half-close" false,
                SendStuck "send-stuck" true,
                Inherited "inherited" true,
                NeverClosed "never-closed" true,
                StalePool "stale-pool" true,
                SlowHandler "slow-handler" true,
                Abandoned "abandoned" true,
                NotReading "not-reading" true,
                Unclear "unclear" true,
            }
            of_findings {
                // Descriptors whose connections are in no table any more.
                DeadDescriptors "dead-descriptors" true,
                // FIN_WAIT2 sockets that a process holds: the remote end is in CLOSE_WAIT.
                PeerNotClosed "peer-not-closed" true,
            }
        }
    };
}
pub(crate) use causes;

macro_rules! define {
    (
        of_sockets { $($cause:ident $name:literal $is_fault:literal,)* }
        of_findings { $($other:ident $other_name:literal $other_is_fault:literal,)* }
    ) => {
        /// Why a socket is in CLOSE_WAIT. The names are stable and the same in every output.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Cause {
            $($cause,)*
            $($other,)*
        }

        impl Cause {
            /// Every cause that a socket can have, in the order in which the rules try them.
            pub const ALL: [Cause; [$($name),*].len()] = [$(Cause::$cause),*];

            /// Causes that only findings have, and no socket.
            pub const OF_FINDINGS: [Cause; [$($other_name),*].len()] = [$(Cause::$other),*];

            pub fn name(self) -> &'static str {
                match self {
                    $(Cause::$cause => $name,)*
                    $(Cause::$other => $other_name,)*
                }
            }

            /// Whether a socket with this cause stays open longer than it should.
            pub fn is_fault(self) -> bool {
                match self {
                    $(Cause::$cause => $is_fault,)*
                    $(Cause::$other => $other_is_fault,)*
                }
            }
        }
    };
}
causes!(define);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is not one of [`Cause::ALL`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown cause {0:?}: one of {all}", all = Cause::ALL.map(Cause::name).join(", "))]
pub struct UnknownCause(pub String);

impl FromStr for Cause {
    type Err = UnknownCause;

    /// Parses a name in any case, with `-` or `_` between words.
    fn from_str(name: &str) -> Result<Cause, UnknownCause> {
        let plain = name.replace('_', "-").to_ascii_lowercase();
        Cause::ALL
            .into_iter()
            .find(|cause| cause.name() == plain)
            .ok_or_else(|| UnknownCause(name.to_owned()))
    }
}

/// A set of causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Causes(u16);

impl Causes {
    pub const NONE: Causes = Causes(0);

    pub fn of(causes: impl IntoIterator<Item = Cause>) -> Causes {
        causes.into_iter().fold(Causes::NONE, Causes::with)
    }

    pub fn with(self, cause: Cause) -> Causes {
        Causes(self.0 | 1 << cause as u16)
    }

    pub fn contains(self, cause: Cause) -> bool {
        self.0 & 1 << cause as u16 != 0
    }
}
