//! What a package ships beside the binary: shell completions and the manual page. Both are made from
//! the definitions of the options and from the code's own texts and numbers, so they cannot go stale.

mod page;
mod text;

use std::io::{self, Write};

use clap::{Arg, Command};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use self::page::{ascii, entries, entry, heading, lines, verbatim};
use self::text::{CONDITIONS, ENVIRONMENT, EXAMPLES, FILES, NOTES, OUTPUT, PERFORMANCE_DATA};
use crate::classifier::rules::Thresholds;
use crate::command::{self, check};
use crate::explain::{self, Topic};

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
    title(&man, &mut page)?;
    man.render_name_section(&mut page)?;
    synopsis(&command).to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    commands(&command, &mut page)?;
    options(&man, &mut page)?;
    let mut rest = Roff::new();
    heading("FILTERS", &mut rest);
    entries(&CONDITIONS, &mut rest);
    lines(&filter_syntax(&command), &mut rest);
    output(&mut rest);
    causes(&mut rest);
    severity(&mut rest);
    heading("CHECK", &mut rest);
    verbatim(check::HELP_END, &mut rest);
    lines("\nPerformance data; U is unknown:", &mut rest);
    entries(&PERFORMANCE_DATA, &mut rest);
    heading("EXIT STATUS", &mut rest);
    lines("Of all commands but check:", &mut rest);
    verbatim(
        command::EXIT_STATUS.trim_start_matches("Exit status:\n"),
        &mut rest,
    );
    for (name, all) in [
        ("NOTES", &NOTES[..]),
        ("EXAMPLES", &EXAMPLES),
        ("FILES", &FILES),
        ("ENVIRONMENT", &ENVIRONMENT),
    ] {
        heading(name, &mut rest);
        entries(all, &mut rest);
    }
    heading("SEE ALSO", &mut rest);
    rest.text([roman(
        "ss(8), netstat(8), lsof(8), ip-netns(8), tcp(7), sock_diag(7), proc(5)",
    )]);
    rest.to_writer(&mut page)?;
    out.write_all(ascii(&String::from_utf8_lossy(&page)).as_bytes())
}

/// The title line, with an empty date: without one, clap_mangen would shift the source into its place.
fn title(man: &Man, page: &mut Vec<u8>) -> io::Result<()> {
    let mut rendered = Vec::new();
    man.render_title(&mut rendered)?;
    let text = String::from_utf8_lossy(&rendered).replace("CLOSEWAIT 1  ", "CLOSEWAIT 1 \"\" ");
    page.write_all(text.as_bytes())
}

