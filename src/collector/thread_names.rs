//! Names of threads, without the numbers of the threads of a pool.

use std::path::Path;

use crate::collector::procfs::comm;
use crate::model::{Name, NamedThreads};

/// The most names that are kept.
const NAMES_MAX: usize = 16;

/// The name of a thread, from its directory in /proc, without the digits at its end.
pub(super) fn pool_name(task: &Path) -> Option<Name> {
    Some(without_number(comm(task)?.bytes()))
}

fn without_number(comm: &[u8]) -> Name {
    let stem_end = comm.iter().rposition(|byte| !byte.is_ascii_digit());
    let stem = stem_end.and_then(|last| comm.get(..=last));
    Name::new(stem.unwrap_or(comm))
}

/// The most frequent names, in descending order.
pub(super) fn most_frequent(names: impl IntoIterator<Item = (Name, u32)>) -> Vec<NamedThreads> {
    let named = |(name, threads)| NamedThreads { name, threads };
    let mut names: Vec<NamedThreads> = names.into_iter().map(named).collect();
    names.sort_by_key(|named| std::cmp::Reverse(named.threads));
    names.truncate(NAMES_MAX);
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_of_a_pool_have_one_name() {
        for (comm, name) in [
            ("pool-1-thread-1", "pool-1-thread-"),
            ("http-nio-8080-e", "http-nio-8080-e"),
            ("worker12", "worker"),
            ("4711", "4711"),
            ("", ""),
        ] {
            assert_eq!(without_number(comm.as_bytes()).bytes(), name.as_bytes());
        }
    }
}
