//! Redaction: addresses and names are masked, each with the same replacement everywhere, so that findings
//! stay the same. Only what is known to be harmless is kept.

mod dumps;
mod masks;
mod stacks;

use self::masks::Masks;
pub use self::stacks::Functions;
use super::{Recording, RecordingError, facts_of};
use crate::model::{
    BlindSpot, Cgroup, Container, Content, Evidence, Halt, Manager, Name, NamedThreads, Namespace,
    Title, Users, WaitTarget,
};

/// Methods of HTTP that say nothing of a program.
const METHODS: [&str; 9] = [
    "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
];
/// Protocols that TLS clients usually offer.
const PROTOCOLS: [&str; 3] = ["h2", "http/1.1", "http/1.0"];

impl Recording {
    /// A copy with masked addresses and masked names of hosts, users, programs, units, containers, control
    /// groups, namespaces and files, and of the program's functions if that is asked for. Ports, numbers and
    /// times stay, and so do the addresses that every host has: loopback and unspecified.
    ///
    /// # Errors
    /// When a dump cannot be read.
    pub fn redacted(&self, functions: Functions) -> Result<Recording, RecordingError> {
        let mut masks = Masks::new(self)?;
        let mut recording = self.clone();
        recording.dumps = self.redacted_dumps(&mut masks)?;
        let facts = &mut recording.facts;
        facts.redacted = true;
        facts.dumps = facts_of(&recording.dumps);
        let host = &mut facts.host;
        // The random boot ID still distinguishes hosts.
        let boot = host.boot_id.as_ref().and_then(|id| id.bytes().get(..8));
        host.name = Name::new([b"host-", boot.unwrap_or(b"1")].concat());
        host.kernel = host.kernel.as_ref().map(|kernel| version(&kernel.lossy()));
        host.users = Users::new(
            host.users
                .all()
                .iter()
                .map(|(uid, name)| (*uid, masks.name("user", name)))
                .collect(),
        );
        for namespace in &mut facts.namespaces {
            masks.namespace(namespace);
        }
        let holdings = facts.scan.blind_spots.iter_mut();
        for holding in holdings.filter_map(BlindSpot::holding_mut) {
            let name = holding.name.take();
            holding.name = name.as_ref().map(|name| masks.name("program", name));
        }
        for gap in &mut facts.gaps {
            // The detail may contain names.
            gap.detail =
                format!("{}: {}, the words are redacted", gap.kind.name(), gap.count).into();
        }
        for process in &mut recording.owners.processes {
            process.name = process
                .name
                .as_ref()
                .map(|name| masks.name("program", name));
            for (_, name) in &mut process.ancestors {
                *name = masks.name("program", name);
            }
        }
        let groups = &mut recording.cgroups;
        let of_processes = groups.processes.iter_mut().map(|(_, cgroup)| cgroup);
        for cgroup in of_processes.chain(groups.numbers.iter_mut().map(|(_, cgroup)| cgroup)) {
            masks.cgroup(cgroup);
        }
        for facts in &mut recording.evidence {
            masks.evidence(facts.evidence_mut(), functions);
        }
        Ok(recording)
    }
}

/// `6.18.5` of `6.18.5-acme-prod`: whoever built the kernel chose the rest.
fn version(release: &str) -> Name {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    release
        .split(|c| !is_number(c))
        .next()
        .unwrap_or_default()
        .into()
}

impl Masks {
    fn namespace(&mut self, namespace: &mut Namespace) {
        for text in [&mut namespace.label, &mut namespace.asked] {
            // `net:[4026531840]`, or the number of a process.
            let harmless = |text: &str| {
                let number = text
                    .strip_prefix("net:[")
                    .and_then(|rest| rest.strip_suffix(']'));
                number
                    .unwrap_or(text)
                    .bytes()
                    .all(|byte| byte.is_ascii_digit())
            };
            if let Some(text) = text.as_mut().filter(|text| !harmless(&text.lossy())) {
                *text = self.name("netns", text);
            }
        }
    }

    fn cgroup(&mut self, cgroup: &mut Cgroup) {
        if cgroup.path.bytes() != b"/" {
            let path = format!("/{}", self.mask("group", cgroup.path.bytes()));
            cgroup.path = Name::new(path.into_bytes());
        }
        cgroup.unit = cgroup.unit.as_ref().map(|unit| self.unit(unit));
        let container = cgroup.container.as_ref();
        cgroup.container = container.map(|container| self.name("container", container));
    }

    fn unit(&mut self, unit: &Name) -> Name {
        let last = unit.bytes().rsplit(|byte| *byte == b'.').next();
        let kinds = ["service", "scope", "socket", "mount", "swap"];
        let kind = kinds.into_iter().find(|kind| Some(kind.as_bytes()) == last);
        let masked = self.mask("unit", unit.bytes());
        Name::new(format!("{masked}.{}", kind.unwrap_or("service")).into_bytes())
    }

    fn title(&mut self, title: &mut Title) {
        // A title that is not common may be a name.
        if !title.is_common() {
            title.says = self.name("title", &title.says);
        }
    }

