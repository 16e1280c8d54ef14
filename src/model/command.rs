//! Commands: the program of a process and, of an interpreter or a virtual machine, the script, module,
//! archive or class that it runs. Nothing else of a command line is kept, because arguments may be
//! secrets.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Name;

/// A program that runs another one, and what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// `python3`, `java`: the last part of the path by which it was started.
    pub program: Name,
    /// `/srv/app.py`, `-m uvicorn`, `app.jar`, `org.example.Main`.
    pub runs: Name,
}

/// The most bytes of what a program runs; of a longer path the end is kept.
const RUNS_MAX: usize = 128;

/// How a program reads its options, up to the first word that is none: what it runs.
struct Syntax {
    /// Its names, without the version at the end.
    programs: &'static [&'static str],
    /// Options that take the next word, unless a value is attached to a letter.
    value: &'static [&'static str],
    /// Letters whose value is always attached.
    attached: &'static str,
    /// Options whose value is what it runs.
    runs: &'static [&'static str],
    /// Options whose value is code: nothing has a name.
    code: &'static [&'static str],
    /// Subcommands before what it runs.
    verbs: &'static [&'static str],
    /// Letters may be written together: `-um module`.
    bundles: bool,
}

const PLAIN: Syntax = Syntax {
    programs: &["lua", "luajit", "mono", "Rscript", "tclsh", "escript"],
    value: &[],
    attached: "",
    runs: &[],
    code: &["-e"],
    verbs: &[],
    bundles: false,
};

const ALL: [Syntax; 9] = [
    PLAIN,
    Syntax {
        programs: &["python", "pypy"],
        value: &["-W", "-X", "-Q", "--check-hash-based-pycs"],
        runs: &["-m"],
        code: &["-c"],
        bundles: true,
        ..PLAIN
    },
    Syntax {
        programs: &["perl"],
        value: &["-I"],
        attached: "Mmx",
        code: &["-e", "-E"],
        bundles: true,
        ..PLAIN
    },
    Syntax {
        programs: &["ruby", "jruby"],
        value: &["-I", "-r", "-C", "-E"],
        code: &["-e"],
        bundles: true,
        ..PLAIN
    },
    Syntax {
        programs: &["php", "php-cgi"],
        value: &["-c", "-d", "-z", "-S", "-t"],
        runs: &["-f", "-F"],
        code: &["-r", "-B", "-R", "-E"],
        bundles: true,
        ..PLAIN
    },
    Syntax {
        programs: &["sh", "bash", "dash", "ash", "zsh", "ksh"],
        value: &["-o", "-O", "--rcfile", "--init-file"],
        // With -s, the words are arguments of a script on standard input.
        code: &["-c", "-s"],
        bundles: true,
        ..PLAIN
    },
    Syntax {
        programs: &["node", "nodejs", "deno", "bun"],
        value: &[
            "-r",
            "--require",
            "--import",
            "--loader",
            "--experimental-loader",
            "-C",
            "--conditions",
            "--env-file",
            "--inspect-port",
            "--title",
            "--icu-data-dir",
            "--openssl-config",
            "--input-type",
            "--config",
        ],
        code: &["-e", "--eval", "-p", "--print", "-pe"],
        verbs: &["run", "serve"],
        ..PLAIN
    },
    Syntax {
        programs: &["java"],
        value: &[
            "-cp",
            "-classpath",
            "--class-path",
            "-p",
            "--module-path",
            "--upgrade-module-path",
            "--add-modules",
            "--limit-modules",
            "--add-exports",
            "--add-opens",
            "--add-reads",
            "--patch-module",
            "--enable-native-access",
            "--source",
        ],
        runs: &["-jar", "-m", "--module"],
        code: &[],
        ..PLAIN
    },
    Syntax {
        programs: &["dotnet"],
        value: &[
            "--roll-forward",
            "--runtimeconfig",
            "--depsfile",
            "--additionalprobingpath",
            "--additional-deps",
            "--fx-version",
        ],
        runs: &["--project"],
        code: &[],
        verbs: &["exec", "run"],
        ..PLAIN
    },
];

/// The virtual machine of Erlang and Elixir, which has no script: its node has a name.
const ERLANG: &str = "beam";
const NODE_NAMES: [&[u8]; 2] = [b"-sname", b"-name"];

/// Whether a program runs others, so that its name does not say what it does.
pub fn is_interpreter(name: &[u8]) -> bool {
    let name = unversioned(name);
    let is_one = |syntax: &Syntax| syntax.programs.iter().any(|one| one.as_bytes() == name);
    name == ERLANG.as_bytes() || ALL.iter().any(is_one)
}

