//! Titles: the state that some programs write into their command line (`nginx: worker process is
//! shutting down`). Only the words of known programs about their state are kept, because a command
//! line may hold secrets.

use serde::{Deserialize, Serialize};

use super::{Name, Pid};

/// A program that writes its state into its command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Titled {
    /// `postgres: USER DATABASE HOST(PORT) UPDATE waiting`; the state alone, of backends only.
    Postgres,
    /// `nginx: worker process is shutting down`.
    Nginx,
    /// `php-fpm: pool www`.
    PhpFpm,
    /// `gunicorn: worker [app:app]`, with setproctitle; `worker` or `master` alone.
    Gunicorn,
    /// `uWSGI worker 1`.
    Uwsgi,
}

impl Titled {
    pub fn name(self) -> &'static str {
        match self {
            Titled::Postgres => "postgres",
            Titled::Nginx => "nginx",
            Titled::PhpFpm => "php-fpm",
            Titled::Gunicorn => "gunicorn",
            Titled::Uwsgi => "uWSGI",
        }
    }
}

/// The title of a process.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Title {
    pub of: Titled,
    /// `UPDATE waiting`, `worker process is shutting down`, `pool www`.
    pub says: Name,
}

/// The most bytes of a title that are kept.
const SAYS_MAX: usize = 48;

impl Title {
    /// From a command line with NULs replaced by blanks; `None` if it is not a known title. Postgres: `init_ps_display` and `set_ps_display` (`src/backend/utils/misc/ps_status.c`).
    pub fn of(line: &[u8]) -> Option<Title> {
        let line = line.trim_ascii();
        let rest = |prefix: &[u8]| line.strip_prefix(prefix).map(<[u8]>::trim_ascii);
        let first = |rest: &[u8], words: usize| {
            let words: Vec<&[u8]> = rest.split(|byte| *byte == b' ').take(words).collect();
            words.join(&b' ')
        };
        let (of, says) = if let Some(rest) = rest(b"postgres: ") {
            (Titled::Postgres, activity(rest)?.to_vec())
        } else if let Some(rest) = rest(b"nginx: ") {
            let says = match rest {
                rest if rest.starts_with(b"master process") => b"master process".to_vec(),
                rest => rest.to_vec(),
            };
            (Titled::Nginx, says)
        } else if let Some(rest) = rest(b"php-fpm: ") {
            (Titled::PhpFpm, first(rest, 2))
        } else if let Some(rest) = rest(b"gunicorn: ") {
            (Titled::Gunicorn, first(rest, 1))
        } else if let Some(rest) = rest(b"uWSGI ") {
            (Titled::Uwsgi, first(rest, 2))
        } else {
            return None;
        };
        let is_short = !says.is_empty() && says.len() <= SAYS_MAX;
        let is_plain = |byte: &u8| matches!(byte, b' '..=b'~');
        (is_short && says.iter().all(is_plain)).then(|| Title {
            of,
            says: Name::new(says),
        })
    }

    /// Whether the words are fixed by the program, so that they reveal nothing about its users.
    pub fn is_common(&self) -> bool {
        let says = self.says.bytes();
        let is_command = |byte: &u8| byte.is_ascii_uppercase() || *byte == b' ';
        let state = says.strip_suffix(b" waiting").unwrap_or(says);
        match self.of {
            Titled::Postgres => {
                state.iter().all(is_command)
                    || [
                        b"idle".as_slice(),
                        IN_TRANSACTION,
                        b"idle in transaction (aborted)",
                        b"authentication",
                        b"startup",
                    ]
                    .contains(&state)
            }
            Titled::Nginx => [
                b"master process".as_slice(),
                b"worker process",
                SHUTTING_DOWN,
                b"cache manager process",
                b"cache loader process",
            ]
            .contains(&says),
            Titled::PhpFpm => says == b"master process",
            Titled::Gunicorn => [b"master".as_slice(), b"worker"].contains(&says),
            Titled::Uwsgi => {
                let is_number = |byte: &u8| byte.is_ascii_digit();
                says == b"master"
                    || says
                        .strip_prefix(b"worker ")
                        .is_some_and(|number| number.iter().all(is_number))
            }
        }
    }

