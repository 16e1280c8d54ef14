//! The whole command on real sockets.
//!
//! As root each test has its own network namespace; otherwise it uses loopback and looks only at its own
//! ports. The programs that hold the sockets are roles of `misbehave` (`tests/misbehave`), which
//! `cargo test` builds.

mod accuse;
mod agreement;
mod behind;
mod causes;
mod check;
mod columns;
mod dead;
mod devices;
mod elsewhere;
mod errors;
mod growth;
mod halt;
mod hidden;
mod hostile;
mod identity;
mod lab;
mod limits;
mod mixed;
mod mptcp;
mod names;
mod namespaces;
mod nobody;
mod origin;
mod owners;
mod peek;
mod placement;
mod pools;
mod prepared;
mod replay;
mod scan;
mod sides;
mod sources;
mod stacks;
mod steps;
mod text;
mod timeouts;
mod udp;
mod view;
mod waiting;
mod watch;
mod workers;
