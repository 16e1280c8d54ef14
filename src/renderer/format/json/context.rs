//! What every object of a document is made of: ends, names, processes.

use std::net::IpAddr;

use serde::{Serialize, Serializer};

use crate::classifier::Report;
use crate::classifier::identity::Identities;
use crate::classifier::service::{ServedAt, Service};
use crate::classifier::tally::ValueText;
use crate::model::{Command, Endpoint, Manager, Name, Pid, Protocol, Resolved, Socket};

/// What the objects of a document need from the report.
pub(super) struct Context<'a> {
    pub(super) report: &'a Report<'a>,
}

impl<'a> Context<'a> {
    pub(super) fn of(report: &'a Report<'_>) -> Context<'a> {
        Context { report }
    }

    pub(super) fn end(&self, end: Endpoint, protocol: Protocol) -> EndpointJson<'a> {
        EndpointJson::named(end, protocol, &self.report.resolved)
    }

    /// A service end as the two fields of which one is set.
    pub(super) fn service(
        &self,
        service: Service,
        protocol: Protocol,
    ) -> (Option<u16>, Option<EndpointJson<'a>>) {
        match service.at {
            ServedAt::Local(_) => (service.port(), None),
            ServedAt::Remote(remote) => (None, Some(self.end(remote, protocol))),
            ServedAt::Unknown(addr) => (None, Some(self.end(Endpoint::new(addr, 0), protocol))),
        }
    }

    /// This end of a socket, with the interface that it is bound to.
    pub(super) fn local(&self, socket: &Socket) -> EndpointJson<'a> {
        EndpointJson {
            device: self.device(socket.netns, socket.interface),
            ..self.end(socket.local, socket.protocol)
        }
    }

    pub(super) fn device(&self, netns: u16, index: u32) -> Option<String> {
        let device = self.report.snapshot.netns(netns).device(index)?;
        Some(device.lossy().into_owned())
    }

    /// The name of a namespace.
    pub(super) fn netns(&self, at: u16) -> Option<NameJson<'a>> {
        self.report.snapshot.netns(at).label.as_ref().map(NameJson)
    }

    pub(super) fn processes(&self, pids: &[Pid]) -> Vec<Process<'a>> {
        pids.iter().map(|pid| self.process(*pid)).collect()
    }

    pub(super) fn process(&self, pid: Pid) -> Process<'a> {
        Process {
            pid: pid.0,
            name: self.name(pid),
            command: None,
            unit: None,
            container: None,
        }
    }

    /// An owner of a finding, with what identifies it.
    pub(super) fn owner(&self, pid: Pid, identities: &'a Identities) -> Process<'a> {
        let identity = identities.of_process(pid);
        Process {
            command: identity.and_then(|of| of.command.as_ref()).map(command),
            unit: match identity.and_then(|of| of.manager.as_ref()) {
                Some(Manager::Service { name, .. }) => Some(NameJson(name)),
                _ => None,
            },
            container: match identity.and_then(|of| of.manager.as_ref()) {
                Some(Manager::Container(container)) => Some(NameJson(&container.id)),
                _ => None,
            },
            ..self.process(pid)
        }
    }

    pub(super) fn name(&self, pid: Pid) -> Option<NameJson<'a>> {
        self.report.holders().name(pid).map(NameJson)
    }
}

#[derive(Serialize)]
pub(super) struct EndpointJson<'a> {
    pub(super) addr: IpAddr,
    pub(super) port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) service: Option<&'a str>,
    /// The interface that it is bound to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) device: Option<String>,
}

impl<'a> EndpointJson<'a> {
    /// An end with its names, if it has any.
    pub(super) fn named(end: Endpoint, protocol: Protocol, names: &'a Resolved) -> Self {
        EndpointJson {
            addr: end.addr,
            port: end.port,
            host: names.host(end.addr),
            service: names.service(protocol, end.port),
            device: None,
        }
    }
}

#[derive(Serialize)]
pub(super) struct Process<'a> {
    pub(super) pid: u32,
    pub(super) name: Option<NameJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<NameJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<NameJson<'a>>,
}

/// `python3 -m uvicorn`.
fn command(command: &Command) -> String {
    format!("{} {}", command.program.lossy(), command.runs.lossy())
}

/// A name as valid UTF-8: other bytes become U+FFFD.
pub(in crate::renderer) struct NameJson<'a>(pub(in crate::renderer) &'a Name);

impl Serialize for NameJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0.lossy())
    }
}

/// A value in JSON: null if there is none, or if unknown.
pub(super) struct ValueJson<'a>(pub(super) &'a ValueText);

impl Serialize for ValueJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            ValueText::Number(number) => serializer.serialize_u64(*number),
            ValueText::Text(text) => NameJson(text).serialize(serializer),
            ValueText::Outside | ValueText::None | ValueText::Unknown => {
                serializer.serialize_none()
            }
        }
    }
}
