//! What to do about whoever must act.

use super::step::Step;
use crate::classifier::culprit::Culprit;
use crate::classifier::finding::{End, Finding};
use crate::classifier::group::At;

pub(super) fn steps(finding: &Finding) -> Vec<Step> {
    let step = match finding.culprit {
        Some(Culprit::Halted(stopped)) => {
            Step::run(format!("kill -CONT {stopped}")).with("if it was not stopped on purpose")
        }
        Some(Culprit::Behind(remote)) => {
            Step::advice(format!("look at {remote}: it has not answered"))
        }
        Some(Culprit::FarEnd(End::One(service))) => match service.at {
            At::Remote(remote) => {
                Step::advice(format!("look at {remote}: it has not closed its end"))
            }
            At::Local(port) => Step::advice(format!(
                "look at the clients of :{port}: they have not closed"
            )),
            At::Untold(_) => return Vec::new(),
        },
        Some(
            Culprit::FarEnd(End::Several(..))
            | Culprit::NoDescriptors
            | Culprit::Spinning(_)
            | Culprit::Sleepers,
        )
        | None => return Vec::new(),
    };
    vec![step]
}
