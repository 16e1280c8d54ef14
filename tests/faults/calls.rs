//! The system calls that a run makes, and the errors that each may return on some host.

/// A system call, and its errors.
#[derive(Debug)]
pub struct Call {
    pub name: &'static str,
    pub number: i64,
    pub errnos: &'static [(&'static str, i32)],
}

const fn call(name: &'static str, number: i64, errnos: &'static [(&'static str, i32)]) -> Call {
    Call {
        name,
        number,
        errnos,
    }
}

/// The calls that are made to fail. Those whose failure has no lasting effect, such as futex(2) and close(2),
/// are left out.
pub const CALLS: &[Call] = &[
    call(
        "openat",
        libc::SYS_openat,
        &[
            ("EACCES", libc::EACCES),
            ("ENOENT", libc::ENOENT),
            ("EMFILE", libc::EMFILE),
            ("ENFILE", libc::ENFILE),
            ("EIO", libc::EIO),
            ("ENOMEM", libc::ENOMEM),
            ("EINTR", libc::EINTR),
        ],
    ),
    call(
        "read",
        libc::SYS_read,
        &[
            ("EIO", libc::EIO),
            ("EINTR", libc::EINTR),
            ("ENOMEM", libc::ENOMEM),
            ("ESRCH", libc::ESRCH),
        ],
    ),
    call(
        "pread64",
        libc::SYS_pread64,
        &[("EIO", libc::EIO), ("EINTR", libc::EINTR)],
    ),
    call(
        "readlink",
        libc::SYS_readlink,
        &[
            ("EACCES", libc::EACCES),
            ("ENOENT", libc::ENOENT),
            ("ENOMEM", libc::ENOMEM),
            ("ESRCH", libc::ESRCH),
        ],
    ),
    call(
        "readlinkat",
        libc::SYS_readlinkat,
        &[
            ("EACCES", libc::EACCES),
            ("ENOENT", libc::ENOENT),
            ("ENOMEM", libc::ENOMEM),
            ("ESRCH", libc::ESRCH),
        ],
    ),
    call(
        "getdents64",
        libc::SYS_getdents64,
        &[
            ("EIO", libc::EIO),
            ("ENOENT", libc::ENOENT),
            ("ENOMEM", libc::ENOMEM),
        ],
    ),
    call(
        "statx",
        libc::SYS_statx,
        &[
            ("EACCES", libc::EACCES),
            ("ENOENT", libc::ENOENT),
            ("EIO", libc::EIO),
            ("ENOMEM", libc::ENOMEM),
        ],
    ),
    call(
        "newfstatat",
        libc::SYS_newfstatat,
        &[
            ("EACCES", libc::EACCES),
            ("ENOENT", libc::ENOENT),
            ("EIO", libc::EIO),
            ("ENOMEM", libc::ENOMEM),
        ],
    ),
    call("fstat", libc::SYS_fstat, &[("EIO", libc::EIO)]),
    call(
        "statfs",
        libc::SYS_statfs,
        &[
            ("EACCES", libc::EACCES),
            ("ENOSYS", libc::ENOSYS),
            ("EIO", libc::EIO),
        ],
    ),
    call(
        "fstatfs",
        libc::SYS_fstatfs,
        &[("EIO", libc::EIO), ("ENOSYS", libc::ENOSYS)],
    ),
    call("lseek", libc::SYS_lseek, &[("EINVAL", libc::EINVAL)]),
    call(
        "access",
        libc::SYS_access,
        &[("EACCES", libc::EACCES), ("ENOENT", libc::ENOENT)],
    ),
    call(
        "faccessat2",
        libc::SYS_faccessat2,
        &[("EACCES", libc::EACCES), ("ENOENT", libc::ENOENT)],
    ),
    call(
        "socket",
        libc::SYS_socket,
        &[
            ("EPERM", libc::EPERM),
            ("EACCES", libc::EACCES),
            ("EMFILE", libc::EMFILE),
            ("ENFILE", libc::ENFILE),
            ("ENOBUFS", libc::ENOBUFS),
            ("EAFNOSUPPORT", libc::EAFNOSUPPORT),
            ("EPROTONOSUPPORT", libc::EPROTONOSUPPORT),
        ],
    ),
    call(
        "bind",
        libc::SYS_bind,
        &[("EPERM", libc::EPERM), ("ENOMEM", libc::ENOMEM)],
    ),
    call(
        "connect",
        libc::SYS_connect,
        &[("EPERM", libc::EPERM), ("ENETUNREACH", libc::ENETUNREACH)],
    ),
    call(
        "sendto",
        libc::SYS_sendto,
        &[
            ("ENOBUFS", libc::ENOBUFS),
            ("EPERM", libc::EPERM),
            ("ENOMEM", libc::ENOMEM),
            ("EINTR", libc::EINTR),
            ("EAGAIN", libc::EAGAIN),
        ],
    ),
    call(
        "sendmsg",
        libc::SYS_sendmsg,
        &[
            ("ENOBUFS", libc::ENOBUFS),
            ("EPERM", libc::EPERM),
            ("EINTR", libc::EINTR),
        ],
    ),
    call(
        "recvfrom",
        libc::SYS_recvfrom,
        &[
            ("ENOBUFS", libc::ENOBUFS),
            ("ENOMEM", libc::ENOMEM),
            ("EINTR", libc::EINTR),
            ("EAGAIN", libc::EAGAIN),
        ],
    ),
    call(
        "recvmsg",
        libc::SYS_recvmsg,
        &[
            ("ENOBUFS", libc::ENOBUFS),
            ("ENOMEM", libc::ENOMEM),
            ("EINTR", libc::EINTR),
            ("EAGAIN", libc::EAGAIN),
        ],
    ),
    call(
        "setsockopt",
        libc::SYS_setsockopt,
        &[
            ("EPERM", libc::EPERM),
            ("ENOPROTOOPT", libc::ENOPROTOOPT),
            ("ENOBUFS", libc::ENOBUFS),
        ],
    ),
    call(
        "getsockopt",
        libc::SYS_getsockopt,
        &[("EPERM", libc::EPERM), ("ENOPROTOOPT", libc::ENOPROTOOPT)],
    ),
    call(
        "getsockname",
        libc::SYS_getsockname,
        &[("ENOBUFS", libc::ENOBUFS)],
    ),
    call(
        "bpf",
        libc::SYS_bpf,
        &[
            ("EPERM", libc::EPERM),
            ("EINVAL", libc::EINVAL),
            ("ENOMEM", libc::ENOMEM),
            ("ENOSYS", libc::ENOSYS),
            ("EAGAIN", libc::EAGAIN),
            ("EINTR", libc::EINTR),
        ],
    ),
    call(
        "setns",
        libc::SYS_setns,
        &[
            ("EPERM", libc::EPERM),
            ("EINVAL", libc::EINVAL),
            ("ENOMEM", libc::ENOMEM),
        ],
    ),
    call(
        "unshare",
        libc::SYS_unshare,
        &[("EPERM", libc::EPERM), ("ENOSPC", libc::ENOSPC)],
    ),
    call(
        "clone3",
        libc::SYS_clone3,
        &[("EAGAIN", libc::EAGAIN), ("ENOMEM", libc::ENOMEM)],
    ),
    call(
        "clone",
        libc::SYS_clone,
        &[("EAGAIN", libc::EAGAIN), ("ENOMEM", libc::ENOMEM)],
    ),
    call("mmap", libc::SYS_mmap, &[("ENOMEM", libc::ENOMEM)]),
    call("mprotect", libc::SYS_mprotect, &[("ENOMEM", libc::ENOMEM)]),
    call("mremap", libc::SYS_mremap, &[("ENOMEM", libc::ENOMEM)]),
    call(
        "process_vm_readv",
        libc::SYS_process_vm_readv,
        &[
            ("EPERM", libc::EPERM),
            ("ESRCH", libc::ESRCH),
            ("EFAULT", libc::EFAULT),
        ],
    ),
    call(
        "ioctl",
        libc::SYS_ioctl,
        &[
            ("EPERM", libc::EPERM),
            ("ENOTTY", libc::ENOTTY),
            ("EINVAL", libc::EINVAL),
        ],
    ),
    call(
        "fcntl",
        libc::SYS_fcntl,
        &[("EINVAL", libc::EINVAL), ("EMFILE", libc::EMFILE)],
    ),
    call(
        "poll",
        libc::SYS_poll,
        &[("EINTR", libc::EINTR), ("ENOMEM", libc::ENOMEM)],
    ),
    call(
        "ppoll",
        libc::SYS_ppoll,
        &[("EINTR", libc::EINTR), ("ENOMEM", libc::ENOMEM)],
    ),
    call(
        "rename",
        libc::SYS_rename,
        &[
            ("EIO", libc::EIO),
            ("ENOSPC", libc::ENOSPC),
            ("EXDEV", libc::EXDEV),
            ("EACCES", libc::EACCES),
        ],
    ),
    call(
        "renameat",
        libc::SYS_renameat,
        &[
            ("EIO", libc::EIO),
            ("ENOSPC", libc::ENOSPC),
            ("EXDEV", libc::EXDEV),
            ("EACCES", libc::EACCES),
        ],
    ),
    call(
        "renameat2",
        libc::SYS_renameat2,
        &[
            ("EIO", libc::EIO),
            ("ENOSPC", libc::ENOSPC),
            ("EXDEV", libc::EXDEV),
            ("EACCES", libc::EACCES),
        ],
    ),
    call(
        "linkat",
        libc::SYS_linkat,
        &[
            ("EIO", libc::EIO),
            ("ENOSPC", libc::ENOSPC),
            ("EXDEV", libc::EXDEV),
            ("EACCES", libc::EACCES),
            ("EEXIST", libc::EEXIST),
        ],
    ),
    call(
        "unlink",
        libc::SYS_unlink,
        &[("EACCES", libc::EACCES), ("EIO", libc::EIO)],
    ),
    call(
        "unlinkat",
        libc::SYS_unlinkat,
        &[("EACCES", libc::EACCES), ("EIO", libc::EIO)],
    ),
    call(
        "fsync",
        libc::SYS_fsync,
        &[("EIO", libc::EIO), ("ENOSPC", libc::ENOSPC)],
    ),
    call(
        "fdatasync",
        libc::SYS_fdatasync,
        &[("EIO", libc::EIO), ("ENOSPC", libc::ENOSPC)],
    ),
    call(
        "ftruncate",
        libc::SYS_ftruncate,
        &[("EIO", libc::EIO), ("ENOSPC", libc::ENOSPC)],
    ),
    call("fchmod", libc::SYS_fchmod, &[("EPERM", libc::EPERM)]),
    call("fchown", libc::SYS_fchown, &[("EPERM", libc::EPERM)]),
    call(
        "fgetxattr",
        libc::SYS_fgetxattr,
        &[("EOPNOTSUPP", libc::EOPNOTSUPP), ("EIO", libc::EIO)],
    ),
    call(
        "fsetxattr",
        libc::SYS_fsetxattr,
        &[("EOPNOTSUPP", libc::EOPNOTSUPP), ("EPERM", libc::EPERM)],
    ),
    call(
        "write",
        libc::SYS_write,
        &[
            ("EPIPE", libc::EPIPE),
            ("ENOSPC", libc::ENOSPC),
            ("EIO", libc::EIO),
            ("EINTR", libc::EINTR),
            ("EAGAIN", libc::EAGAIN),
        ],
    ),
    call(
        "getrandom",
        libc::SYS_getrandom,
        &[("ENOSYS", libc::ENOSYS), ("EINTR", libc::EINTR)],
    ),
    call("prlimit64", libc::SYS_prlimit64, &[("EPERM", libc::EPERM)]),
    call(
        "sched_getaffinity",
        libc::SYS_sched_getaffinity,
        &[("EPERM", libc::EPERM), ("EINVAL", libc::EINVAL)],
    ),
    call(
        "sched_setaffinity",
        libc::SYS_sched_setaffinity,
        &[("EPERM", libc::EPERM), ("EINVAL", libc::EINVAL)],
    ),
    call(
        "sched_getattr",
        libc::SYS_sched_getattr,
        &[("EPERM", libc::EPERM), ("ESRCH", libc::ESRCH)],
    ),
    call(
        "sched_getscheduler",
        libc::SYS_sched_getscheduler,
        &[("EPERM", libc::EPERM), ("ESRCH", libc::ESRCH)],
    ),
    call(
        "sched_setscheduler",
        libc::SYS_sched_setscheduler,
        &[("EPERM", libc::EPERM)],
    ),
    call(
        "kcmp",
        libc::SYS_kcmp,
        &[
            ("EPERM", libc::EPERM),
            ("ENOSYS", libc::ENOSYS),
            ("EACCES", libc::EACCES),
            ("ESRCH", libc::ESRCH),
        ],
    ),
    call(
        "pidfd_open",
        libc::SYS_pidfd_open,
        &[
            ("EPERM", libc::EPERM),
            ("EMFILE", libc::EMFILE),
            ("ENOSYS", libc::ENOSYS),
            ("ESRCH", libc::ESRCH),
        ],
    ),
    call(
        "pidfd_getfd",
        libc::SYS_pidfd_getfd,
        &[
            ("EPERM", libc::EPERM),
            ("EMFILE", libc::EMFILE),
            ("ENOSYS", libc::ENOSYS),
        ],
    ),
    call("capget", libc::SYS_capget, &[("EPERM", libc::EPERM)]),
    call(
        "clock_nanosleep",
        libc::SYS_clock_nanosleep,
        &[("EINTR", libc::EINTR)],
    ),
    call("nanosleep", libc::SYS_nanosleep, &[("EINTR", libc::EINTR)]),
    call(
        "epoll_create1",
        libc::SYS_epoll_create1,
        &[("EMFILE", libc::EMFILE)],
    ),
    call(
        "epoll_ctl",
        libc::SYS_epoll_ctl,
        &[("ENOMEM", libc::ENOMEM)],
    ),
    call(
        "epoll_wait",
        libc::SYS_epoll_wait,
        &[("EINTR", libc::EINTR)],
    ),
    call("madvise", libc::SYS_madvise, &[("EINVAL", libc::EINVAL)]),
    call("uname", libc::SYS_uname, &[("EPERM", libc::EPERM)]),
    call("sysinfo", libc::SYS_sysinfo, &[("EPERM", libc::EPERM)]),
    call("getcwd", libc::SYS_getcwd, &[("ENOENT", libc::ENOENT)]),
];
