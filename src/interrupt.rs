//! Ctrl-C as a request to end, for a run that repeats and has something to say at its end.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level::pipe};

/// Notices SIGINT and SIGTERM.
#[derive(Debug)]
pub struct Interrupt {
    /// Readable once a signal has come.
    signals: UnixStream,
}

impl Interrupt {
    /// From now on, the first SIGINT or SIGTERM is a request; the next one ends the process.
    ///
    /// # Errors
    /// If no descriptors are left.
    pub fn new() -> io::Result<Interrupt> {
        let (signals, sender) = UnixStream::pair()?;
        let requested = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // Actions run in the order in which they are registered: the first signal finds the flag unset.
            flag::register_conditional_default(signal, Arc::clone(&requested))?;
            flag::register(signal, Arc::clone(&requested))?;
            pipe::register(signal, sender.try_clone()?)?;
        }
        Ok(Interrupt { signals })
    }

    /// Waits until `then`, or until the run is asked to end; whether it is.
    ///
    /// # Errors
    /// See poll(2).
    pub fn before(&self, then: Instant) -> io::Result<bool> {
        loop {
            let left = then.saturating_duration_since(Instant::now());
            let mut watched = [PollFd::new(&self.signals, PollFlags::IN)];
            match poll(&mut watched, Some(&timespec(left))) {
                Ok(0) => return Ok(false),
                Ok(_) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec {
        tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    }
}
