//! bpf(2): the few commands that a walk over all tasks needs.
//!
//! Unsafe, because no library in use makes this system call. Everything that the kernel reads or writes
//! through an address is a slice that outlives the call, with the length that the kernel expects. See
//! `include/uapi/linux/bpf.h`.

#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

const MAP_CREATE: libc::c_int = 0;
const MAP_LOOKUP_ELEM: libc::c_int = 1;
const MAP_UPDATE_ELEM: libc::c_int = 2;
const PROG_LOAD: libc::c_int = 5;
const LINK_CREATE: libc::c_int = 28;
const ITER_CREATE: libc::c_int = 33;

const MAP_TYPE_ARRAY: u32 = 2;
const PROG_TYPE_TRACING: u32 = 26;
const ATTACH_TRACE_ITER: u32 = 28;
/// Helpers are available only to programs with a GPL-compatible license (`license_is_gpl_compatible` of
/// `include/linux/license.h`).
const LICENSE: &[u8] = b"Dual MIT/GPL\0";
/// The name of maps and programs in bpftool(8) and audit logs.
const NAME: [u8; 16] = *b"closewait\0\0\0\0\0\0\0";
/// How often loading is tried: a signal interrupts the verifier (`EAGAIN`). libbpf tries as often.
const TRIES: u32 = 5;

/// An array map; values are read and written one at a time.
#[derive(Debug)]
pub struct Array {
    fd: OwnedFd,
    value_size: usize,
}

impl Array {
    /// `value_size` in bytes, a multiple of 8.
    pub fn new(value_size: u32, entries: u32) -> io::Result<Array> {
        debug_assert!(value_size.is_multiple_of(8));
        let attributes = MapCreate {
            map_type: MAP_TYPE_ARRAY,
            key_size: 4,
            value_size,
            max_entries: entries,
            map_name: NAME,
            ..MapCreate::default()
        };
        Ok(Array {
            fd: descriptor(MAP_CREATE, &attributes)?,
            value_size: value_size as usize,
        })
    }

    /// The descriptor of the map, for programs.
    pub fn number(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Copies the value at an index into `value`, which must have the value size.
    pub fn read(&self, index: u32, value: &mut [u8]) -> io::Result<()> {
        self.fits(value.len())?;
        call(
            MAP_LOOKUP_ELEM,
            &self.element(&index, value.as_mut_ptr().addr()),
        )?;
        Ok(())
    }

    /// Copies `value`, which must have the value size, to an index.
    pub fn write(&self, index: u32, value: &[u8]) -> io::Result<()> {
        self.fits(value.len())?;
        call(
            MAP_UPDATE_ELEM,
            &self.element(&index, value.as_ptr().addr()),
        )?;
        Ok(())
    }

    /// The kernel copies the value size, whatever the length of the slice.
    fn fits(&self, length: usize) -> io::Result<()> {
        if length == self.value_size {
            Ok(())
        } else {
            Err(io::ErrorKind::InvalidInput.into())
        }
    }

    fn element(&self, index: &u32, value: usize) -> MapElement {
        MapElement {
            map_fd: self.fd.as_raw_fd().cast_unsigned(),
            key: std::ptr::from_ref(index).addr() as u64,
            value: value as u64,
            ..MapElement::default()
        }
    }
}

/// Loads a program that runs for each item of an iterator. `function` is the BTF ID of the iterator. The
/// verifier writes messages into `log`, unless that is empty.
pub fn load(instructions: &[u64], function: u32, log: &mut [u8]) -> io::Result<OwnedFd> {
    let attributes = ProgLoad {
        prog_type: PROG_TYPE_TRACING,
        insn_cnt: instructions.len() as u32,
        insns: instructions.as_ptr().addr() as u64,
        license: LICENSE.as_ptr().addr() as u64,
        log_level: u32::from(!log.is_empty()),
        log_size: log.len() as u32,
        log_buf: if log.is_empty() {
            0
        } else {
            log.as_mut_ptr().addr() as u64
        },
        prog_name: NAME,
        expected_attach_type: ATTACH_TRACE_ITER,
        attach_btf_id: function,
        ..ProgLoad::default()
    };
    let mut tries = 1;
    loop {
        match descriptor(PROG_LOAD, &attributes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && tries < TRIES => tries += 1,
            answer => return answer,
        }
    }
}

/// Creates an iterator from a loaded program; [`iterate`] starts a walk.
pub fn link(program: &OwnedFd) -> io::Result<OwnedFd> {
    let attributes = LinkCreate {
        prog_fd: program.as_raw_fd().cast_unsigned(),
        attach_type: ATTACH_TRACE_ITER,
        ..LinkCreate::default()
    };
    descriptor(LINK_CREATE, &attributes)
}

/// A file that runs the program over all items when it is read.
pub fn iterate(link: &OwnedFd) -> io::Result<OwnedFd> {
    let attributes = IterCreate {
        link_fd: link.as_raw_fd().cast_unsigned(),
        flags: 0,
    };
    descriptor(ITER_CREATE, &attributes)
}

#[repr(C)]
#[derive(Default)]
struct MapCreate {
    map_type: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    map_flags: u32,
    inner_map_fd: u32,
    numa_node: u32,
    map_name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct MapElement {
    map_fd: u32,
    _pad: u32,
    key: u64,
    value: u64,
    flags: u64,
}

#[repr(C)]
#[derive(Default)]
struct ProgLoad {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
    prog_ifindex: u32,
    expected_attach_type: u32,
    prog_btf_fd: u32,
    func_info_rec_size: u32,
    func_info: u64,
    func_info_cnt: u32,
    line_info_rec_size: u32,
    line_info: u64,
    line_info_cnt: u32,
    attach_btf_id: u32,
}

#[repr(C)]
#[derive(Default)]
struct LinkCreate {
    prog_fd: u32,
    target_fd: u32,
    attach_type: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct IterCreate {
    link_fd: u32,
    flags: u32,
}

/// The attributes of a command, in the kernel's layout. All addresses in them must be valid until the call
/// returns.
trait Attributes {}
impl Attributes for MapCreate {}
impl Attributes for MapElement {}
impl Attributes for ProgLoad {}
impl Attributes for LinkCreate {}
impl Attributes for IterCreate {}

fn call<A: Attributes>(command: libc::c_int, attributes: &A) -> io::Result<libc::c_int> {
    // SAFETY: the kernel reads no more than the given size and treats missing attributes as 0. Every
    // address belongs to a slice that the caller borrows, and has its length: instructions and log are
    // counted, a key has 4 bytes, and `Array` checks the length of every value.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_ref(attributes),
            size_of::<A>(),
        )
    };
    match libc::c_int::try_from(result) {
        Ok(result) if result >= 0 => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Runs a command that returns a new descriptor. The kernel sets close-on-exec.
fn descriptor<A: Attributes>(command: libc::c_int, attributes: &A) -> io::Result<OwnedFd> {
    let fd = call(command, attributes)?;
    // SAFETY: the kernel has just created it, and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
