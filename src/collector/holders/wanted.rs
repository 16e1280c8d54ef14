//! The sockets whose holders are wanted.

use rustc_hash::FxHashSet;

use crate::model::Holder;

/// The sockets whose holders are wanted, by inode.
pub struct Wanted {
    inodes: FxHashSet<u32>,
    /// A bit for the low half of each inode, which rules out most unwanted sockets if few are wanted.
    low: Box<[u64; LOW_WORDS]>,
    /// They are all TCP sockets of the namespaces: any other TCP socket is in no table.
    pub(super) whole: bool,
}

impl Wanted {
    /// `whole`: they are all TCP sockets of the namespaces. Inode 0 stands for no socket and is ignored.
    pub fn new(inodes: impl Iterator<Item = u32>, whole: bool) -> Wanted {
        let inodes: FxHashSet<u32> = inodes.filter(|inode| *inode != 0).collect();
        let mut low = Box::new([0; LOW_WORDS]);
        for inode in &inodes {
            let (word, bit) = low_bit(*inode);
            if let Some(word) = low.get_mut(word) {
                *word |= bit;
            }
        }
        Wanted { inodes, low, whole }
    }

    pub fn is_empty(&self) -> bool {
        self.inodes.is_empty()
    }

    pub(super) fn contains(&self, inode: u32) -> bool {
        let (word, bit) = low_bit(inode);
        let low = self.low.get(word).copied().unwrap_or_default();
        low & bit != 0 && self.inodes.contains(&inode)
    }

    /// The sockets that none of these holds.
    pub fn without(&self, holders: &[Holder]) -> FxHashSet<u32> {
        let held: FxHashSet<u32> = holders.iter().map(|holder| holder.inode).collect();
        self.inodes.difference(&held).copied().collect()
    }
}

const LOW_WORDS: usize = 1 << 10;

/// The place of an inode in [`Wanted::low`].
fn low_bit(inode: u32) -> (usize, u64) {
    let low = inode as u16;
    (usize::from(low / 64), 1 << (low % 64))
}
