//! Debugging tools that next steps suggest, and which of them are installed.

use serde::{Deserialize, Serialize};

/// A debugging tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Tool {
    Closewait,
    Curl,
    Dlv,
    Gdb,
    Jcmd,
    Lsof,
    Node,
    Nsenter,
    PySpy,
    Rbspy,
    Setpriv,
    Strace,
    Wget,
}

impl Tool {
    pub const ALL: [Tool; 13] = [
        Tool::Closewait,
        Tool::Curl,
        Tool::Dlv,
        Tool::Gdb,
        Tool::Jcmd,
        Tool::Lsof,
        Tool::Node,
        Tool::Nsenter,
        Tool::PySpy,
        Tool::Rbspy,
        Tool::Setpriv,
        Tool::Strace,
        Tool::Wget,
    ];

    /// The name of its command.
    pub fn name(self) -> &'static str {
        match self {
            Tool::Closewait => "closewait",
            Tool::Curl => "curl",
            Tool::Dlv => "dlv",
            Tool::Gdb => "gdb",
            Tool::Jcmd => "jcmd",
            Tool::Lsof => "lsof",
            Tool::Node => "node",
            Tool::Nsenter => "nsenter",
            Tool::PySpy => "py-spy",
            Tool::Rbspy => "rbspy",
            Tool::Setpriv => "setpriv",
            Tool::Strace => "strace",
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