/// One line per command.
fn synopsis(command: &Command) -> Roff {
    let mut roff = Roff::new();
    heading("SYNOPSIS", &mut roff);
    roff.text([bold("closewait"), roman(" [OPTIONS] [FILTER]...")]);
    for sub in visible(command) {
        let mut line = vec![bold(format!("closewait {}", sub.get_name()))];
        if flags(sub).next().is_some() {
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

/// Every command with the options that only it has, and the names of those described below.
fn commands(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let mut head = Roff::new();
    heading("COMMANDS", &mut head);
    head.to_writer(page)?;
    for sub in visible(command) {
        let mut head = Roff::new();
        head.control("SS", [format!("closewait {}", sub.get_name()).as_str()]);
        if let Some(about) = sub.get_long_about().or_else(|| sub.get_about()) {
            lines(&format!("{about}."), &mut head);
        }
        head.to_writer(page)?;
        let is_shared = |argument: &Arg| command.get_arguments().any(|one| is_same(one, argument));
        let own = sub.clone().mut_args(|argument| {
            let id = argument.get_id();
            let hidden =
                argument.is_hide_set() || id == "help" || id == "version" || is_shared(&argument);
            argument.hide(hidden)
        });
        let mut rendered = Vec::new();
        Man::new(own.disable_help_flag(true)).render_options_section(&mut rendered)?;
        // These belong to this section, so their own headings are left out.
        for line in String::from_utf8_lossy(&rendered).lines() {
            if !line.starts_with(".SH") {
                writeln!(page, "{line}")?;
            }
        }
        let (shared, missing): (Vec<&Arg>, Vec<&Arg>) =
            flags(command).partition(|one| flags(sub).any(|other| is_same(one, other)));
        let text = match (shared.len(), missing.len()) {
            (0, _) => continue,
            (some, none) if some > none => format!("all but {}", names(&missing)),
            _ => names(&shared),
        };
        let mut tail = Roff::new();
        lines(
            &format!("\nOf the options below it takes {text}."),
            &mut tail,
        );
        tail.to_writer(page)?;
    }
    Ok(())
}

/// Whether two commands mean the same by an option.
fn is_same(one: &Arg, other: &Arg) -> bool {
    one.get_id() == other.get_id() && one.get_help() == other.get_help()
}

fn names(all: &[&Arg]) -> String {
    let long = all.iter().filter_map(|one| one.get_long());
    let names: Vec<String> = long.map(|long| format!("--{long}")).collect();
    names.join(", ")
}

/// The options of triage and list; their groups are subsections.
fn options(man: &Man, page: &mut Vec<u8>) -> io::Result<()> {
    let mut rendered = Vec::new();
    man.render_options_section(&mut rendered)?;
    let text = String::from_utf8_lossy(&rendered)
        .replace("\n.SH ", "\n.SS ")
        .replace("\n.SS OPTIONS", "\n.SH OPTIONS");
    page.write_all(text.as_bytes())
}

fn visible(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set())
}

/// The options of a command, except those that every command has.
fn flags(sub: &Command) -> impl Iterator<Item = &Arg> {
    sub.get_arguments().filter(|one| {
        !one.is_positional()
            && !one.is_hide_set()
            && one.get_id() != "help"
            && one.get_id() != "version"
    })
}

/// The last paragraph of the help for the filter argument.
fn filter_syntax(command: &Command) -> String {
    let filter = command.get_arguments().find(|one| one.get_id() == "filter");
    let help = filter.and_then(Arg::get_long_help).map(ToString::to_string);
    let last = help.as_deref().and_then(|help| help.split("\n\n").last());
    format!("\n{}", last.unwrap_or_default())
}

fn output(roff: &mut Roff) {
    heading("OUTPUT FORMAT", roff);
    lines("Forms that triage and lists print:", roff);
    entries(&OUTPUT, roff);
}

/// Every cause and its one-line summary, from the texts of `closewait explain`.
fn causes(roff: &mut Roff) {
    heading("CAUSES", roff);
    lines(
        "Every CLOSE_WAIT socket has one cause; dead-descriptors and peer-not-closed are findings \
         about other sockets. closewait explain CAUSE shows the facts behind it and what to do.",
        roff,
    );
    for cause in Topic::causes() {
        entry(cause.name(), explain::summary(Topic::Cause(cause)), roff);
    }
}

/// What makes a finding a warning or critical.
fn severity(roff: &mut Roff) {
    let limits = Thresholds::default();
    heading("SEVERITY", roff);
    lines(
        "The highest of these limits that is reached decides. --threshold NAME=N changes one.",
        roff,
    );
    let counts = (limits.warning, limits.critical);
    let files = (limits.fd_warning, limits.fd_critical);
    let queues = (limits.queue_warning, limits.queue_critical);
    for (names, (warning, critical), what) in [
        ("warning, critical", counts, "lingering sockets"),
        (
            "fd-warning, fd-critical",
            files,
            "percent of the process's open file limit",
        ),
        (
            "queue-warning, queue-critical",
            queues,
            "percent of the accept queue's limit",
        ),
    ] {
        entry(names, &format!("{warning} and {critical} {what}."), roff);
    }
    lines(
        "\nStopped processes are critical too. transient, a half-close in use and an idle pool are \
         never more than info by their number.",
        roff,
    );
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