impl Command {
    /// From the words of a command line (proc_pid_cmdline(5)). `None` if the program is no interpreter, if
    /// what it runs has no name, or if that may hold a secret.
    pub fn of(words: &[&[u8]]) -> Option<Command> {
        let (program, arguments) = words.split_first()?;
        let program = base(program);
        // A login shell.
        let program = program.strip_prefix(b"-").unwrap_or(program);
        let name = unversioned(program);
        let runs = if name == ERLANG.as_bytes() {
            let mut words = arguments
                .iter()
                .skip_while(|word| !NODE_NAMES.contains(word));
            harmless(words.nth(1)?)?
        } else {
            let is_it = |syntax: &&Syntax| syntax.programs.iter().any(|one| one.as_bytes() == name);
            ALL.iter().find(is_it)?.runs(arguments)?
        };
        Some(Command {
            program: Name::new(program),
            runs: Name::new(bounded(&runs)),
        })
    }

    /// Whether a process is called after what it runs, as if started by `#!`. The kernel cuts names to 15
    /// bytes.
    pub fn is_called(&self, name: &Name) -> bool {
        let runs = base(self.runs.bytes());
        runs.get(..runs.len().min(15)) == Some(name.bytes())
    }
}

/// As in JSON: `python3 -m uvicorn`.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.program, self.runs)
    }
}

/// What an option means for the search.
enum Found {
    Runs(Vec<u8>),
    /// Its value is the next word, and says what runs.
    RunsNext,
    SkipNext,
    Nothing,
    Code,
}

impl Syntax {
    fn runs(&self, arguments: &[&[u8]]) -> Option<Vec<u8>> {
        let mut words = arguments.iter().copied();
        let mut is_first = true;
        while let Some(word) = words.next() {
            if word == b"--" {
                return words.next().and_then(harmless);
            }
            let is_option =
                word.starts_with(b"-") || word.starts_with(b"+") || word.starts_with(b"@");
            if !is_option {
                let is_verb = is_first && self.verbs.iter().any(|verb| verb.as_bytes() == word);
                is_first = false;
                if is_verb {
                    continue;
                }
                return harmless(word);
            }
            match self.option(word) {
                Found::Runs(module) => return Some(module),
                Found::RunsNext => return self.named(word, words.next()?),
                Found::SkipNext => _ = words.next(),
                Found::Nothing => {}
                Found::Code => return None,
            }
        }
        None
    }

    fn option(&self, word: &[u8]) -> Found {
        let is_in = |all: &[&str], option: &[u8]| all.iter().any(|one| one.as_bytes() == option);
        let name = word.split(|byte| *byte == b'=').next().unwrap_or(word);
        if is_in(self.code, name) || word == b"-" {
            return Found::Code;
        }
        if is_in(self.runs, word) {
            return Found::RunsNext;
        }
        if is_in(self.value, word) {
            return Found::SkipNext;
        }
        if !self.bundles || word.starts_with(b"--") {
            return Found::Nothing;
        }
        for (at, letter) in word.iter().enumerate().skip(1) {
            let option = [b'-', *letter];
            let rest = word.get(at + 1..).unwrap_or_default();
            if is_in(self.code, &option) {
                return Found::Code;
            }
            if is_in(self.runs, &option) {
                return match rest {
                    [] => Found::RunsNext,
                    rest => match self.named(&option, rest) {
                        Some(runs) => Found::Runs(runs),
                        None => Found::Code,
                    },
                };
            }
            if is_in(self.value, &option) {
                return if rest.is_empty() {
                    Found::SkipNext
                } else {
                    Found::Nothing
                };
            }
            if self.attached.as_bytes().contains(letter) {
                return Found::Nothing;
            }
        }
        Found::Nothing
    }

    /// The value of an option that says what runs; `-m` of Python stays, because it says that a module does.
    fn named(&self, option: &[u8], value: &[u8]) -> Option<Vec<u8>> {
        let value = harmless(value)?;
        Some(match self.bundles && option.ends_with(b"m") {
            true => [b"-m ".as_slice(), &value].concat(),
            false => value,
        })
    }
}

/// A word that is a path, a module or a class, and no address or assignment, which may hold a password.
fn harmless(word: &[u8]) -> Option<Vec<u8>> {
    let has = |part: &[u8]| word.windows(part.len()).any(|found| found == part);
    let is_address = has(b"://") || (has(b":") && has(b"@"));
    let is_named = !word.is_empty() && !word.starts_with(b"-");
    (is_named && !is_address && !has(b"=")).then(|| word.to_vec())
}

