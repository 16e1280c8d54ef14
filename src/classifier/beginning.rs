//! Beginnings: whether the oldest socket of a process is as old as the process, or as an update of the
//! files that it runs. Pure.
//!
//! The ages of sockets are bounds, and the times compared are of different clocks. So a moment counts
//! only if the whole bracket of the age lies just after it.

use crate::classifier::report::Report;
use crate::classifier::socket_set::SocketSet;
use crate::model::{Evidence, Executable, Idle, Origin, Pid};

/// A socket that came within this time after a moment came with it: a program needs a while until it
/// serves its first connection, and a peer until it hangs up.
const NEAR_MS: u64 = 120_000;
/// But at most this fraction of the time since the moment: in a process of a minute, nothing can be
/// long after the start.
const NEAR_PART: u64 = 4;
/// How far the clocks may disagree: the kernel's times are those of the dump, and processes are read
/// after it.
const SLACK_MS: u64 = 1_000;

/// The oldest CLOSE_WAIT socket of a process, among those of a finding, and what happened just before.
#[derive(Debug, Clone, PartialEq)]
pub struct Beginning {
    pub pid: Pid,
    /// The bounds of its age.
    pub oldest: Idle,
    /// All moments with which it began.
    pub moments: Vec<Moment>,
    /// How long ago they were: that of the first.
    ago_ms: Option<u64>,
    /// The file that it runs was new when it started.
    pub new_file: Option<NewFile>,
}

/// A moment in the life of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Its container started, and the process with it.
    Container,
    /// Its service started, and the process with it.
    Service,
    /// It started.
    Process,
    /// The file that it executes was replaced.
    Executable,
    /// A library that it uses was replaced.
    Libraries,
    /// The script that it runs was changed.
    Script,
}

impl Moment {
    /// The name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Moment::Container => "container",
            Moment::Service => "service",
            Moment::Process => "process",
            Moment::Executable => "executable",
            Moment::Libraries => "libraries",
            Moment::Script => "script",
        }
    }

    fn is_start(self) -> bool {
        matches!(self, Moment::Container | Moment::Service | Moment::Process)
    }
}

/// What shows that an executable was new when its process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewFile {
    /// The script that it runs was written then.
    Script { at_ms: u64 },
    /// It was written then.
    Written { at_ms: u64 },
    /// Its package was installed then.
    Installed { at_ms: u64 },
}

impl Beginning {
    /// Of a process that holds sockets of a set; `None` if it is unknown since when.
    pub(super) fn of(
        report: &Report<'_>,
        set: &SocketSet,
        evidence: &Evidence,
    ) -> Option<Beginning> {
        if !set.is_suspicious() || set.waiting.is_some() {
            return None;
        }
        let at = set
            .oldest
            .binary_search_by_key(&evidence.pid, |(pid, _)| *pid);
        let (pid, oldest) = *set.oldest.get(at.ok()?)?;
        let now_ms = u64::try_from(report.snapshot.taken_at_ns / 1_000_000).ok()?;
        let times = Times::of(evidence, now_ms);
        Some(times.beginning(pid, oldest))
    }

    /// With which start the socket began, the outermost one, and how much later it came at most, in
    /// milliseconds. `None` if it began with no start, or if a replaced file explains it as well.
    pub fn start(&self) -> Option<(Moment, u64)> {
        self.only(Moment::is_start)
    }

    /// The same of a replaced file.
    pub fn replacement(&self) -> Option<(Moment, u64)> {
        self.only(|moment| !moment.is_start())
    }

    fn only(&self, is_meant: impl Fn(Moment) -> bool) -> Option<(Moment, u64)> {
        let first = *self.moments.first()?;
        let is_clear = self.moments.iter().all(|moment| is_meant(*moment));
        let later_ms = self.ago_ms?.saturating_sub(self.oldest.at_least_ms);
        is_clear.then_some((first, later_ms))
    }
}

/// How long ago the moments of a process were, in milliseconds.
#[derive(Debug, Default, Clone, Copy)]
struct Times {
    process: Option<u64>,
    service: Option<u64>,
    container: Option<u64>,
    executable: Option<u64>,
    libraries: Option<u64>,
    script: Option<u64>,
    written: Option<u64>,
    installed: Option<u64>,
    now_ms: u64,
}

impl Times {
    fn of(evidence: &Evidence, now_ms: u64) -> Times {
        let origin = &evidence.origin;
        let ago = |at_ms: u64| now_ms.checked_sub(at_ms);
        let process = evidence.age_ms;
        // Nothing that a process belongs to is younger than the process.
        let since =
            |ago_ms: &u64| process.is_some_and(|age| ago_ms.saturating_add(SLACK_MS) >= age);
        let executable = replaced_at(evidence, now_ms);
        Times {
            process,
            service: origin.service_at_ms.and_then(ago).filter(since),
            container: origin.container_age_ms.filter(since),
            executable: executable.and_then(ago),
            libraries: libraries_at(evidence, now_ms).and_then(ago),
            script: origin.script_modified_ms.and_then(ago),
            written: match origin.executable {
                Some(Executable::Current { modified_ms }) => ago(modified_ms),
                Some(Executable::Replaced { .. } | Executable::Deleted) | None => None,
            },
            installed: origin
                .package
                .as_ref()
                .and_then(|package| ago(package.installed_ms))
                .filter(|_| executable.is_none()),
            now_ms,
        }
    }

