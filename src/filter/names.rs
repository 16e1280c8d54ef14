//! What a filter's names stand for. Parsing reads no file: who has the files answers.

use std::net::IpAddr;

use crate::model::PortRange;

/// Looks up the names in a filter.
pub trait Names {
    /// The TCP port of a service: /etc/services.
    fn service(&self, name: &str) -> Option<u16>;
    /// The addresses of a host: /etc/hosts.
    fn hosts(&self, name: &str) -> Vec<IpAddr>;
    /// The index of an interface of the namespace that is looked at.
    fn interface(&self, name: &str) -> Option<u32>;
    /// The number of a user: /etc/passwd.
    fn user(&self, name: &str) -> Option<u32>;
    /// The kernel's number for a cgroup (of version 2).
    fn cgroup(&self, path: &str) -> Option<u64>;
    /// The ports that the kernel takes local ends from.
    fn ephemeral(&self) -> Option<PortRange>;
}

/// Knows no name: numbers alone can be used.
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
