//! Equal stacks are put together, with what tells their owners apart.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::budget::Limit;
use crate::collector::thread_names::most_frequent;
use crate::model::{Frame, Name, StackGroup, StackOf, StackTarget, Stacks, WaitTarget, Words};

/// The most groups of one process.
const GROUPS_MAX: usize = 32;
/// The most numbers of threads that are kept of a group.
const IDS_MAX: usize = 16;
/// The most remote ends that are kept of a group.
const TARGETS_MAX: usize = 8;

/// The most descriptors that are looked up.
const DESCRIPTORS_MAX: usize = 2_000;

/// The stack of one thread, goroutine or task.
#[derive(Debug, Clone, Default)]
pub struct Stack {
    pub(super) of: StackOf,
    /// The number of the thread, goroutine or task.
    pub(super) id: u64,
    pub(super) thread_name: Option<Name>,
    /// The system call of a thread; the state or wait reason of a goroutine.
    pub(super) state: Option<Name>,
    /// How long it has waited, in milliseconds.
    pub(super) waited_ms: Option<u64>,
    /// The address of the lock that it waits for.
    pub(super) lock: Option<u64>,
    pub(super) waits_on: WaitsOn,
    /// The innermost function first. Stacks that are known to be equal share them.
    pub(super) frames: Arc<[Frame]>,
    /// Whether the frames reach the first function.
    pub(super) complete: bool,
}

/// What a thread, goroutine or task waits for.
#[derive(Debug, Clone, Default)]
pub(super) enum WaitsOn {
    #[default]
    Unknown,
    Target(WaitTarget),
    /// A descriptor whose target is looked up later.
    Descriptor(u32),
}

/// What was read of one process.
#[derive(Debug, Clone, Default)]
pub struct Found {
    pub(super) stacks: Vec<Stack>,
    /// How many ran or moved meanwhile.
    pub(super) moved: u32,
    /// How many were not read for lack of time.
    pub(super) left_out: u32,
    pub(super) version: Option<Name>,
    pub(super) unread: Vec<Words>,
}

impl Found {
    /// Adds what was read of other threads of the process.
    pub(super) fn add(&mut self, other: Found) {
        self.stacks.extend(other.stacks);
        self.moved = self.moved.saturating_add(other.moved);
        self.left_out = self.left_out.saturating_add(other.left_out);
        self.version = self.version.take().or(other.version);
        self.unread.extend(other.unread);
    }
}

/// What the descriptors of a process refer to, each looked up once.
struct Targets<L> {
    lookup: L,
    known: FxHashMap<u32, Option<WaitTarget>>,
    until: Limit,
    /// Some were not looked up.
    is_cut: bool,
}

impl<L: FnMut(u32) -> Option<WaitTarget>> Targets<L> {
    fn of(&mut self, fd: u32) -> Option<WaitTarget> {
        if let Some(known) = self.known.get(&fd) {
            return known.clone();
        }
        if self.known.len() >= DESCRIPTORS_MAX || self.until.is_reached() {
            self.is_cut = true;
            return None;
        }
        let target = (self.lookup)(fd);
        self.known.insert(fd, target.clone());
        target
    }
}

/// What is equal in a group.
type Key = (StackOf, Option<Name>, Option<u64>, Arc<[Frame]>, bool);

/// Puts equal stacks together. `target` tells what a descriptor refers to; it is asked until the limit.
pub(super) fn grouped(
    found: Found,
    until: Limit,
    target: impl FnMut(u32) -> Option<WaitTarget>,
) -> Stacks {
    let mut targets = Targets {
        lookup: target,
        known: FxHashMap::default(),
        until,
        is_cut: false,
    };
    let mut by_key: BTreeMap<Key, Vec<Stack>> = BTreeMap::new();
    for stack in found.stacks {
        let key = (
            stack.of,
            stack.state.clone(),
            stack.lock,
            stack.frames.clone(),
            stack.complete,
        );
        by_key.entry(key).or_default().push(stack);
    }
    let mut groups: Vec<(Key, Vec<Stack>)> = by_key.into_iter().collect();
    groups.sort_by_key(|(_, stacks)| std::cmp::Reverse(stacks.len()));
    let beyond = groups.split_off(groups.len().min(GROUPS_MAX));
    let beyond: usize = beyond.iter().map(|(_, stacks)| stacks.len()).sum();
    let groups = groups
        .into_iter()
        .map(|(key, stacks)| group(key, &stacks, &mut |fd| targets.of(fd)))
        .collect();
    let mut unread = found.unread;
    if targets.is_cut {
        unread.push("what some of its descriptors refer to is unknown: they were too many to look up in time".into());
    }
    Stacks {
        groups,
        moved: found.moved,
        left_out: found.left_out.saturating_add(count(beyond)),
        version: found.version,
        unread,
    }
}

