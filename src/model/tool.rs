//! Tools that next steps suggest, and which of them are installed.

use serde::{Deserialize, Serialize};

/// A tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    Closewait,
    Curl,
    Dlv,
    Docker,
    Gdb,
    Jcmd,
    Lsof,
    LxcStop,
    Nerdctl,
    Node,
    Nsenter,
    Podman,
    Prlimit,
    PySpy,
    Rbspy,
    Setpriv,
    Ss,
    Strace,
    Systemctl,
    Wget,
}

impl Tool {
    pub const ALL: [Tool; 20] = [
        Tool::Closewait,
        Tool::Curl,
        Tool::Dlv,
        Tool::Docker,
        Tool::Gdb,
        Tool::Jcmd,
        Tool::Lsof,
        Tool::LxcStop,
        Tool::Nerdctl,
        Tool::Node,
        Tool::Nsenter,
        Tool::Podman,
        Tool::Prlimit,
        Tool::PySpy,
        Tool::Rbspy,
        Tool::Setpriv,
        Tool::Ss,
        Tool::Strace,
        Tool::Systemctl,
        Tool::Wget,
    ];

    /// The name of its command.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Closewait => "closewait",
            Tool::Curl => "curl",
            Tool::Dlv => "dlv",
            Tool::Docker => "docker",
            Tool::Gdb => "gdb",
            Tool::Jcmd => "jcmd",
            Tool::Lsof => "lsof",
            Tool::LxcStop => "lxc-stop",
            Tool::Nerdctl => "nerdctl",
            Tool::Node => "node",
            Tool::Nsenter => "nsenter",
            Tool::Podman => "podman",
            Tool::Prlimit => "prlimit",
            Tool::PySpy => "py-spy",
            Tool::Rbspy => "rbspy",
            Tool::Setpriv => "setpriv",
            Tool::Ss => "ss",
            Tool::Strace => "strace",
            Tool::Systemctl => "systemctl",
            Tool::Wget => "wget",
        }
    }
}

/// The tools that were found. They are kept by name, so that a recording may hold unknown ones.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tools(Vec<String>);

impl Tools {
    pub fn new(found: impl IntoIterator<Item = Tool>) -> Tools {
        Tools(
            found
                .into_iter()
                .map(|tool| tool.name().to_owned())
                .collect(),
        )
    }

    pub fn has(&self, tool: Tool) -> bool {
        self.0.iter().any(|name| name == tool.name())
    }
}
