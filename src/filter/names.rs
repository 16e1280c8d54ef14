//! Lookup of the names in a filter. The parser reads no files: the collector implements [`Names`].

use std::net::IpAddr;

use crate::model::PortRange;

/// Looks up the names in a filter.
pub trait Names {
    /// The port of a service, that of TCP first: /etc/services.
    fn service(&self, name: &str) -> Option<u16>;
    /// The addresses of a host: /etc/hosts.
    fn hosts(&self, name: &str) -> Vec<IpAddr>;
    /// The index of an interface of the network namespace that is inspected.
    fn interface(&self, name: &str) -> Option<u32>;
    /// The number of a user: /etc/passwd.
    fn user(&self, name: &str) -> Option<u32>;
    /// The kernel's id of a cgroup (cgroup v2).
    fn cgroup(&self, path: &str) -> Option<u64>;
    /// The range of ports that the kernel assigns to local ends (`ip_local_port_range`).
    fn ephemeral(&self) -> Option<PortRange>;
}

/// Knows no names: only numbers can be used.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNames;

impl Names for NoNames {
    fn service(&self, _: &str) -> Option<u16> {
        None
    }

    fn hosts(&self, _: &str) -> Vec<IpAddr> {
        Vec::new()
    }

    fn interface(&self, _: &str) -> Option<u32> {
        None
    }

    fn user(&self, _: &str) -> Option<u32> {
        None
    }

    fn cgroup(&self, _: &str) -> Option<u64> {
        None
    }

    fn ephemeral(&self) -> Option<PortRange> {
        None
    }
}
