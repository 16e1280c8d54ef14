//! What to do about whoever must act.

use super::halt;
use super::step::Step;
use crate::classifier::culprit::Culprit;
use crate::classifier::finding::{End, Finding};
use crate::classifier::group::At;
use crate::model::{Evidence, Pid};

pub(super) fn steps(finding: &Finding) -> Vec<Step> {
    let step = match finding.culprit {
        Some(Culprit::Halted(pid, hold)) => {
            return told(finding, pid).map_or_else(Vec::new, |told| halt::steps(told, hold));
        }
        Some(Culprit::Throttled(pid) | Culprit::FileLock(pid)) => {
            return told(finding, pid).map_or_else(Vec::new, halt::beside);
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
            | Culprit::Exhausted(_)
            | Culprit::Spinning(_)
            | Culprit::Sleepers,
        )
        | None => return Vec::new(),
    };
    vec![step]
}

fn told(finding: &Finding, pid: Pid) -> Option<&Evidence> {
    finding.evidence.iter().find(|evidence| evidence.pid == pid)
}
