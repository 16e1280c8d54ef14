//! What a walk has seen: sockets, epoll sets and other files, from the blocks that the program wrote.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::{io, process};

use rustc_hash::FxHashMap;
use rustix::event::epoll;

use crate::collector::holders::bpf::program::block;
use crate::model::{Holder, Pid};

/// Everything that a walk has seen.
#[derive(Debug, Default)]
pub struct Seen {
    /// Every descriptor that is a socket.
    pub sockets: Vec<Holder>,
    /// Every descriptor that is an epoll set.
    pub epolls: Vec<(Pid, u32)>,
    /// Every other descriptor.
    pub others: Vec<Other>,
    /// The number of open files of each process, in its fullest descriptor table.
    pub fds: FxHashMap<Pid, u64>,
    /// Threads with their own descriptor tables: their processes, and the number of open files.
    threads: FxHashMap<Pid, (Pid, u64)>,
}

/// A descriptor that is neither a socket nor an epoll set.
#[derive(Debug, Clone, Copy)]
pub struct Other {
    /// The low half of the address of its operations, which all files of one kind share.
    pub operations: u32,
    pub pid: Pid,
    pub fd: u32,
}

impl Seen {
    pub fn with_room_for(blocks: u32) -> Seen {
        Seen {
            sockets: Vec::with_capacity(blocks as usize * usize::from(block::FILES)),
            ..Seen::default()
        }
    }

    pub fn add(&mut self, blocks: Blocks<'_>, kinds: &Kinds) {
        for block in blocks.each() {
            let task = block.task();
            if let Some(process) = block.process() {
                if process == task {
                    self.fds.entry(task).or_default();
                } else {
                    self.threads.insert(task, (process, 0));
                }
                continue;
            }
            let thread = self.threads.get_mut(&task);
            let pid = thread.as_ref().map_or(task, |(process, _)| *process);
            let mut open = 0;
            for file in block.files() {
                open += 1;
                if Some(file.operations) == kinds.socket {
                    self.sockets.push(Holder {
                        inode: file.inode,
                        pid,
                        fd: file.fd,
                    });
                } else if Some(file.operations) == kinds.epoll {
                    self.epolls.push((pid, file.fd));
                } else {
                    self.others.push(Other {
                        operations: file.operations,
                        pid,
                        fd: file.fd,
                    });
                }
            }
            match thread {
                Some((_, files)) => *files += open,
                None => *self.fds.entry(pid).or_default() += open,
            }
        }
    }

    /// Completes the numbers of open files, after the last block.
    pub fn finish(&mut self) {
        for (process, files) in self.threads.values() {
            if let Some(most) = self.fds.get_mut(process) {
                *most = (*files).max(*most);
            }
        }
    }
}

/// The operations of sockets and of epoll sets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds {
    socket: Option<u32>,
    epoll: Option<u32>,
}

impl Kinds {
    /// Whether both are known and different.
    pub fn are_known(&self) -> bool {
        self.socket.is_some() && self.epoll.is_some() && self.socket != self.epoll
    }
}

/// Some of the blocks that the program wrote.
#[derive(Debug, Clone, Copy)]
pub struct Blocks<'a>(&'a [[u8; block::SIZE as usize]]);

impl<'a> Blocks<'a> {
    /// The first `count` blocks, or as many as there are.
    pub fn of(bytes: &'a [u8], count: u32) -> Blocks<'a> {
        let (blocks, _) = bytes.as_chunks();
        Blocks(blocks.get(..count as usize).unwrap_or(blocks))
    }

    fn each(self) -> impl Iterator<Item = Block<'a>> {
        self.0.iter().map(Block)
    }
}

/// One block; see [`block`].
struct Block<'a>(&'a [u8; block::SIZE as usize]);

/// An open file.
struct File {
    fd: u32,
    inode: u32,
    /// The low half of the address of its operations, which all files of one kind share.
    operations: u32,
}

impl<'a> Block<'a> {
    fn task(&self) -> Pid {
        Pid(self.word(block::TASK, 0))
    }

    /// The process of the task; `None` if the block contains descriptors.
    fn process(&self) -> Option<Pid> {
        let is_alone = self.word(block::FIRST, 0) == block::NONE;
        is_alone.then(|| Pid(self.word(block::PROCESS, 0)))
    }

    fn files(self) -> impl Iterator<Item = File> + 'a {
        let first = self.word(block::FIRST, 0);
        // In a block with only a task, the rest is left over from before.
        let files = if first == block::NONE {
            0
        } else {
            block::FILES
        };
        (0..files).filter_map(move |at| {
            let operations = self.word(block::OPERATIONS, at);
            (operations != 0).then(|| File {
                fd: first + u32::from(at),
                inode: self.word(block::INODES, at),
                operations,
            })
        })
    }

    fn word(&self, from: i16, at: u8) -> u32 {
        let start = from as usize + 4 * usize::from(at);
        let bytes = self.0.get(start..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().map_or(0, u32::from_ne_bytes)
    }
}

