//! Details of a socket that judgement does not need: all of `struct tcp_info`, memory, congestion
//! control. They are kept apart from [`Socket`](super::Socket) and only if asked for, because a host
//! may have a million sockets.

use std::num::NonZeroU32;

/// The bytes of `struct tcp_info` that are kept: its size in Linux 6.18.
const INFO: usize = 280;
/// `SK_MEMINFO_VARS` (`include/uapi/linux/sock_diag.h`), four bytes each.
const MEMORY: usize = 36;
/// `TCP_CA_NAME_MAX` (`include/net/tcp.h`).
const NAME: usize = 16;

/// `union tcp_cc_info`.
const CONTROL: usize = 20;

/// The details of one socket. Older kernels send shorter structures; the missing fields are unknown,
/// not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Detail {
    pub(super) info: Prefix<INFO>,
    pub(super) memory: Prefix<MEMORY>,
    pub(super) congestion: Prefix<NAME>,
    /// The attribute and data of the congestion control (`INET_DIAG_VEGASINFO` and others).
    pub(super) control: Option<(u16, Prefix<CONTROL>)>,
    /// `IP_TOS`.
    pub tos: Option<u8>,
    /// `IPV6_TCLASS`.
    pub tclass: Option<u8>,
    /// Which directions are shut down: 1 for receiving, 2 for sending (`RCV_SHUTDOWN`,
    /// `SEND_SHUTDOWN`).
    pub shutdown: Option<u8>,
}

impl Detail {
    /// Sets the `struct tcp_info`, which may be a prefix.
    pub fn set_info(&mut self, bytes: &[u8]) {
        self.info = Prefix::of(bytes);
    }

    /// Sets the figures of an `INET_DIAG_SKMEMINFO`, which may be a prefix.
    pub fn set_memory(&mut self, bytes: &[u8]) {
        self.memory = Prefix::of(bytes);
    }

    /// Sets the name of the congestion control, which ends at the first NUL.
    pub fn set_congestion(&mut self, bytes: &[u8]) {
        let end = bytes.iter().position(|byte| *byte == 0);
        self.congestion = Prefix::of(bytes.get(..end.unwrap_or(bytes.len())).unwrap_or(bytes));
    }

    /// Sets the data of the congestion control.
    pub fn set_control(&mut self, kind: u16, bytes: &[u8]) {
        self.control = Some((kind, Prefix::of(bytes)));
    }

    /// The data of the congestion control, if it came as this attribute.
    pub(super) fn control(&self, kind: u16) -> Option<&[u8]> {
        let (came, bytes) = self.control.as_ref()?;
        (*came == kind).then(|| bytes.bytes())
    }

    /// The name of the congestion control; `None` if unknown.
    pub fn congestion(&self) -> Option<&[u8]> {
        let name = self.congestion.bytes();
        (!name.is_empty()).then_some(name)
    }
}

/// Up to `MOST` bytes of a structure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix<const MOST: usize> {
    length: u16,
    bytes: [u8; MOST],
}

impl<const MOST: usize> Default for Prefix<MOST> {
    fn default() -> Self {
        Prefix {
            length: 0,
            bytes: [0; MOST],
        }
    }
}

impl<const MOST: usize> Prefix<MOST> {
    fn of(source: &[u8]) -> Self {
        let mut prefix = Prefix::default();
        for (to, from) in prefix.bytes.iter_mut().zip(source) {
            *to = *from;
        }
        prefix.length = u16::try_from(source.len().min(MOST)).unwrap_or(0);
        prefix
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

/// The position of a socket's details in [`Details`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetailRef(NonZeroU32);

/// The details of those sockets that have any.
#[derive(Debug, Clone, Default)]
pub struct Details(Vec<Detail>);

impl Details {
    pub fn push(&mut self, detail: Detail) -> Option<DetailRef> {
        self.0.push(detail);
        let place = u32::try_from(self.0.len()).ok().and_then(NonZeroU32::new);
        place.map(DetailRef)
    }

    pub fn get(&self, place: DetailRef) -> Option<&Detail> {
        self.0.get(place.0.get() as usize - 1)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keeps only the first `length` details.
    pub fn truncate(&mut self, length: usize) {
        self.0.truncate(length);
    }

    /// Appends another table, and updates the positions of its details.
    pub fn append<'a>(
        &mut self,
        mut others: Details,
        positions: impl IntoIterator<Item = &'a mut DetailRef>,
    ) {
        if self.0.is_empty() {
            *self = others;
            return;
        }
        let offset = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        self.0.append(&mut others.0);
        for position in positions {
            position.0 = position.0.saturating_add(offset);
        }
    }
}

/// Which details to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DetailSet(u8);

impl DetailSet {
    pub const NONE: DetailSet = DetailSet(0);
    /// All of tcp_info.
    pub const INFO: DetailSet = DetailSet(1);
    /// Memory: `INET_DIAG_SKMEMINFO`.
    pub const MEMORY: DetailSet = DetailSet(2);
    /// The congestion control's name.
    pub const CONGESTION: DetailSet = DetailSet(4);
    /// The type of service and the traffic class.
    pub const CLASS: DetailSet = DetailSet(8);
    /// Which directions are shut down.
    pub const SHUTDOWN: DetailSet = DetailSet(16);

    /// Everything that there is.
    pub const ALL: DetailSet = DetailSet(31);

    pub fn union(self, other: DetailSet) -> DetailSet {
        DetailSet(self.0 | other.0)
    }

    pub fn contains(self, other: DetailSet) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn is_empty(self) -> bool {
        self.0 == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_longer_than_this_program_knows_is_taken_as_far_as_it_goes() {
        let mut detail = Detail::default();
        detail.set_info(&[7; 400]);
        assert_eq!(detail.info.bytes().len(), INFO);
        detail.set_congestion(b"cubic\0\0\0");
        assert_eq!(detail.congestion(), Some(&b"cubic"[..]));
        detail.set_congestion(b"\0");
        assert_eq!(detail.congestion(), None);
    }

    #[test]
    fn details_that_move_are_found_where_they_went() {
        let with = |tos| Detail {
            tos: Some(tos),
            ..Detail::default()
        };
        let mut all = Details::default();
        all.push(with(1));
        let mut others = Details::default();
        let mut place = others.push(with(2)).unwrap();
        all.append(others, [&mut place]);
        let found = all.get(place);
        assert_eq!(found.and_then(|detail| detail.tos), Some(2));
    }
}