    fn beginning(self, pid: Pid, oldest: Idle) -> Beginning {
        let with_process = |ago: &u64| {
            let age = self.process.unwrap_or_default();
            ago.abs_diff(age) <= near(age)
        };
        let after_start = |ago: &u64| self.process.is_some_and(|age| *ago <= age);
        let all = [
            (Moment::Container, self.container.filter(with_process)),
            (Moment::Service, self.service.filter(with_process)),
            (Moment::Process, self.process),
            (Moment::Executable, self.executable),
            (Moment::Libraries, self.libraries),
            (Moment::Script, self.script.filter(after_start)),
        ];
        let moments: Vec<(Moment, u64)> = all
            .into_iter()
            .filter_map(|(moment, ago)| Some((moment, ago?)))
            .filter(|(_, ago)| came_with(oldest, *ago))
            .collect();
        let new_file = self.new_file();
        Beginning {
            pid,
            oldest,
            ago_ms: moments.first().map(|(_, ago)| *ago),
            new_file: new_file.filter(|_| moments.iter().any(|(moment, _)| moment.is_start())),
            moments: moments.into_iter().map(|(moment, _)| moment).collect(),
        }
    }

    /// What shows that the file was new when the process started.
    fn new_file(&self) -> Option<NewFile> {
        let age = self.process?;
        let is_new =
            |ago: &u64| ago.saturating_add(SLACK_MS) >= age && *ago <= age.saturating_add(NEAR_MS);
        let at_ms = |ago: u64| self.now_ms.saturating_sub(ago);
        let script = self.script.filter(is_new).map(at_ms);
        let written = self.written.filter(is_new).map(at_ms);
        let installed = self.installed.filter(is_new).map(at_ms);
        script
            .map(|at_ms| NewFile::Script { at_ms })
            .or(written.map(|at_ms| NewFile::Written { at_ms }))
            .or(installed.map(|at_ms| NewFile::Installed { at_ms }))
    }
}

/// When the executable was replaced, in milliseconds since 1970; `None` if it was not, or the time of
/// the other file is from before the process started: not every file system changes it with the name.
pub fn replaced_at(evidence: &Evidence, now_ms: u64) -> Option<u64> {
    match evidence.origin.executable? {
        Executable::Replaced { by_ms, .. } => after_start(evidence, by_ms, now_ms),
        Executable::Current { .. } | Executable::Deleted => None,
    }
}

/// When the last library was replaced, as [`replaced_at`].
pub fn libraries_at(evidence: &Evidence, now_ms: u64) -> Option<u64> {
    let Origin { old_libraries, .. } = &evidence.origin;
    let last = old_libraries.iter().map(|library| library.by_ms).max()?;
    after_start(evidence, last, now_ms)
}

/// When the script was changed after the start, as [`replaced_at`].
pub fn script_at(evidence: &Evidence, now_ms: u64) -> Option<u64> {
    let started_ms = now_ms.checked_sub(evidence.age_ms?)?;
    let at_ms = evidence.origin.script_modified_ms?;
    let is_after = at_ms > started_ms.saturating_add(SLACK_MS);
    (is_after && at_ms <= now_ms.saturating_add(SLACK_MS)).then_some(at_ms)
}

fn after_start(evidence: &Evidence, at_ms: u64, now_ms: u64) -> Option<u64> {
    let started_ms = now_ms.checked_sub(evidence.age_ms?)?;
    let is_after = at_ms.saturating_add(SLACK_MS) >= started_ms;
    let is_past = at_ms <= now_ms.saturating_add(SLACK_MS);
    (is_after && is_past).then_some(at_ms)
}

/// How long after a moment something still came with it.
fn near(ago_ms: u64) -> u64 {
    NEAR_MS.min(ago_ms / NEAR_PART)
}

