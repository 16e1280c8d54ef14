//! Where a command must run: in which network and mount namespace, and as which user.

use crate::classifier::Report;
use crate::classifier::finding::Finding;
use crate::model::{Evidence, Inside, Name, Pid, Runtime, Tool};
use crate::renderer::findings::steps::step::{Step, word};

/// A process that is looked into.
pub(super) struct Place<'a> {
    pub report: &'a Report<'a>,
    pub finding: &'a Finding,
    pub pid: Pid,
    /// What was read about it; `None` if nothing was.
    pub evidence: Option<&'a Evidence>,
}

impl<'a> Place<'a> {
    pub fn new(report: &'a Report<'a>, finding: &'a Finding, pid: Pid) -> Place<'a> {
        let mut evidence = finding.evidence.iter();
        Place {
            report,
            finding,
            pid,
            evidence: evidence.find(|evidence| evidence.pid == pid),
        }
    }

    pub fn runtime(&self) -> Runtime {
        self.evidence
            .map_or(Runtime::Native, |evidence| evidence.runtime)
    }

    /// A command with a tool, anywhere on the host.
    pub fn host(&self, tool: Tool, rest: &str) -> Step {
        let command = format!("{} {rest}", tool.name());
        first(self.report, tool, Step::run(command))
    }

    /// A command with a tool, in the network namespace of the process.
    pub fn network(&self, tool: Tool, rest: &str) -> Step {
        let enter = self.enter_network();
        let command = format!("{enter}{} {rest}", tool.name());
        let step = first(self.report, tool, Step::run(command));
        match enter.is_empty() {
            true => step,
            false => self.entering(step),
        }
    }

    /// A step that enters namespaces, which takes nsenter and root.
    pub fn entering(&self, step: Step) -> Step {
        self.as_root(first(self.report, Tool::Nsenter, step))
    }

    /// A step that takes root.
    pub fn as_root(&self, step: Step) -> Step {
        match self.report.snapshot.scan.root {
            true => step,
            false => step.with("as root"),
        }
    }

    /// `nsenter -t PID -n `, where its sockets are in another network namespace than the shell.
    pub fn enter_network(&self) -> String {
        let namespace = self.report.snapshot.netns(self.finding.set.netns);
        match namespace.asked {
            Some(_) => format!("nsenter -t {} -n ", self.pid),
            None => String::new(),
        }
    }

    fn inside(&self) -> Option<&'a Inside> {
        self.evidence.map(|evidence| &evidence.inside)
    }

    /// Whether it has processes or files of its own, as in a container.
    pub fn is_apart(&self) -> bool {
        self.inside()
            .is_some_and(|inside| inside.pid.is_some() || inside.other_files)
    }

    /// Its number as it knows it itself.
    pub fn own_pid(&self) -> Pid {
        self.inside()
            .and_then(|inside| inside.pid)
            .unwrap_or(self.pid)
    }

    /// The path of its executable in its own mount namespace.
    pub fn exe(&self) -> Option<&'a str> {
        path(self.inside()?.exe.as_ref()?)
    }

    /// The path of a jcmd beside that executable.
    pub fn jcmd(&self) -> Option<&'a str> {
        path(self.inside()?.jcmd.as_ref()?)
    }

    /// Its effective user and group, unless root; `None` if the caller cannot change to them.
    pub fn user(&self) -> Option<(u32, u32)> {
        let (user, group) = self.inside()?.user?;
        (self.report.snapshot.scan.root && user != 0).then_some((user, group))
    }

    pub fn logs(&self) -> bool {
        self.inside().is_some_and(|inside| inside.logs)
    }
}

/// A path that needs no quotes in a shell; others may be made to mislead.
fn path(name: &Name) -> Option<&str> {
    let text = std::str::from_utf8(name.bytes()).ok()?;
    (text.starts_with('/') && word(text) == text).then_some(text)
}

/// How a shell finds this program: by its name, or by its path if it is not in PATH.
pub(super) fn closewait<'a>(report: &'a Report<'_>) -> &'a str {
    let name = Tool::Closewait.name();
    match &report.snapshot.host.this {
        Some(this) if has(report, Tool::Closewait) == Some(false) && word(this) == *this => this,
        _ => name,
    }
}

/// Whether a shell finds a tool; `None` if that was not looked up.
pub(super) fn has(report: &Report<'_>, tool: Tool) -> Option<bool> {
    let tools = report.snapshot.host.tools.as_ref()?;
    Some(tools.has(tool))
}

/// A step with a remark on how to install a tool, if it is missing.
pub(super) fn first(report: &Report<'_>, tool: Tool, step: Step) -> Step {
    if has(report, tool) != Some(false) {
        return step;
    }
    step.with(match tool {
        Tool::Dlv => "first: go install github.com/go-delve/delve/cmd/dlv@latest".to_owned(),
        Tool::Jcmd => "first install a JDK".to_owned(),
        Tool::Nsenter | Tool::Prlimit | Tool::Setpriv => "first install util-linux".to_owned(),
        Tool::PySpy => "first: pip install py-spy".to_owned(),
        Tool::Rbspy => "first: cargo install rbspy".to_owned(),
        Tool::Node => "first install nodejs".to_owned(),
        Tool::Ss => "first install iproute2".to_owned(),
        other => format!("first install {}", other.name()),
    })
}
