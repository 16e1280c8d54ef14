//! A table of filters, each also given to ss: both accept or refuse it, and both select the same
//! sockets of a live network namespace. A row explains any difference.

#[allow(dead_code, reason = "shared with the live tests")]
#[path = "../live/lab.rs"]
mod lab;
mod sockets;
mod table;

use std::collections::BTreeSet;
use std::process::Command;

use lab::{Lab, Lack, Nobody, Run, left_out, run};
use sockets::{Seen, Sockets};
use table::{Row, TABLE};

/// The words of a filter, with host-specific values filled in.
fn words(row: &str, cgroup: Option<&str>) -> Option<Vec<String>> {
    if row.contains("{cgroup}") && cgroup.is_none() {
        return None;
    }
    let filled = row.replace("{cgroup}", cgroup.unwrap_or_default());
    Some(filled.split(' ').map(str::to_owned).collect())
}

fn ss(words: &[String]) -> Run {
    run(Command::new("ss").arg("-tanH").args(words))
}

fn closewait(lab: &Lab, words: &[String], options: &[&str]) -> Run {
    let mut args = vec!["list", "-a", "--json", "--no-owners"];
    args.extend(options);
    args.extend(words.iter().map(String::as_str));
    lab.closewait(&args)
}

fn of_closewait(run: &Run) -> BTreeSet<Seen> {
    Seen::of_closewait(&serde_json::from_str(&run.stdout).unwrap())
}

/// The cgroup2 file system, if one is mounted.
fn cgroup_mount() -> Option<String> {
    let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" cgroup2 "))?;
    mount.split(' ').nth(1).map(str::to_owned)
}

/// The rows whose result differs from what they expect.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn expect(&mut self, row: &str, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.0.push(format!("{row:?}: {}", what()));
        }
    }
}

#[test]
fn every_filter_of_the_table_is_read_as_by_ss() {
    if Command::new("ss").arg("-V").output().is_err() {
        left_out(Lack::Program("ss"));
        return;
    }
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _sockets = Sockets::open();
    let cgroup = cgroup_mount();
    let all: BTreeSet<Seen> = Seen::of_ss(&ss(&[]).stdout);
    let mut differences = Differences::default();
    let mut partial = 0;
    let mut same = 0;
    for (row, filter) in TABLE.iter().map(|row| (row, row.filter())) {
        let Some(words) = words(filter, cgroup.as_deref()) else {
            left_out(Lack::Kernel("no cgroup 2 to filter by"));
            continue;
        };
        let (theirs, ours) = (ss(&words), closewait(&lab, &words, &[]));
        let (they_take, we_take) = (theirs.code == 0, ours.code == 0);
        let mut expect = |holds, what: &str| {
            differences.expect(filter, holds, || {
                format!("{what}\n  ss: {}  here: {}", theirs.stderr, ours.stderr)
            });
        };
        if !we_take {
            expect(ours.code == 2, "refused otherwise than as a usage error");
            expect(
                ours.stderr.contains("  ^") || ours.stderr.contains("^\n"),
                "no caret",
            );
        }
        let (they_should, we_should) = match row {
            Row::Same(_) | Row::Differs(..) => (true, true),
            Row::Neither(_) => (false, false),
            Row::Ours(_, _why) => (false, true),
            Row::Stricter(_, _why) => (true, false),
            // Which names exist depends on the host.
            Row::Alike(_) => (they_take, they_take),
        };
        expect(they_take == they_should, "ss does otherwise");
        expect(we_take == we_should, "read otherwise here");
        if !(they_take && we_take) {
            continue;
        }
        let found = of_closewait(&ours);
        let expected = Seen::of_ss(&theirs.stdout);
        partial += usize::from(!found.is_empty() && found != all);
        let is_same = found == expected;
        same += usize::from(is_same);
        if let Row::Differs(_, why) = row {
            expect(!is_same, &format!("the same sockets, though {why}"));
        } else {
            expect(
                is_same,
                &format!(
                    "missing {:?}, too many {:?}",
                    expected.difference(&found).collect::<Vec<_>>(),
                    found.difference(&expected).collect::<Vec<_>>()
                ),
            );
        }
    }
    assert!(differences.0.is_empty(), "{}", differences.0.join("\n"));
    let alike = TABLE.iter().filter(|row| row.is_alike()).count();
    assert!(alike >= 150, "{alike} rows on which both agree");
    assert!(partial >= 60, "{partial} rows that select some and not all");
    eprintln!(
        "{} rows, {alike} alike, {same} with the same sockets",
        TABLE.len()
    );
}

#[test]
fn the_kernel_selects_what_is_selected_without_it() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _sockets = Sockets::open();
    let all = closewait(&lab, &[], &[]);
    assert_eq!(of_closewait(&all), Seen::of_ss(&ss(&[]).stdout));
    for filter in TABLE.iter().map(Row::filter) {
        let Some(words) = words(filter, cgroup_mount().as_deref()) else {
            continue;
        };
        let pushed = closewait(&lab, &words, &["-v"]);
        if pushed.code != 0 {
            continue;
        }
        assert!(
            !pushed.stderr.contains("refused"),
            "{filter}: {}",
            pushed.stderr
        );
        // An alternative that the kernel does not know disables the whole program, even if it never
        // holds.
        let here: Vec<String> = format!("( {} ) or recvq < 0", words.join(" "))
            .split(' ')
            .map(str::to_owned)
            .collect();
        let here = closewait(&lab, &here, &[]);
        assert_eq!(here.code, 0, "{filter}: {}", here.stderr);
        assert_eq!(of_closewait(&pushed), of_closewait(&here), "{filter}");
    }
}

#[test]
fn proc_gives_the_same_answers_where_it_tells_enough() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _sockets = Sockets::open();
    // /proc shows no interfaces, marks, cgroups, ages or limits of listeners.
    let untold = ["dev ", "%", "fwmark ", "cgroup ", "idle ", "sendq "];
    let told = |filter: &&str| !untold.iter().any(|word| filter.contains(word));
    for filter in TABLE.iter().map(Row::filter).filter(told) {
        let words: Vec<String> = filter.split(' ').map(str::to_owned).collect();
        let netlink = closewait(&lab, &words, &["--source", "netlink"]);
        let procfs = closewait(&lab, &words, &["--source", "procfs"]);
        assert_eq!(netlink.code, procfs.code, "{filter}");
        // /proc does not show sockets that are only bound.
        if netlink.code == 0 && !filter.contains("bound-inactive") {
            assert_eq!(of_closewait(&netlink), of_closewait(&procfs), "{filter}");
        }
    }
}

#[test]
fn what_the_kernel_refuses_is_applied_here_and_said() {
    let lab = Lab::new();
    if !lab.is_private() {
        left_out(Lack::Namespace);
        return;
    }
    let _sockets = Sockets::open();
    let nobody = Nobody::new();
    let filter = ["list", "-a", "sport", "=", ":7001", "and", "fwmark", "5"];
    let run = nobody.closewait(&[&filter[..], &["-v", "--no-owners"]].concat());
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(
        run.stderr
            .contains("the kernel refused all or part of the filter"),
        "{}",
        run.stderr
    );
    // Without privileges, the mark of the only socket on that port is unknown.
    assert!(
        run.stderr.contains("1 socket could not be matched"),
        "{}",
        run.stderr
    );
    let ports_alone = nobody.closewait(&["list", "-a", "sport", "=", ":7001", "-v"]);
    assert!(
        !ports_alone.stderr.contains("the kernel refused"),
        "{}",
        ports_alone.stderr
    );
}
