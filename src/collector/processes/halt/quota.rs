//! Processor quotas of control groups, and in how many periods they ran out (cgroups(7),
//! `Documentation/scheduler/sched-bwc`).

use std::os::unix::ffi::OsStrExt;

use crate::collector::processes::halt::freezer::whose;
use crate::collector::processes::halt::hierarchy::Group;
use crate::model::{Name, Periods, Quota, Version};

/// The groups that limit a process, with their counters at the first reading.
#[derive(Debug, Default)]
pub(super) struct Limits(Vec<(Group, Limit, Periods)>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Limit {
    quota_us: u64,
    period_us: u64,
}

impl Limits {
    /// From a group and its ancestors.
    pub(super) fn of(groups: Vec<Group>) -> Limits {
        let limited = |group: Group| {
            let limit = limit(&group)?;
            let periods = periods(&group)?;
            Some((group, limit, periods))
        };
        Limits(groups.into_iter().filter_map(limited).collect())
    }

    /// The limit that throttled the process most since the first reading, or, without a second one,
    /// since the group was made.
    pub(super) fn quota(&self, again: bool) -> Option<Quota> {
        let quotas = self.0.iter().filter_map(|(group, limit, before)| {
            let total = if again { periods(group)? } else { *before };
            let sample = again.then(|| Periods {
                all: total.all.saturating_sub(before.all),
                throttled: total.throttled.saturating_sub(before.throttled),
            });
            let (container, unit) = whose(&group.path);
            Some(Quota {
                directory: Name::new(group.directory.as_os_str().as_bytes()),
                container,
                unit,
                quota_us: limit.quota_us,
                period_us: limit.period_us,
                total,
                sample,
            })
        });
        // If two throttled it equally often, the inner one.
        let weight = |quota: &Quota| {
            (
                quota.sample.map(|sample| sample.throttled),
                quota.total.throttled,
            )
        };
        quotas.reduce(|most, quota| {
            if weight(&quota) > weight(&most) {
                quota
            } else {
                most
            }
        })
    }
}

/// `None` if a group has no limit.
fn limit(group: &Group) -> Option<Limit> {
    let number = |text: &str| text.trim().parse().ok();
    let (quota_us, period_us) = match group.version {
        Version::V2 => {
            let text = group.text("cpu.max")?;
            let (quota, period) = text.trim().split_once(' ')?;
            (number(quota)?, number(period)?)
        }
        // -1 means no limit.
        Version::V1 => (
            number(&group.text("cpu.cfs_quota_us")?)?,
            number(&group.text("cpu.cfs_period_us")?)?,
        ),
    };
    Some(Limit {
        quota_us,
        period_us,
    })
}

fn periods(group: &Group) -> Option<Periods> {
    parse_periods(&group.text("cpu.stat")?)
}

/// `nr_periods 115` and `nr_throttled 111`, a line each.
fn parse_periods(text: &str) -> Option<Periods> {
    let number = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
    };
    Some(Periods {
        all: number("nr_periods")?,
        throttled: number("nr_throttled")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_periods_of_a_group_are_read_in_either_version() {
        let v1 = "nr_periods 115\nnr_throttled 111\nthrottled_time 676790262\n";
        let v2 =
            "usage_usec 9\nuser_usec 9\nnr_periods 115\nnr_throttled 111\nthrottled_usec 6767\n";
        for text in [v1, v2] {
            let periods = parse_periods(text).unwrap();
            assert_eq!((periods.all, periods.throttled), (115, 111));
        }
        for text in [
            "",
            "usage_usec 9\n",
            "nr_periods 1\n",
            "nr_periods x\nnr_throttled 1",
        ] {
            assert_eq!(parse_periods(text), None, "{text}");
        }
    }
}
