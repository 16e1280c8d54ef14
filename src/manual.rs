//! What a package ships beside the binary: completions for shells and the manual page, from the
//! same definitions as the help, so that neither can lag behind.

use std::io::{self, Write};

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use crate::command;

/// Lines to type, and what each shows.
const EXAMPLES: [(&str, &str); 7] = [
    ("closewait", "States, groups and findings on one screen."),
    (
        "closewait list --state close-wait",
        "The CLOSE_WAIT sockets, one line each, with every owner.",
    ),
    (
        "closewait -atunlp",
        "As typed by those who know netstat(8).",
    ),
    (
        "closewait list state close-wait dport = :3306 not dst 10.0.0.0/8",
        "With a filter as ss(8) takes it.",
    ),
    (
        "closewait -q --state close-wait --older-than 1m",
        "No output; the exit status tells a script whether one lingers.",
    ),
    (
        "closewait list --jsonl --state close-wait",
        "One JSON object a socket, for jq(1).",
    ),
    (
        "closewait explain never-closed",
        "What a cause means, how to confirm it and how to mend it.",
    ),
];

/// What is read, as far as a user can put something else in its place or forbid it.
const FILES: [(&str, &str); 5] = [
    (
        "/proc",
        "Holders of sockets, settings of the kernel and, if sock_diag(7) is not available, the \
         sockets themselves (see --proc).",
    ),
    (
        "/sys/kernel/btf/vmlinux",
        "Where the kernel keeps what a BPF iterator looks at (see --scan).",
    ),
    ("/etc/services", "Names of ports in filters."),
    ("/etc/hosts", "Names of hosts in filters."),
    ("/run/netns", "Names of network namespaces."),
];

const ENVIRONMENT: [(&str, &str); 4] = [
    ("NO_COLOR", "Set to anything but nothing: no colours."),
    (
        "CLICOLOR_FORCE",
        "Set to anything but 0: colours in a pipe too.",
    ),
    ("TERM", "dumb: no colours."),
    ("COLUMNS", "How wide the help is."),
];

/// Writes the completions for a shell, for that shell to read.
pub fn completions(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command::program(), "closewait", &mut text);
    out.write_all(&text)
}

/// Writes the manual page closewait(1): man(7) macros in plain ASCII.
pub fn page(out: &mut impl Write) -> io::Result<()> {
    let mut command = command::program();
    command.build();
    let filter = command
        .get_arguments()
        .find(|argument| argument.get_id() == "filter")
        .and_then(|argument| argument.get_long_help())
        .map(ToString::to_string)
        .unwrap_or_default();
    let exits = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let version = command.get_version().unwrap_or_default().to_owned();
    let man = Man::new(
        command
            .clone()
            .mut_arg("filter", |filter| filter.hide(true)),
    )
    .title("CLOSEWAIT")
    .manual("User Commands")
    .source(format!("closewait {version}"));
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(&command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    commands(&command, &mut page)?;
    man.render_options_section(&mut page)?;
    let mut rest = Roff::new();
    paragraphs("FILTERS", &filter, &mut rest);
    exit_status(&exits, &mut rest);
    entries("EXAMPLES", &EXAMPLES, &mut rest);
    entries("FILES", &FILES, &mut rest);
    entries("ENVIRONMENT", &ENVIRONMENT, &mut rest);
    rest.control("SH", ["SEE ALSO"]);
    rest.text([roman(
        "ss(8), netstat(8), lsof(8), tcp(7), sock_diag(7), proc(5)",
    )]);
    rest.to_writer(&mut page)?;
    out.write_all(ascii(&String::from_utf8_lossy(&page)).as_bytes())
}

/// One line a command: each has its own arguments, and all of them the options.
fn synopsis(command: &Command) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([bold("closewait"), roman(" [OPTIONS] [FILTER]...")]);
    for sub in visible(command) {
        let mut line = vec![bold(format!("closewait {}", sub.get_name()))];
        if sub
            .get_arguments()
            .any(|argument| argument.get_id() == "json")
        {
            line.push(roman(" [OPTIONS]"));
        }
        for argument in sub.get_positionals().filter(|one| !one.is_hide_set()) {
            line.push(roman(format!(" {argument}")));
        }
        roff.control("br", []);
        roff.text(line);
    }
    roff
}

