//! Sockets by sock_diag over netlink: requests, replies, filter programs. See sock_diag(7).

pub mod bytecode;
mod dumped;
pub mod mptcp;
pub(crate) mod reader;
pub mod wire;

pub use crate::collector::sockets::sock_diag::dumped::{Dump, Dumped};
pub use crate::collector::sockets::sock_diag::reader::{DumpError, Reader};
