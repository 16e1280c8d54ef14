//! What must hold whatever /proc contains. The fuzz target and the test share it.

use std::sync::{LazyLock, Mutex, PoisonError};

use closewait::command::{self, Plan};
use closewait::env::Terminal;
use closewait::model::Charset;

use super::forms;
use super::tree::Tree;

/// Commands with every reader and every output format.
const COMMANDS: [&str; 10] = [
    "--json --sample 0s",
    "-v --sample 0s --limit 0 --color always",
    "--json --sample 1ms",
    "--prometheus",
    "--by program,user,unit,container --csv",
    "list -aoeip --columns +user,pid,unit,container,cgroup",
    "list -aoep --jsonl",
    "check -v --strict -w 1 -c 2 --fd-share 1,2 --queue 1,2",
    "-A --json --sample 0s",
    "record - -v --sample 0s",
];

struct Bench {
    tree: Tree,
    plans: Vec<(&'static str, Plan)>,
}

static BENCH: LazyLock<Mutex<Bench>> = LazyLock::new(|| {
    let tree = Tree::new();
    let root = tree.root().to_str().unwrap().to_owned();
    let plan = |words: &'static str| {
        let said = words
            .split(' ')
            .chain(["--proc", &root, "--source", "procfs"]);
        let said = command::Command::read(std::iter::once("closewait").chain(said)).unwrap();
        let terminal = Terminal {
            // A terminal escapes more than OpenMetrics allows, and gets no recording.
            width: (words != "--prometheus" && !words.starts_with("record")).then_some(80),
            ..Terminal::default()
        };
        (words, Plan::new(said, terminal).unwrap())
    };
    let plans = COMMANDS.into_iter().map(plan).collect();
    Mutex::new(Bench { tree, plans })
});

/// The first byte chooses a command; the rest are edits.
pub fn check(bytes: &[u8]) {
    let &[command, ref edits @ ..] = bytes else {
        return;
    };
    let bench = BENCH.lock().unwrap_or_else(PoisonError::into_inner);
    let (words, plan) = &bench.plans[usize::from(command) % bench.plans.len()];
    bench.tree.changed(edits, || {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let outcome = command::run(plan, Charset::Utf8, &mut out, &mut err);
        forms::judge(words, outcome.is_ok(), &out, &err);
    });
}