    fn evidence(&mut self, evidence: &mut Evidence, functions: Functions) {
        self.halt(&mut evidence.halt);
        let inside = &mut evidence.inside;
        for path in [&mut inside.exe, &mut inside.jcmd].into_iter().flatten() {
            *path = self.name("file", path);
        }
        let origin = &mut evidence.origin;
        for library in &mut origin.old_libraries {
            library.name = self.name("file", &library.name);
        }
        for library in &mut origin.deleted_libraries {
            *library = self.name("file", library);
        }
        if let Some(package) = &mut origin.package {
            package.name = self.name("package", &package.name);
        }
        if let Some(command) = &mut evidence.command {
            command.program = self.name("program", &command.program);
            command.runs = self.name("script", &command.runs);
        }
        match &mut inside.manager {
            Some(Manager::Service { name, .. }) => *name = self.unit(name),
            Some(Manager::Container(container)) => self.container(Some(container)),
            None => {}
        }
        for (local, remote) in &mut evidence.polled {
            (*local, *remote) = (self.endpoint(*local), self.endpoint(*remote));
        }
        let siblings = evidence
            .siblings
            .iter_mut()
            .map(|sibling| &mut sibling.title);
        for title in evidence.title.iter_mut().chain(siblings) {
            self.title(title);
        }
        for wait in evidence.waits.iter_mut().flatten() {
            self.thread_names(&mut wait.thread_names);
            self.target(wait.target.as_mut());
        }
        self.thread_names(&mut evidence.thread_names);
        for peeked in &mut evidence.peeked {
            self.content(&mut peeked.content);
        }
        if let Some(stacks) = &mut evidence.stacks {
            self.stacks(stacks, evidence.runtime, functions);
        }
        for lock in &mut evidence.locks {
            self.thread_names(&mut lock.thread_names);
            if let Some(held_by) = &mut lock.held_by {
                held_by.name = held_by.name.as_ref().map(|name| self.name("program", name));
                self.target(held_by.target.as_mut());
            }
        }
    }

    fn content(&mut self, content: &mut Content) {
        match content {
            Content::Request {
                method,
                path,
                user_agent,
            } => {
                if let Some(method) = method
                    && !METHODS.iter().any(|known| *method == **known)
                {
                    *method = self.name("method", method);
                }
                *path = format!("/{}", self.mask("path", path.bytes())).into();
                *user_agent = user_agent.as_ref().map(|name| self.name("agent", name));
            }
            Content::Hello { server_name, alpn } => {
                *server_name = server_name.as_ref().map(|name| self.name("server", name));
                for protocol in alpn {
                    if !PROTOCOLS.iter().any(|known| *protocol == **known) {
                        *protocol = self.name("protocol", protocol);
                    }
                }
            }
            // A command may be any text in a recording that was altered.
            Content::Redis(command) => *command = self.name("command", command),
            Content::Response(_)
            | Content::Http2
            | Content::Goaway
            | Content::Tls(_)
            | Content::Ssh
            | Content::Postgres
            | Content::Amqp
            | Content::Unknown
            | Content::Left(_) => {}
        }
    }

    fn thread_names(&mut self, thread_names: &mut [NamedThreads]) {
        for thread_name in thread_names {
            thread_name.name = self.name("program", &thread_name.name);
        }
    }

    fn target(&mut self, target: Option<&mut WaitTarget>) {
        match target {
            Some(WaitTarget::Remote(end) | WaitTarget::Listener(end)) => *end = self.endpoint(*end),
            Some(WaitTarget::File(name)) => {
                let kinds: [&[u8]; 3] = [b"socket:[", b"pipe:[", b"anon_inode:"];
                if !kinds.iter().any(|kind| name.bytes().starts_with(kind)) {
                    *name = self.name("file", name);
                }
            }
            None => {}
        }
    }

    fn halt(&mut self, halt: &mut Halt) {
        if let Some(freezer) = &mut halt.freezer {
            if let Some(directory) = &mut freezer.directory {
                *directory = self.directory(directory);
            }
            freezer.unit = freezer.unit.as_ref().map(|unit| self.unit(unit));
            self.container(freezer.container.as_mut());
        }
        if let Some(quota) = &mut halt.quota {
            quota.directory = self.directory(&quota.directory);
            quota.unit = quota.unit.as_ref().map(|unit| self.unit(unit));
            self.container(quota.container.as_mut());
        }
        let of_tracer = halt.tracer.iter_mut().map(|tracer| &mut tracer.name);
        let of_child = halt.vfork.iter_mut().map(|vfork| &mut vfork.name);
        let of_holders = halt.locks.iter_mut().map(|lock| &mut lock.name);
        for name in of_tracer.chain(of_child).chain(of_holders) {
            *name = name.as_ref().map(|name| self.name("program", name));
        }
    }

    fn directory(&mut self, directory: &Name) -> Name {
        Name::new(format!("/{}", self.mask("group", directory.bytes())).into_bytes())
    }

    fn container(&mut self, container: Option<&mut Container>) {
        if let Some(container) = container {
            container.id = self.name("container", &container.id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_release_only_the_numbers_are_kept() {
        assert_eq!(version("6.18.5-acme-prod").bytes(), b"6.18.5");
        assert_eq!(version("weird").bytes(), b"");
    }
}
