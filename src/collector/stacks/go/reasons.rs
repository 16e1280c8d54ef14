//! What a goroutine waits for, as the runtime names it (src/runtime/runtime2.go, "waitReasonStrings").

/// The texts of a version in the order of their numbers, from 1 on; a `|` separates them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reasons(&'static [&'static str]);

const BEGINNING: &str = "GC assist marking|IO wait|chan receive (nil chan)|chan send (nil chan)\
|dumping heap|garbage collection|garbage collection scan|panicwait|select|select (no cases)\
|GC assist wait|GC sweep wait|GC scavenge wait|chan receive|chan send|finalizer wait|force gc (idle)";
/// The order of 1.26.
const BEGINNING_26: &str = "GC assist marking|IO wait|dumping heap|garbage collection\
|garbage collection scan|panicwait|GC assist wait|GC sweep wait|GC scavenge wait|finalizer wait\
|force gc (idle)|GOMAXPROCS updater (idle)|semacquire|sleep|chan receive (nil chan)\
|chan send (nil chan)|select (no cases)|select|chan receive|chan send|sync.Cond.Wait";
const SLEEP: &str = "semacquire|sleep|sync.Cond.Wait";
const LOCKS: &str = "sync.Mutex.Lock|sync.RWMutex.RLock|sync.RWMutex.Lock";
const GROUP: &str = "sync.WaitGroup.Wait";
const COLLECTOR: &str = "trace reader (blocked)|wait for GC cycle|GC worker (idle)|GC worker (active)\
|preempted|debug call|GC mark termination|stopping the world";
const TRACE: &str =
    "flushing proc caches|trace goroutine status|trace proc status|page trace flush|coroutine";
const WEAK: &str = "GC weak to strong wait";
const DURABLE: &str = "synctest.Run|synctest.Wait|chan receive (durable)|chan send (durable)\
|select (durable)|sync.WaitGroup.Wait (durable)|cleanup wait";

impl Reasons {
    /// The texts of 1.18 for 18, and so on.
    pub(super) fn of_minor(minor: u32) -> Reasons {
        Reasons(match minor {
            ..=19 => &[
                BEGINNING,
                SLEEP,
                "timer goroutine (idle)|trace reader (blocked)|wait for GC cycle|GC worker (idle)",
                "preempted|debug call",
            ],
            20..=21 => &[BEGINNING, SLEEP, LOCKS, COLLECTOR],
            22 => &[BEGINNING, SLEEP, LOCKS, COLLECTOR, TRACE],
            23 => &[BEGINNING, SLEEP, LOCKS, COLLECTOR, TRACE, WEAK],
            24 => &[
                BEGINNING,
                SLEEP,
                LOCKS,
                GROUP,
                COLLECTOR,
                TRACE,
                WEAK,
                "synctest.Run|synctest.Wait|chan receive (synctest)|chan send (synctest)",
                "select (synctest)",
            ],
            25 => &[
                BEGINNING,
                "GOMAXPROCS updater (idle)",
                SLEEP,
                LOCKS,
                GROUP,
                COLLECTOR,
                TRACE,
                WEAK,
                DURABLE,
            ],
            _ => &[BEGINNING_26, LOCKS, GROUP, COLLECTOR, TRACE, WEAK, DURABLE],
        })
    }

    /// Every text, from number 1 on.
    pub(super) fn all(self) -> impl Iterator<Item = &'static str> {
        self.0.iter().flat_map(|part| part.split('|'))
    }

    /// The text of a number; empty for 0, `None` if the version has no such reason.
    pub(super) fn text(self, number: u8) -> Option<&'static str> {
        match usize::from(number).checked_sub(1) {
            None => Some(""),
            Some(before) => self.all().nth(before),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_mean_what_they_mean_in_the_data_of_real_programs() {
        for (minor, count, select, mutex, last) in [
            (18, 26, 9, None, "debug call"),
            (20, 31, 9, Some(21), "stopping the world"),
            (21, 31, 9, Some(21), "stopping the world"),
            (22, 36, 9, Some(21), "coroutine"),
            (23, 37, 9, Some(21), "GC weak to strong wait"),
            (24, 43, 9, Some(21), "select (synctest)"),
            (25, 46, 9, Some(22), "cleanup wait"),
            (26, 46, 18, Some(22), "cleanup wait"),
            (27, 46, 18, Some(22), "cleanup wait"),
        ] {
            let reasons = Reasons::of_minor(minor);
            assert_eq!(reasons.all().count(), count, "{minor}");
            assert_eq!(reasons.text(2), Some("IO wait"));
            assert_eq!(reasons.text(select), Some("select"));
            if let Some(mutex) = mutex {
                assert_eq!(reasons.text(mutex), Some("sync.Mutex.Lock"));
            }
            assert_eq!(reasons.all().last(), Some(last));
            assert_eq!(reasons.text(0), Some(""));
            assert_eq!(reasons.text(u8::try_from(count).unwrap() + 1), None);
        }
    }
}