fn group(
    (of, state, lock, frames, complete): Key,
    stacks: &[Stack],
    target: &mut impl FnMut(u32) -> Option<WaitTarget>,
) -> StackGroup {
    let mut names: BTreeMap<Name, u32> = BTreeMap::new();
    let mut targets: BTreeMap<WaitTarget, u32> = BTreeMap::new();
    for stack in stacks {
        if let Some(name) = &stack.thread_name {
            *names.entry(name.clone()).or_default() += 1;
        }
        let found = match &stack.waits_on {
            WaitsOn::Unknown => None,
            WaitsOn::Target(target) => Some(target.clone()),
            WaitsOn::Descriptor(fd) => target(*fd),
        };
        if let Some(found) = found {
            *targets.entry(found).or_default() += 1;
        }
    }
    let targets = targets.into_iter();
    let mut targets: Vec<StackTarget> = targets
        .map(|(target, count)| StackTarget { target, count })
        .collect();
    targets.sort_by_key(|target| std::cmp::Reverse(target.count));
    targets.truncate(TARGETS_MAX);
    let waits = stacks.iter().filter_map(|stack| stack.waited_ms);
    let mut ids: Vec<u64> = stacks.iter().map(|stack| stack.id).collect();
    ids.sort_unstable();
    ids.truncate(IDS_MAX);
    StackGroup {
        of,
        count: count(stacks.len()),
        thread_names: most_frequent(names),
        ids,
        state,
        waited_ms: waits.clone().min().zip(waits.max()),
        lock,
        targets,
        frames: frames.to_vec(),
        complete,
    }
}

fn count(of: usize) -> u32 {
    u32::try_from(of).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(id: u64, function: &str, fd: u32) -> Stack {
        let frame = Frame {
            function: Some(Name::new(function.as_bytes())),
            ..Frame::default()
        };
        Stack {
            id,
            thread_name: Some(Name::new(*b"worker-")),
            waited_ms: Some(id * 10),
            waits_on: WaitsOn::Descriptor(fd),
            frames: [frame].into(),
            complete: true,
            ..Stack::default()
        }
    }

    #[test]
    fn equal_stacks_are_one_group_that_tells_where_they_wait() {
        let found = Found {
            stacks: vec![
                stack(3, "a", 7),
                stack(1, "b", 8),
                stack(2, "a", 7),
                stack(4, "a", 9),
            ],
            ..Found::default()
        };
        let file =
            |fd: u32| (fd != 9).then(|| WaitTarget::File(Name::new(fd.to_string().into_bytes())));
        let stacks = grouped(found, Limit::none(), file);
        let [a, b] = &stacks.groups[..] else {
            panic!("{stacks:?}");
        };
        assert_eq!((a.count, b.count), (3, 1));
        assert_eq!(
            (a.ids.as_slice(), a.waited_ms),
            (&[2, 3, 4][..], Some((20, 40)))
        );
        assert_eq!((a.targets.len(), a.targets[0].count), (1, 2));
        assert_eq!(a.thread_names[0].threads, 3);
    }

    #[test]
    fn what_is_beyond_the_limit_of_groups_is_counted() {
        let stacks = (0..100).map(|n| stack(n, &n.to_string(), 0)).collect();
        let found = Found {
            stacks,
            left_out: 5,
            ..Found::default()
        };
        let stacks = grouped(found, Limit::none(), |_| None);
        assert_eq!((stacks.groups.len(), stacks.left_out), (32, 73));
    }

    #[test]
    fn each_descriptor_is_looked_up_once_and_not_all_of_too_many() {
        let looked_up = |fds: u32, until| {
            let stacks = (0..6000).map(|n| stack(n, "a", n as u32 % fds)).collect();
            let found = Found {
                stacks,
                ..Found::default()
            };
            let mut asked = 0;
            let stacks = grouped(found, until, |_| {
                asked += 1;
                Some(WaitTarget::File(Name::new(*b"file")))
            });
            let known = stacks.groups[0].targets.first().map_or(0, |it| it.count);
            (asked, known, stacks.unread.len())
        };
        assert_eq!(looked_up(10, Limit::none()), (10, 6000, 0));
        assert_eq!(looked_up(3000, Limit::none()), (2000, 4000, 1));
        assert_eq!(looked_up(10, Limit::reached()), (0, 0, 1));
    }
}