    /// Whether the process waits for a lock that another process holds.
    pub fn is_blocked(&self) -> bool {
        self.of == Titled::Postgres && self.says.bytes().ends_with(b" waiting")
    }

    /// Whether the process is idle in an open transaction, whose locks it keeps.
    pub fn is_idle_in_transaction(&self) -> bool {
        self.of == Titled::Postgres && self.says.bytes().starts_with(IN_TRANSACTION)
    }

    /// Whether the process accepts no new connections and ends with its last one.
    pub fn is_shutting_down(&self) -> bool {
        self.of == Titled::Nginx && self.says.bytes() == SHUTTING_DOWN
    }
}

const IN_TRANSACTION: &[u8] = b"idle in transaction";
const SHUTTING_DOWN: &[u8] = b"worker process is shutting down";

/// The activity of a Postgres backend: the words after the address of its client, `[local]` or
/// `HOST(PORT)`. Processes without a client are no backends.
fn activity(line: &[u8]) -> Option<&[u8]> {
    let is_client = |word: &[u8]| {
        let port = word
            .strip_suffix(b")")
            .and_then(|word| word.rsplit(|byte| *byte == b'(').next());
        word == b"[local]"
            || port.is_some_and(|port| {
                port.len() + 2 < word.len()
                    && !port.is_empty()
                    && port.iter().all(u8::is_ascii_digit)
            })
    };
    let mut from = line.len();
    // Search from the end: names of users and databases come before the address.
    for word in line.rsplit(|byte| *byte == b' ') {
        let start = from - word.len();
        if is_client(word) {
            return line.get(from + 1..).map(<[u8]>::trim_ascii);
        }
        from = start.saturating_sub(1);
    }
    None
}

/// Another child of the same parent, and its title.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sibling {
    pub pid: Pid,
    pub title: Title,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(line: &str) -> Option<String> {
        let title = Title::of(line.as_bytes())?;
        Some(String::from_utf8_lossy(title.says.bytes()).into_owned())
    }

    #[test]
    fn only_the_state_is_kept_of_a_title() {
        for (line, expected) in [
            (
                "postgres: app db 10.9.1.2(4242) UPDATE waiting",
                Some("UPDATE waiting"),
            ),
            (
                "postgres: 15/main: app db [local] idle in transaction  ",
                Some("idle in transaction"),
            ),
            (
                "postgres: app db fe80::1(5432) idle in transaction (aborted)",
                Some("idle in transaction (aborted)"),
            ),
            ("postgres: a b 10.0.0.1(1) c(2) SELECT", Some("SELECT")),
            ("postgres: checkpointer ", None),
            ("postgres: app db 10.9.1.2(4242)", None),
            ("postgres: app db 10.9.1.2(4242) ", None),
            ("postgres: (1) x", None),
            (
                "nginx: worker process is shutting down",
                Some("worker process is shutting down"),
            ),
            (
                "nginx: master process nginx -g env SECRET=1;",
                Some("master process"),
            ),
            (
                "php-fpm: pool www                         ",
                Some("pool www"),
            ),
            (
                "php-fpm: master process (/etc/php/fpm.conf)",
                Some("master process"),
            ),
            ("gunicorn: worker [app:create('secret')]", Some("worker")),
            ("uWSGI worker 3", Some("worker 3")),
            ("java -Dpassword=secret -jar app.jar", None),
            ("nginx: \u{1b}[2J", None),
            ("", None),
        ] {
            assert_eq!(says(line).as_deref(), expected, "{line}");
        }
        let long = format!("nginx: {}", "x".repeat(200));
        assert_eq!(says(&long), None);
    }

    #[test]
    fn a_title_with_words_of_its_owner_is_not_common() {
        let common = |line: &str| Title::of(line.as_bytes()).unwrap().is_common();
        assert!(common("postgres: app db [local] CREATE TABLE waiting"));
        assert!(common("nginx: worker process is shutting down"));
        assert!(!common("postgres: app db [local] streaming 0/3000060"));
        assert!(!common("php-fpm: pool acme"));
        assert!(!common("nginx: acme"));
    }
}