/// Every command with what it takes besides the options that all take.
fn commands(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let mut heading = Roff::new();
    heading.control("SH", ["COMMANDS"]);
    heading.to_writer(page)?;
    for sub in visible(command) {
        let mut head = Roff::new();
        head.control("SS", [format!("closewait {}", sub.get_name()).as_str()]);
        if let Some(about) = sub.get_long_about().or_else(|| sub.get_about()) {
            lines(&about.to_string(), &mut head);
        }
        head.to_writer(page)?;
        let is_common = |id: &clap::Id| {
            id == "help" || id == "version" || command.get_arguments().any(|one| one.get_id() == id)
        };
        let own = sub.clone().mut_args(|argument| {
            let hidden = argument.is_hide_set() || is_common(argument.get_id());
            argument.hide(hidden)
        });
        let mut options = Vec::new();
        Man::new(own.disable_help_flag(true)).render_options_section(&mut options)?;
        // A section of this page, not a page of its own: its headings would only part it.
        for line in String::from_utf8_lossy(&options).lines() {
            if !line.starts_with(".SH") {
                writeln!(page, "{line}")?;
            }
        }
    }
    Ok(())
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

fn paragraphs(heading: &str, text: &str, roff: &mut Roff) {
    roff.control("SH", [heading]);
    lines(text, roff);
}

/// A text in which empty lines part paragraphs.
fn lines(text: &str, roff: &mut Roff) {
    for line in text.lines() {
        if line.trim().is_empty() {
            roff.control("PP", []);
        } else {
            roff.text([roman(line.trim())]);
        }
    }
}

/// The codes that the help ends with, a line each.
fn exit_status(help: &str, roff: &mut Roff) {
    roff.control("SH", ["EXIT STATUS"]);
    for (number, line) in help.lines().enumerate() {
        if number > 0 {
            roff.control("br", []);
        }
        let line = line.trim();
        roff.text([roman(line.strip_prefix("Exit codes: ").unwrap_or(line))]);
    }
}

fn entries(heading: &str, all: &[(&str, &str)], roff: &mut Roff) {
    roff.control("SH", [heading]);
    for (name, text) in all {
        roff.control("TP", []);
        roff.text([bold(*name)]);
        roff.text([roman(*text)]);
    }
}

/// Characters beyond ASCII as groff_char(7) names them, so that no formatter has to guess.
fn ascii(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_ascii() {
            escaped.push(character);
        } else {
            escaped.push_str(&format!("\\[u{:04X}]", u32::from(character)));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {

    use super::*;

    fn text() -> String {
        let mut page = Vec::new();
        super::page(&mut page).unwrap();
        String::from_utf8(page).unwrap().replace("\\-", "-")
    }

    #[test]
    fn every_option_of_every_command_is_on_the_page() {
        let page = text();
        let mut command = command::program();
        command.build();
        let all = std::iter::once(&command).chain(visible(&command));
        let mut seen = 0;
        for argument in all.flat_map(Command::get_arguments) {
            if argument.is_hide_set() {
                continue;
            }
            if let Some(long) = argument.get_long() {
                // Set in bold; what follows is a change of font, a value or the end of the line.
                let starts = format!("--{long}\\");
                assert!(page.contains(&starts), "--{long} is not on the page");
                seen += 1;
            }
        }
        for sub in visible(&command) {
            let heading = format!(".SS \"closewait {}\"", sub.get_name());
            assert!(page.contains(&heading), "{heading}");
        }
        assert!(seen > 40, "{seen}");
    }

    #[test]
    fn the_page_is_ascii_with_the_sections_that_are_looked_for() {
        let page = text();
        assert!(page.is_ascii());
        for name in [
            "NAME",
            "SYNOPSIS",
            "COMMANDS",
            "FILTERS",
            "EXAMPLES",
            "FILES",
            "ENVIRONMENT",
        ] {
            assert!(page.contains(&format!("\n.SH {name}\n")), "{name}");
        }
        for name in ["EXIT STATUS", "SEE ALSO"] {
            assert!(page.contains(&format!("\n.SH \"{name}\"\n")), "{name}");
        }
    }

    #[test]
    fn every_example_is_valid() {
        for (line, _) in EXAMPLES {
            let parsed = command::Command::read(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {:?}", parsed.err());
        }
    }
}