/// A socket and an epoll set of this process. A walk must find them, and they show the operations of
/// each kind.
#[derive(Debug)]
pub struct Own {
    socket: UnixDatagram,
    epoll: OwnedFd,
    socket_inode: u32,
    epoll_inode: u32,
}

impl Own {
    pub fn open() -> io::Result<Own> {
        let socket = UnixDatagram::unbound()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        Ok(Own {
            socket_inode: inode(socket.as_fd())?,
            epoll_inode: inode(epoll.as_fd())?,
            socket,
            epoll,
        })
    }

    /// Searches the blocks for the files of this process.
    pub fn find_kinds(&self, blocks: Blocks<'_>, kinds: &mut Kinds) {
        let pid = Pid(process::id());
        for block in blocks.each().filter(|block| block.task() == pid) {
            for file in block.files() {
                if (file.fd, file.inode) == self.socket() {
                    kinds.socket = Some(file.operations);
                }
                if (file.fd, file.inode) == self.epoll() {
                    kinds.epoll = Some(file.operations);
                }
            }
        }
    }

    /// Descriptor and inode.
    fn socket(&self) -> (u32, u32) {
        (self.socket.as_raw_fd().cast_unsigned(), self.socket_inode)
    }

    fn epoll(&self) -> (u32, u32) {
        (self.epoll.as_raw_fd().cast_unsigned(), self.epoll_inode)
    }
}

fn inode(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let number = rustix::fs::fstat(fd)?.st_ino;
    u32::try_from(number).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(pid: u32, first: u32, files: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = [pid.to_ne_bytes(), first.to_ne_bytes()].concat();
        let word =
            |at: usize, of: fn(&(u32, u32)) -> u32| files.get(at).map_or(0, of).to_ne_bytes();
        for at in 0..usize::from(block::FILES) {
            bytes.extend(word(at, |file| file.0));
        }
        for at in 0..usize::from(block::FILES) {
            bytes.extend(word(at, |file| file.1));
        }
        bytes
    }

    #[test]
    fn a_walk_that_did_not_meet_this_process_tells_no_kinds() {
        let own = Own::open().unwrap();
        let ((socket, socket_inode), (epoll, epoll_inode)) = (own.socket(), own.epoll());
        let socket_block = |inode: u32| block(process::id(), socket, &[(0xa0, inode)]);
        let epoll_block = |kind| block(process::id(), epoll, &[(kind, epoll_inode)]);
        let kinds_in = |bytes: Vec<u8>| {
            let mut kinds = Kinds::default();
            own.find_kinds(Blocks::of(&bytes, u32::MAX), &mut kinds);
            kinds.are_known().then_some(kinds)
        };
        let both = [socket_block(socket_inode), epoll_block(0xb0)].concat();
        let known = Kinds {
            socket: Some(0xa0),
            epoll: Some(0xb0),
        };
        assert_eq!(kinds_in(both), Some(known));
        assert_eq!(kinds_in(socket_block(socket_inode)), None);
        assert_eq!(
            kinds_in([socket_block(socket_inode + 1), epoll_block(0xb0)].concat()),
            None
        );
        assert_eq!(
            kinds_in([socket_block(socket_inode), epoll_block(0xa0)].concat()),
            None
        );
    }

    #[test]
    fn blocks_are_sockets_epoll_sets_and_numbers_of_open_files() {
        let kinds = Kinds {
            socket: Some(0xa0),
            epoll: Some(0xb0),
        };
        // The rest of a task's own block is left over from an earlier walk.
        let task = |task, process| block(task, block::NONE, &[(process, 0), (0xa0, 1)]);
        let bytes = [
            task(7, 7),
            block(7, 0, &[(0xc0, 5), (0, 6), (0xa0, 77), (0xb0, 9)]),
            block(7, 32_768, &[(0xa0, 78)]),
            task(8, 8),
            // A thread of process 8 with its own table.
            task(10, 8),
            block(10, 0, &[(0xc0, 5), (0xa0, 80)]),
            block(9, 0, &[(0xa0, 79)]),
        ]
        .concat();
        let mut seen = Seen::with_room_for(7);
        // The last block is left over from an earlier walk.
        seen.add(Blocks::of(&bytes, 6), &kinds);
        seen.finish();
        let sockets: Vec<_> = seen
            .sockets
            .iter()
            .map(|socket| (socket.pid.0, socket.fd, socket.inode))
            .collect();
        assert_eq!(sockets, [(7, 2, 77), (7, 32_768, 78), (8, 1, 80)]);
        assert_eq!(seen.epolls, [(Pid(7), 3)]);
        assert_eq!(
            (seen.fds.len(), seen.fds[&Pid(7)], seen.fds[&Pid(8)]),
            (2, 4, 2)
        );
    }
}
