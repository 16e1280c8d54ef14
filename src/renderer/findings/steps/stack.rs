//! The commands that show what a process does, by what runs its program.

use super::step::Step;
use crate::classifier::finding::Finding;
use crate::model::{Pid, Runtime};

pub(super) fn stack(finding: &Finding, pid: Pid) -> Vec<Step> {
    let mut evidence = finding.evidence.iter();
    let asked = evidence.find(|evidence| evidence.pid == pid);
    let runtime = asked.map_or(Runtime::Native, |evidence| evidence.runtime);
    let step = match runtime {
        Runtime::Java => Step::run(format!("jcmd {pid} Thread.print")),
        Runtime::Python => Step::run(format!("py-spy dump --pid {pid}")),
        Runtime::Ruby => Step::run(format!("rbspy snapshot --pid {pid}")),
        Runtime::Go => Step::run(format!("dlv attach {pid}")).with("then: goroutines -t"),
        Runtime::Node => Step::run(format!("node inspect -p {pid}")),
        Runtime::Php | Runtime::Nginx | Runtime::Native => {
            Step::run(format!("gdb -p {pid} -batch -ex 'thread apply all bt'"))
        }
    };
    vec![step]
}
