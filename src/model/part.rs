//! What a function of a stack belongs to: the program, a library that it calls, or what every program has
//! below and above them.

use super::{Frame, Name, Runtime, StackOf};

/// What a function belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// What every program shares: system calls, locks, name lookups, the start of threads.
    System,
    /// The runtime of its language and the standard library.
    Runtime,
    /// A library that the program uses.
    Library,
    /// The program itself.
    Own,
}

/// By what a function is recognized.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The start of the file name of its module, or of the directory that this is in.
    Module,
    /// The start of its name, wherever it is linked in.
    Function,
    /// The first part of the path of a Go package.
    Package,
    /// A part of the path of a Python file.
    File,
}

/// A rule: which functions, and whose they are.
struct Rule {
    by: By,
    texts: &'static [&'static str],
    part: Part,
}

/// The first rule that fits decides.
const RULES: [Rule; 14] = [
    // Glibc and musl: their functions are how every program waits and starts threads.
    Rule {
        by: By::Module,
        texts: &[
            "libc.so",
            "libc-2.",
            "libc.musl",
            "ld-linux",
            "ld-musl",
            "ld-2.",
            "libpthread",
            "librt.so",
            "librt-",
            "libdl.so",
            "libm.so",
            "libresolv",
            "libnss_",
            "[vdso]",
        ],
        part: Part::System,
    },
    // The same in a program that is linked statically.
    Rule {
        by: By::Function,
        texts: &[
            "__libc_",
            "__GI_",
            "__pthread_",
            "___pthread_",
            "pthread_",
            "__futex_abstimed",
            "__lll_lock",
            "__internal_syscall_cancel",
            "__syscall_cancel",
            "__cp_end",
            "_start",
            "start_thread",
            "clone3",
            "__clone",
        ],
        part: Part::System,
    },
    // The standard library of C++, and what GCC adds.
    Rule {
        by: By::Module,
        texts: &["libstdc++", "libc++", "libgcc_s", "libatomic", "libgomp"],
        part: Part::Runtime,
    },
    // The standard libraries of Rust and C++, and the event loop of tokio.
    Rule {
        by: By::Function,
        texts: &[
            "core::",
            "<core::",
            "std::",
            "<std::",
            "alloc::",
            "<alloc::",
            "__rust_",
            "rust_",
            "tokio::",
            "<tokio::",
            "mio::",
            "<mio::",
            "__gnu_cxx::",
            "void std::",
            "bool std::",
            "decltype ",
            "__cxa_",
        ],
        part: Part::Runtime,
    },
    // The Java virtual machine: threads of any Java program wait in it.
    Rule {
        by: By::Module,
        texts: &[
            "libjvm",
            "libnio",
            "libnet.so",
            "libjava.so",
            "libjli",
            "libextnet",
            "libzip.so",
        ],
        part: Part::Runtime,
    },
    // Event loops, and the engine of Node.js.
    Rule {
        by: By::Module,
        texts: &["libuv", "libnode", "libv8", "libev.", "libev-", "libevent"],
        part: Part::Runtime,
    },
    // The same, linked into the program.
    Rule {
        by: By::Function,
        texts: &["uv_", "uv__", "v8::", "node::"],
        part: Part::Runtime,
    },
    // Interpreters: the functions of the program are in what they interpret.
    Rule {
        by: By::Module,
        texts: &[
            "libpython",
            "libruby",
            "libphp",
            "libcoreclr",
            "libclrjit",
            "libhostfxr",
            "libhostpolicy",
            "libSystem.Native",
            "libperl",
            "libmono",
        ],
        part: Part::Runtime,
    },
    // The same, linked into the program.
    Rule {
        by: By::Function,
        texts: &[
            "_Py",
            "Py_",
            "PyEval_",
            "PyObject_",
            "PyRun_",
            "pymain_",
            "rb_",
            "zend_",
        ],
        part: Part::Runtime,
    },
    // The runtime and the standard library of Go.
    Rule {
        by: By::Package,
        texts: &[
            "runtime",
            "internal",
            "syscall",
            "net",
            "sync",
            "time",
            "io",
            "bufio",
            "os",
            "bytes",
            "context",
            "crypto",
            "database",
            "encoding",
            "errors",
            "fmt",
            "log",
            "reflect",
            "sort",
            "strings",
            "testing",
            "text",
            "html",
            "path",
            "vendor",
            "archive",
            "compress",
            "mime",
            "iter",
            "slices",
            "maps",
            "plugin",
            "container",
            "hash",
            "math",
            "unique",
            "weak",
        ],
        part: Part::Runtime,
    },
    // A Go program's own package.
    Rule {
        by: By::Package,
        texts: &["main"],
        part: Part::Own,
    },
    // Where packages of Python are installed.
    Rule {
        by: By::File,
        texts: &["/site-packages/", "/dist-packages/"],
        part: Part::Library,
    },
    // The standard library of Python: sockets, threads, asyncio.
    Rule {
        by: By::File,
        texts: &[
            "/lib/python2",
            "/lib/python3",
            "/lib64/python3",
            "<frozen ",
            "python3.zip/",
        ],
        part: Part::Runtime,
    },
    // The same, in C.
    Rule {
        by: By::Module,
        texts: &["lib-dynload"],
        part: Part::Runtime,
    },
];