/// The end of a text that is too long.
fn bounded(text: &[u8]) -> Vec<u8> {
    const CUT: &str = "…";
    if text.len() <= RUNS_MAX {
        return text.to_vec();
    }
    let kept = String::from_utf8_lossy(text);
    let mut at = kept.len().saturating_sub(RUNS_MAX - CUT.len());
    while !kept.is_char_boundary(at) {
        at += 1;
    }
    format!("{CUT}{}", kept.get(at..).unwrap_or_default()).into_bytes()
}

/// The last part of a path.
fn base(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

/// `python` of `python3.11`, `beam` of `beam.smp`.
fn unversioned(program: &[u8]) -> &[u8] {
    let program = program.strip_suffix(b".smp").unwrap_or(program);
    let is_version = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
    let version = program
        .iter()
        .rev()
        .take_while(|byte| is_version(byte))
        .count();
    program.get(..program.len() - version).unwrap_or(program)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(line: &str) -> Option<String> {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        Command::of(&words).map(|command| command.to_string())
    }

    #[test]
    fn what_an_interpreter_runs_is_found_behind_its_options() {
        for (line, expected) in [
            (
                "/usr/bin/python3.11 -u /srv/app.py --password=x",
                "python3.11 /srv/app.py",
            ),
            (
                "python3 -W ignore -X dev manage.py runserver",
                "python3 manage.py",
            ),
            ("python3 -um uvicorn app:app", "python3 -m uvicorn"),
            ("python3 -mgunicorn app:app", "python3 -m gunicorn"),
            ("pypy3 -- app.py", "pypy3 app.py"),
            (
                "java -Xmx1g -Dpassword=x -cp a:b org.example.Main secret",
                "java org.example.Main",
            ),
            (
                "/opt/jdk/bin/java -Dx=y -jar /srv/app.jar --token=x",
                "java /srv/app.jar",
            ),
            (
                "java --add-opens java.base/java.lang=ALL-UNNAMED @args Main",
                "java Main",
            ),
            (
                "node --max-old-space-size=4096 -r dotenv/config server.js",
                "node server.js",
            ),
            ("deno run --allow-net main.ts", "deno main.ts"),
            (
                "ruby -rbundler/setup -I lib bin/rails server",
                "ruby bin/rails",
            ),
            ("php -d memory_limit=1G -f worker.php", "php worker.php"),
            ("php8.2 artisan queue:work", "php8.2 artisan"),
            ("perl -Mstrict -w daemon.pl", "perl daemon.pl"),
            ("-bash", ""),
            ("bash -o pipefail ./run.sh TOKEN", "bash ./run.sh"),
            (
                "dotnet exec --roll-forward Major Shop.dll",
                "dotnet Shop.dll",
            ),
            (
                "/usr/lib/erlang/bin/beam.smp -W w -- -root /x -setcookie S -sname rabbit@web -s x",
                "beam.smp rabbit@web",
            ),
        ] {
            assert_eq!(command(line).unwrap_or_default(), expected, "{line}");
        }
    }

    #[test]
    fn nothing_that_may_be_a_secret_is_kept() {
        for line in [
            "mysqld --password=x",
            "nginx: worker process",
            "python3 -c print('secret')",
            "python3 -Bc secret",
            "bash -lc secret",
            "node -e secret",
            "perl -we secret",
            "node --eval=secret secret",
            "perl -lane secret",
            "php -rcode secret",
            "bash -s secret",
            "deno run https://user:secret@example.org/x.ts",
            "python3 TOKEN=secret",
            "python3 user:secret@host",
            "python3 -",
            "python3 -W",
            "beam.smp -setcookie secret",
            "java -Dsecret",
            "",
        ] {
            assert_eq!(command(line), None, "{line}");
        }
    }

    #[test]
    fn a_long_path_keeps_its_end_and_a_hostile_one_stays_on_its_line() {
        let long = command(&format!("python3 /{}/app.py", "é".repeat(400))).unwrap();
        assert!(long.len() < 160 && long.ends_with("/app.py"), "{long}");
        assert_eq!(
            command("python3 a\n\x1b[2J.py").unwrap(),
            "python3 a\\n\\x1b[2J.py"
        );
    }

    #[test]
    fn a_script_that_names_its_process_is_recognized() {
        let words = [
            b"/usr/bin/python3".as_slice(),
            b"/srv/a_very_long_name_of_an_app.py",
        ];
        let command = Command::of(&words).unwrap();
        assert!(command.is_called(&"a_very_long_nam".into()));
        assert!(!command.is_called(&"python3".into()));
        assert!(
            is_interpreter(b"python3") && is_interpreter(b"beam.smp") && !is_interpreter(b"nginx")
        );
    }
}
