//! Plain data: the collector fills it, the classifier judges it, the renderer prints it.
//!
//! Nothing here opens a file, reads a clock or writes output.

pub mod blind_spot;
pub mod cause;
pub mod cgroup;
pub mod charset;
pub mod command;
pub mod detail;
pub mod endpoint;
pub mod escape;
pub mod evidence;
pub mod figures;
pub mod gap;
pub mod halt;
pub mod host;
pub mod judged;
pub mod namespace;
pub mod origin;
pub mod owners;
pub mod part;
pub mod peeked;
pub mod process;
pub mod resolved;
pub mod snapshot;
pub mod socket;
pub mod stack;
pub mod state;
pub mod suggest;
pub mod text;
pub mod time;
pub mod title;
pub mod tool;

pub use blind_spot::{BlindSpot, Holding};
pub use cause::{Cause, Causes};
pub use cgroup::{Cgroup, Cgroups, Placed};
pub use charset::Charset;
pub use command::Command;
pub use detail::{Detail, DetailRef, DetailSet, Details};
pub use endpoint::Endpoint;
pub use evidence::{
    Cpu, Epoll, Evidence, Inside, Lock, LockOwner, LockPlace, Manager, NamedThreads, Runtime,
    ServiceManager, Threads, Wait, WaitKind, WaitTarget,
};
pub use figures::{Figure, FigureValue};
pub use gap::{Gap, GapKind};
pub use halt::{
    Container, Engine, FileLock, Freezer, Halt, Periods, Quota, Stuck, Tracer, Version, Vfork,
};
pub use host::{Host, PortRange, Users};
pub use judged::{HiddenReason, Missing, Owner, Side};
pub use namespace::{Namespace, OtherNamespaces, Settings, Source};
pub use origin::{Executable, Library, Origin, Package};
pub use owners::{Holder, Holders};
pub use part::{By, Part, is_library};
pub use peeked::{Content, Peeked, Unread};
pub use process::{FdLimit, Pid, Process, Scanned};
pub use resolved::Resolved;
pub use snapshot::{Scan, Snapshot, Step};
pub use socket::{Families, Family, Protocol, Protocols, Socket, TcpInfo, Timer, TimerKind};
pub use stack::{Frame, StackGroup, StackOf, StackTarget, Stacks};
pub use state::{State, StateSet};
pub use suggest::nearest;
pub use text::{Name, Words};
pub use time::{Ago, Idle, Tick};
pub use title::{Sibling, Title, Titled};
pub use tool::{Tool, Tools};