impl Frame {
    /// What it belongs to. `state` is the system call of a thread.
    pub fn part(&self, of: StackOf, runtime: Runtime, state: Option<&Name>) -> Part {
        if self.own {
            return Part::Own;
        }
        if let Some(rule) = self.rule(of) {
            return rule.0;
        }
        let function = self.function.as_ref().map(Name::bytes);
        // A wrapper of its own system call, in a program that is linked statically.
        if let Some((function, state)) = function.zip(state)
            && of == StackOf::Threads
            && is_wrapper(function, state.bytes())
        {
            return Part::System;
        }
        match &self.module {
            Some(package) if of == StackOf::Goroutines => match package.bytes().contains(&b'.') {
                true => Part::Library,
                false => Part::Own,
            },
            _ if self.file.is_some() => Part::Own,
            Some(module) if is_library(module) => Part::Library,
            // The executable of an interpreter is the interpreter.
            Some(_) if is_interpreted(runtime) => Part::Runtime,
            Some(_) => Part::Own,
            // A map of compiled functions has the program's names.
            None if function.is_some() => Part::Own,
            // Compiled while it ran: nothing is known about it.
            None => Part::Runtime,
        }
    }

    /// What many programs have, by the first rule that fits: what it belongs to, and by which text it is
    /// recognized.
    pub fn rule(&self, of: StackOf) -> Option<(Part, By, &'static str)> {
        RULES.iter().find_map(|rule| {
            let text = self.recognized(rule.by, rule.texts, of)?;
            Some((rule.part, rule.by, text))
        })
    }

