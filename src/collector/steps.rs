//! The steps of a reading with their times, for `-v`.

use std::time::Instant;

use crate::model::{Socket, Step};

/// The steps so far, and what to start when the first selected socket comes.
#[derive(Default)]
pub(super) struct Steps<'a> {
    done: Vec<Step>,
    /// The search for holders runs beside the dump, once there is a socket that may have one.
    on_held: Option<&'a (dyn Fn() + Sync)>,
}

impl<'a> Steps<'a> {
    pub(super) fn starting(on_held: &'a (dyn Fn() + Sync)) -> Steps<'a> {
        Steps {
            done: Vec::new(),
            on_held: Some(on_held),
        }
    }

    /// A socket came that will be shown or counted.
    pub(super) fn selected(&self, socket: &Socket) {
        if let Some(on_held) = self.on_held.filter(|_| socket.inode != 0) {
            on_held();
        }
    }

    pub(super) fn add(&mut self, what: String, start: Instant) {
        self.done.push(Step {
            what: what.into(),
            took: start.elapsed(),
        });
    }

    pub(super) fn done(self) -> Vec<Step> {
        self.done
    }
}

impl From<Vec<Step>> for Steps<'_> {
    fn from(done: Vec<Step>) -> Self {
        Steps {
            done,
            on_held: None,
        }
    }
}
