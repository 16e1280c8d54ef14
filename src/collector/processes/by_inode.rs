//! The sockets of the tables, by inode.

use crate::model::Socket;

/// Sockets in the order of their inodes.
pub(super) struct SocketsByInode<'a>(Vec<(u32, &'a Socket)>);

impl<'a> SocketsByInode<'a> {
    pub(super) fn new(sockets: &'a [Socket]) -> SocketsByInode<'a> {
        let mut by_inode: Vec<(u32, &Socket)> = sockets
            .iter()
            .filter(|socket| socket.inode != 0)
            .map(|socket| (socket.inode, socket))
            .collect();
        by_inode.sort_unstable_by_key(|(inode, _)| *inode);
        SocketsByInode(by_inode)
    }

    pub(super) fn find(&self, inode: u32) -> Option<&'a Socket> {
        let at = self
            .0
            .binary_search_by_key(&inode, |(inode, _)| *inode)
            .ok()?;
        self.0.get(at).map(|(_, socket)| *socket)
    }
}
