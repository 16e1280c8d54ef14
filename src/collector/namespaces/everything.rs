//! The thorough search for network namespaces: threads, descriptors and sockets of every process, and
//! other mount namespaces.

use std::collections::BTreeSet;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, RawDir, readlinkat_raw};
use rustix::io::Errno;
use rustix::thread::CapabilitySet;

use super::find::{LINK, Search, namespace_link};
use super::mounts;
use super::netns::{self, Netns};
use super::omission::Omission;
use super::place::Key;
use super::sknet::Sockets;
use crate::collector::access::{by_capability, is_capable};
use crate::collector::file;
use crate::collector::procfs::{DIRENTS, PathBuffer, has_our_numbers, is_ours, namespace_at};
use crate::collector::watchdog::Pending;
use crate::model::Pid;

/// The most descriptors of one process that are searched for namespaces, and the most sockets among
/// them.
const FDS_MAX: usize = 4_096;
const SOCKETS_MAX: usize = 1_000;
impl Search<'_> {
    /// Searches threads, descriptors and other mount namespaces.
    pub(super) fn everything(&mut self) {
        match self.root() {
            Ok(root) => {
                let pids = self.pids.clone();
                self.threads(&root, &pids);
                self.mounts_elsewhere(&root, &pids);
                self.descriptors(&pids);
            }
            Err(error) => {
                let omission = Omission::could_not("open", self.proc_root, &error.into());
                self.found.omissions.push(omission);
            }
        }
    }

    /// Mounts in the mount namespaces of other processes.
    fn mounts_elsewhere(&mut self, root: &OwnedFd, pids: &[Pid]) {
        let mut path = PathBuffer::default();
        let mut seen = BTreeSet::new();
        let own = namespace_at(Path::new("/proc/thread-self/ns/mnt"), "mnt");
        seen.extend(own.filter(|_| is_ours(self.proc_root)));
        for &pid in pids {
            let mountinfo = match namespace_link(root, path.of(pid, "ns/mnt"), "mnt") {
                Ok(inode) if !seen.insert(inode) => continue,
                Ok(_) => file::read(&self.process(pid).join("mountinfo"), file::LIST_MAX)
                    .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)),
                Err(error) => Err(error),
            };
            match mountinfo {
                Ok(text) => {
                    let mounts = mounts::of_text(&text, Some(&self.process(pid).join("root")));
                    self.add_mounts(mounts);
                }
                Err(error) => self.incomplete.miss(self.proc_root, pid, "mounts", error),
            }
        }
    }

    /// Namespaces without a process: a descriptor of one, or of a socket in it, keeps it alive.
    fn descriptors(&mut self, pids: &[Pid]) {
        let by_sockets = has_our_numbers(self.proc_root);
        let own = Pid(std::process::id());
        // This process itself has opened namespaces only for the search.
        for &pid in pids.iter().filter(|pid| !by_sockets || **pid != own) {
            if let Err(error) = self.descriptors_of(pid, by_sockets, &mut BTreeSet::new()) {
                self.incomplete
                    .miss(self.proc_root, pid, "descriptors", error);
            }
        }
        let rights = [
            (CapabilitySet::SYS_PTRACE, "CAP_SYS_PTRACE"),
            (CapabilitySet::NET_ADMIN, "CAP_NET_ADMIN"),
        ];
        let missing = rights.into_iter().filter(|(right, _)| !is_capable(*right));
        let missing: Vec<&str> = missing.map(|(_, name)| name).collect();
        if !missing.is_empty() {
            self.found.omissions.push(Omission {
                detail: "those without a process".to_owned(),
                hint: by_capability(&missing.join(" and ")).into(),
            });
        } else if let Some(error) = self.sockets_refused.filter(|_| !self.socket_read) {
            self.found.omissions.push(Omission {
                detail: format!(
                    "those without a process, because no socket's namespace could be read ({error})"
                ),
                hint: "allow pidfd_getfd and the ioctl SIOCGSKNS (a seccomp filter?)".into(),
            });
        }
    }

    /// Finds the namespaces of the descriptors of a process, and adds those of its sockets to `keys`.
    /// `by_sockets`: its process numbers are those of system calls. Returns whether the namespace of
    /// every socket was read.
    ///
    /// # Errors
    /// When its descriptors cannot be listed.
    pub(super) fn descriptors_of(
        &mut self,
        pid: Pid,
        by_sockets: bool,
        keys: &mut BTreeSet<Key>,
    ) -> Result<bool, Errno> {
        let dir = self.process(pid).join("fd");
        let dir_fd = file::directory(CWD, &dir)?;
        let _pending = Pending::on(&dir);
        let mut buffer = vec![MaybeUninit::uninit(); DIRENTS];
        let mut entries = RawDir::new(dir_fd.as_fd(), &mut buffer);
        let mut process = None;
        if by_sockets {
            match Sockets::of(pid) {
                Ok(sockets) => process = Some(sockets),
                Err(error) => self.socket_refused(pid, error),
            }
        }
        let (mut links, mut sockets) = (0, 0);
        let mut all_read = true;
        while let Some(entry) = entries.next() {
            let entry = entry?;
            if links >= FDS_MAX {
                return Ok(false);
            }
            let number = std::str::from_utf8(entry.file_name().to_bytes()).ok();
            let Some(number) = number.and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let mut link = [MaybeUninit::uninit(); LINK];
            let (target, _) = match readlinkat_raw(&dir_fd, entry.file_name(), &mut link) {
                Ok(read) => read,
                // Closed meanwhile.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(error),
            };
            links += 1;
            if let Some(inode) = netns::link_inode(target) {
                let path = dir.join(number.to_string());
                let key = self.key(inode);
                self.found.places.entry(key).or_default().link(path);
            } else if target.starts_with(b"socket:[") {
                sockets += 1;
                let process_now = process.as_ref().filter(|_| sockets <= SOCKETS_MAX);
                match process_now.map(|process| process.namespace(number)) {
                    Some(Ok(Some(namespace))) => {
                        self.socket_read = true;
                        keys.insert(self.held(namespace)?);
                    }
                    // Of another family, or closed meanwhile.
                    Some(Ok(None) | Err(Errno::BADF | Errno::SRCH)) => {}
                    Some(Err(error)) => {
                        self.socket_refused(pid, error);
                        process = None;
                        all_read = false;
                    }
                    None => all_read = false,
                }
            }
        }
        Ok(all_read)
    }

    /// The namespaces of the sockets of a process could not be read.
    fn socket_refused(&mut self, pid: Pid, error: Errno) {
        match error {
            Errno::PERM | Errno::NOSYS | Errno::ACCESS => {
                _ = self.sockets_refused.get_or_insert(error)
            }
            error => self.incomplete.miss(self.proc_root, pid, "sockets", error),
        }
    }

    fn held(&mut self, namespace: OwnedFd) -> Result<Key, Errno> {
        let namespace = Netns::of(namespace)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        let key = self.key(namespace.inode());
        let place = self.found.places.entry(key).or_default();
        // A thread in it may leave soon: another run of closewait does, after some milliseconds.
        if key != Key::Own && place.pids.is_empty() && place.name.is_none() {
            place.held.get_or_insert(namespace);
        }
        Ok(key)
    }
}
