//! What a walk met: the program's blocks, taken for what they are.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::{io, process};

use rustc_hash::FxHashMap;
use rustix::event::epoll;

use super::program::block;
use crate::model::{Holder, Pid};

/// All that a walk met, of every process.
#[derive(Debug, Default)]
pub struct Seen {
    /// Every descriptor that is a socket.
    pub sockets: Vec<Holder>,
    /// Every descriptor that is an epoll set.
    pub epolls: Vec<(Pid, u32)>,
    /// Open files of each process.
    pub fds: FxHashMap<Pid, u64>,
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
            let pid = block.pid();
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
                }
            }
            *self.fds.entry(pid).or_default() += open;
        }
    }
}

/// The operations by which it is told what a file is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Kinds {
    socket: Option<u64>,
    epoll: Option<u64>,
}

impl Kinds {
    /// They are, and can be told apart.
    pub fn are_known(&self) -> bool {
        self.socket.is_some() && self.epoll.is_some() && self.socket != self.epoll
    }
}

/// Some of what the program wrote.
#[derive(Debug, Clone, Copy)]
pub struct Blocks<'a>(&'a [[u8; block::SIZE as usize]]);

impl<'a> Blocks<'a> {
    /// The first `count` of them, or as many as there are.
    pub fn of(bytes: &'a [u8], count: u32) -> Blocks<'a> {
        let (blocks, _) = bytes.as_chunks();
        Blocks(blocks.get(..count as usize).unwrap_or(blocks))
    }

    fn each(self) -> impl Iterator<Item = Block<'a>> {
        self.0.iter().map(Block)
    }
}

/// What the program wrote at one place.
struct Block<'a>(&'a [u8; block::SIZE as usize]);

/// An open file.
struct File {
    fd: u32,
    /// The low half: sockets' inodes have no more (`get_next_ino`).
    inode: u32,
    /// What it is: all sockets have the same.
    operations: u64,
}

impl<'a> Block<'a> {
    fn pid(&self) -> Pid {
        Pid(self.word(block::PID))
    }

    fn files(self) -> impl Iterator<Item = File> + 'a {
        let first = self.word(block::FIRST);
        // Where there is a process only, the rest is of another time.
        let files = if first == block::PROCESS {
            0
        } else {
            block::FILES
        };
        (0..files).filter_map(move |at| {
            let operations = self.long(block::OPERATIONS, at);
            (operations != 0).then(|| File {
                fd: first + u32::from(at),
                inode: self.long(block::INODES, at) as u32,
                operations,
            })
        })
    }

    fn word(&self, at: i16) -> u32 {
        let bytes = self
            .0
            .get(at as usize..)
            .and_then(|bytes| bytes.first_chunk());
        bytes.copied().map_or(0, u32::from_ne_bytes)
    }

    fn long(&self, from: i16, at: u8) -> u64 {
        let start = from as usize + 8 * usize::from(at);
        let bytes = self.0.get(start..).and_then(|bytes| bytes.first_chunk());
        bytes.copied().map_or(0, u64::from_ne_bytes)
    }
}

/// What this process holds, which a walk must find, and from which it is told what is a socket
/// and what an epoll set.
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

    /// Looks among the blocks for what this process holds.
    pub fn tell(&self, blocks: Blocks<'_>, kinds: &mut Kinds) {
        let pid = Pid(process::id());
        for block in blocks.each().filter(|block| block.pid() == pid) {
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
