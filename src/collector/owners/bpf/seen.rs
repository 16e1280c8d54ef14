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
    /// Takes the program's blocks; `None` when what this process holds is not among them, so that
    /// they cannot be relied upon.
    pub fn of(blocks: &[u8], own: &Own) -> Option<Seen> {
        let (blocks, _) = blocks.as_chunks();
        let pid = Pid(process::id());
        let operations = |(fd, inode)| {
            let own = blocks.iter().map(Block).filter(|block| block.pid() == pid);
            let is_own = |file: &File| (file.fd, file.inode) == (fd, inode);
            Some(own.flat_map(Block::files).find(is_own)?.operations)
        };
        let (socket, epoll) = (operations(own.socket())?, operations(own.epoll())?);
        if socket == epoll {
            return None;
        }
        let mut seen = Seen {
            sockets: Vec::with_capacity(blocks.len() * usize::from(block::FILES)),
            ..Seen::default()
        };
        for block in blocks.iter().map(Block) {
            let pid = block.pid();
            let mut open = 0;
            for file in block.files() {
                open += 1;
                if file.operations == socket {
                    seen.sockets.push(Holder {
                        inode: file.inode,
                        pid,
                        fd: file.fd,
                    });
                } else if file.operations == epoll {
                    seen.epolls.push((pid, file.fd));
                }
            }
            *seen.fds.entry(pid).or_default() += open;
        }
        Some(seen)
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