/// Whether a socket of this age came just after a moment, wherever in its bounds the age is.
fn came_with(oldest: Idle, ago_ms: u64) -> bool {
    let latest = ago_ms.saturating_sub(near(ago_ms));
    let earliest = ago_ms.saturating_add(SLACK_MS);
    oldest.at_least_ms >= latest && oldest.at_most_ms.is_some_and(|most| most <= earliest)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;

    fn exact(ms: u64) -> Idle {
        Idle {
            at_least_ms: ms,
            at_most_ms: Some(ms),
        }
    }

    fn moments(times: Times, oldest: Idle) -> Vec<Moment> {
        times.beginning(Pid(1), oldest).moments
    }

    #[test]
    fn a_socket_as_old_as_its_process_began_with_it() {
        let times = Times {
            process: Some(3 * HOUR),
            ..Times::default()
        };
        assert_eq!(moments(times, exact(3 * HOUR - MINUTE)), [Moment::Process]);
        assert_eq!(moments(times, exact(3 * HOUR + 900)), [Moment::Process]);
        assert_eq!(moments(times, exact(3 * HOUR - 3 * MINUTE)), []);
        // It was inherited.
        assert_eq!(moments(times, exact(4 * HOUR)), []);
        // In a young process, 40 seconds are long.
        let young = Times {
            process: Some(2 * MINUTE),
            ..Times::default()
        };
        assert_eq!(moments(young, exact(100_000)), [Moment::Process]);
        assert_eq!(moments(young, exact(80_000)), []);
    }

    #[test]
    fn bounds_count_only_as_a_whole() {
        let times = Times {
            process: Some(3 * HOUR),
            ..Times::default()
        };
        let between = |at_least_ms, at_most_ms| Idle {
            at_least_ms,
            at_most_ms,
        };
        let near = 3 * HOUR - MINUTE;
        assert_eq!(
            moments(times, between(near, Some(3 * HOUR))),
            [Moment::Process]
        );
        assert_eq!(moments(times, between(HOUR, Some(3 * HOUR))), []);
        assert_eq!(moments(times, between(near, Some(4 * HOUR))), []);
        assert_eq!(moments(times, between(near, None)), []);
    }

    #[test]
    fn the_outermost_start_is_named_and_a_worker_of_today_is_not_the_service() {
        let times = Times {
            process: Some(3 * HOUR),
            service: Some(3 * HOUR + 2_000),
            ..Times::default()
        };
        let beginning = times.beginning(Pid(1), exact(3 * HOUR - 1_000));
        assert_eq!(beginning.start(), Some((Moment::Service, 3_000)));
        assert_eq!(beginning.replacement(), None);
        let times = Times {
            service: Some(90 * HOUR),
            ..times
        };
        assert_eq!(moments(times, exact(3 * HOUR - 1_000)), [Moment::Process]);
    }

    #[test]
    fn two_moments_that_fit_decide_nothing() {
        let times = Times {
            process: Some(90 * HOUR),
            executable: Some(HOUR),
            libraries: Some(HOUR + 1_000),
            ..Times::default()
        };
        let beginning = times.beginning(Pid(1), exact(HOUR - 50_000));
        assert_eq!(beginning.replacement(), Some((Moment::Executable, 50_000)));
        assert_eq!(beginning.start(), None);
        let tie = Times {
            process: Some(HOUR + 30_000),
            ..times
        };
        let beginning = tie.beginning(Pid(1), exact(HOUR - 50_000));
        assert_eq!(beginning.moments.len(), 3);
        assert_eq!(beginning.start(), None);
        assert_eq!(beginning.replacement(), None);
    }

    #[test]
    fn a_file_is_new_if_it_was_written_just_before_the_start() {
        let of = |written, installed| {
            let times = Times {
                process: Some(HOUR),
                written,
                installed,
                now_ms: 10 * HOUR,
                ..Times::default()
            };
            times.beginning(Pid(1), exact(HOUR - 1_000)).new_file
        };
        let at_ms = 9 * HOUR - MINUTE;
        let minute_before = Some(HOUR + MINUTE);
        assert_eq!(of(minute_before, None), Some(NewFile::Written { at_ms }));
        let installed = Some(NewFile::Installed { at_ms });
        assert_eq!(of(Some(900 * HOUR), minute_before), installed);
        assert_eq!(of(Some(2 * HOUR), None), None);
        // Changed after the start: this is not how it started.
        assert_eq!(of(Some(HOUR / 2), None), None);
    }

    #[test]
    fn a_script_is_new_before_the_start_and_changed_after_it() {
        let of = |script| {
            let times = Times {
                process: Some(HOUR),
                script: Some(script),
                now_ms: 10 * HOUR,
                ..Times::default()
            };
            times.beginning(Pid(1), exact(HOUR - 1_000))
        };
        let before = of(HOUR + MINUTE);
        let at_ms = 9 * HOUR - MINUTE;
        assert_eq!(before.moments, [Moment::Process]);
        assert_eq!(before.new_file, Some(NewFile::Script { at_ms }));
        let after = of(HOUR - 500);
        assert_eq!(after.moments, [Moment::Process, Moment::Script]);
        assert_eq!(after.start(), None);
        assert_eq!(of(HOUR / 2).moments, [Moment::Process]);
    }

    #[test]
    fn a_time_from_before_the_start_is_not_that_of_a_replacement() {
        let evidence = |by_ms| Evidence {
            age_ms: Some(HOUR),
            origin: Origin {
                executable: Some(Executable::Replaced {
                    by_ms,
                    modified_ms: 0,
                }),
                ..Origin::default()
            },
            ..Evidence::default()
        };
        let now_ms = 100 * HOUR;
        assert_eq!(
            replaced_at(&evidence(99 * HOUR + 1), now_ms),
            Some(99 * HOUR + 1)
        );
        assert_eq!(replaced_at(&evidence(90 * HOUR), now_ms), None);
        assert_eq!(replaced_at(&evidence(101 * HOUR), now_ms), None);
        assert_eq!(replaced_at(&Evidence::default(), now_ms), None);
    }
}