    fn recognized(&self, by: By, texts: &[&'static str], of: StackOf) -> Option<&'static str> {
        let is_goroutine = of == StackOf::Goroutines;
        let is_native = of == StackOf::Threads && self.file.is_none();
        let (name, applies) = match by {
            By::Module => (&self.module, is_native),
            By::Function => (&self.function, is_native),
            By::Package => (&self.module, is_goroutine),
            By::File => (&self.file, !is_goroutine),
        };
        let name = name.as_ref().filter(|_| applies)?.bytes();
        let fits = |text: &&&str| {
            let text = text.as_bytes();
            match by {
                By::Module => base(name).starts_with(text) || directory(name).starts_with(text),
                By::Function => name.starts_with(text),
                By::Package => name.split(|byte| *byte == b'/').next() == Some(text),
                By::File => contains(name, text),
            }
        };
        texts.iter().find(fits).copied()
    }
}

/// `recv` and `__recvfrom` wrap `recvfrom`: leading underscores and the rest of the name aside.
fn is_wrapper(function: &[u8], call: &[u8]) -> bool {
    let start = function.iter().position(|byte| *byte != b'_').unwrap_or(0);
    let name = function.get(start..).unwrap_or_default();
    !name.is_empty() && call.starts_with(name)
}

/// Whether a module is a shared library: `libmysqlclient.so.21`.
pub fn is_library(module: &Name) -> bool {
    let base = base(module.bytes());
    base.ends_with(b".so") || contains(base, b".so.")
}

fn is_interpreted(runtime: Runtime) -> bool {
    match runtime {
        Runtime::Java | Runtime::Python | Runtime::Node | Runtime::Ruby | Runtime::Php => true,
        Runtime::Go | Runtime::Nginx | Runtime::Native => false,
    }
}

/// The file name of a path.
fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// The name of the directory that a file is in.
fn directory(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').nth(1).unwrap_or_default()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(module: &str, function: &str) -> Part {
        let frame = Frame {
            function: (!function.is_empty()).then(|| function.into()),
            module: (!module.is_empty()).then(|| module.into()),
            offset: Some(1),
            ..Frame::default()
        };
        frame.part(StackOf::Threads, Runtime::Native, Some(&"recvfrom".into()))
    }

    #[test]
    fn what_every_program_shares_is_told_from_the_program() {
        for (module, function, expected) in [
            (
                "/usr/lib/x86_64-linux-gnu/libc.so.6",
                "__libc_recv",
                Part::System,
            ),
            ("/lib/libc-2.31.so", "", Part::System),
            ("/lib/ld-musl-x86_64.so.1", "recv", Part::System),
            ("[vdso]", "clock_gettime", Part::System),
            ("/opt/app/shop", "__libc_start_main", Part::System),
            ("/opt/app/shop", "__recvfrom", Part::System),
            ("/opt/app/shop", "recv", Part::System),
            ("/opt/app/shop", "receive_order", Part::Own),
            (
                "/opt/app/shop",
                "std::sys::backtrace::__rust_begin_short_backtrace",
                Part::Runtime,
            ),
            (
                "/opt/app/shop",
                "<std::net::tcp::TcpStream as std::io::Read>::read",
                Part::Runtime,
            ),
            ("/opt/app/shop", "shop::query_db", Part::Own),
            ("/opt/app/shop", "", Part::Own),
            (
                "/usr/lib/libmysqlclient.so.21.2",
                "mysql_read",
                Part::Library,
            ),
            (
                "/usr/lib/jvm/lib/server/libjvm.so",
                "os::PlatformEvent::park",
                Part::Runtime,
            ),
            (
                "/usr/lib/python3.11/lib-dynload/_ssl.cpython-311.so",
                "x",
                Part::Runtime,
            ),
            (
                "/usr/lib/libstdc++.so.6",
                "execute_native_thread_routine",
                Part::Runtime,
            ),
            // Compiled while it ran; with a map of these functions it has a name.
            ("", "", Part::Runtime),
            ("", "LShop;::checkout", Part::Own),
        ] {
            assert_eq!(native(module, function), expected, "{module} {function}");
        }
    }

    #[test]
    fn the_executable_of_an_interpreter_says_nothing() {
        let frame = Frame {
            function: Some("sock_recv_guts".into()),
            module: Some("/usr/bin/python3.11".into()),
            ..Frame::default()
        };
        let of = |runtime| frame.part(StackOf::Threads, runtime, None);
        assert_eq!(
            (of(Runtime::Python), of(Runtime::Native)),
            (Part::Runtime, Part::Own)
        );
    }

    #[test]
    fn packages_of_go_are_its_own_or_others() {
        for (package, expected) in [
            ("runtime", Part::Runtime),
            ("net/http", Part::Runtime),
            ("internal/poll", Part::Runtime),
            ("main", Part::Own),
            ("shop/db", Part::Own),
            ("network", Part::Own),
            ("github.com/go-sql-driver/mysql", Part::Library),
        ] {
            let frame = Frame {
                function: Some(format!("{package}.f").into()),
                module: Some(package.into()),
                file: Some("/src/net/x.go".into()),
                ..Frame::default()
            };
            let part = frame.part(StackOf::Goroutines, Runtime::Go, None);
            assert_eq!(part, expected, "{package}");
            let own = Frame { own: true, ..frame };
            let part = own.part(StackOf::Goroutines, Runtime::Go, None);
            assert_eq!(part, Part::Own, "{package}");
        }
    }

    #[test]
    fn files_of_python_are_the_programs_unless_they_are_installed() {
        for (file, expected) in [
            ("/srv/app/shop.py", Part::Own),
            ("shop.py", Part::Own),
            ("/usr/lib/python3.11/socket.py", Part::Runtime),
            ("<frozen importlib._bootstrap>", Part::Runtime),
            (
                "/usr/lib/python3/dist-packages/requests/api.py",
                Part::Library,
            ),
            (
                "/v/lib/python3.11/site-packages/pymysql/connections.py",
                Part::Library,
            ),
        ] {
            let frame = Frame {
                function: Some("f".into()),
                file: Some(file.into()),
                line: Some(3),
                ..Frame::default()
            };
            let part = frame.part(StackOf::Tasks, Runtime::Python, None);
            assert_eq!(part, expected, "{file}");
        }
    }
}
