//! Help as other tools spell it: `closewait help`, `closewait help list`, `closewait list help`, `closewait version`.

use std::ffi::OsString;

use clap::Command;
use clap::error::Error;

use super::words::{plain_words, refusal};
use crate::explain::{Topic, UnknownTopic};
use crate::model::nearest;

/// The same command line with `help` and `version` as clap reads them. A filter cannot begin with
/// either word. `words` is the command line, program name first.
///
/// # Errors
/// If help is asked for a topic that does not exist.
pub fn spelled_out(words: Vec<OsString>, program: &Command) -> Result<Vec<OsString>, Error> {
    let line = |rest: &[&str]| {
        let name = words.first().cloned().unwrap_or_default();
        Ok([name]
            .into_iter()
            .chain(rest.iter().map(OsString::from))
            .collect())
    };
    let (first, second) = {
        let mut plain = plain_words(&words, program).map(|(_, word)| word);
        (plain.next(), plain.next())
    };
    if first == Some("explain")
        && let Some(words) = one_topic(&words, program)
    {
        return Ok(words);
    }
    let is_command = |word: &str| program.find_subcommand(word).is_some();
    match (first, second) {
        (Some("version"), None) => line(&["--version"]),
        (Some("help"), None | Some("help" | "filter" | "filters" | "options")) => line(&["--help"]),
        (Some("help"), Some("column" | "columns")) => line(&["list", "--columns", "help"]),
        (Some("help"), Some("state" | "states")) => line(&["explain"]),
        (Some("help"), Some("version")) => line(&["--version"]),
        (Some("help"), Some(command)) if is_command(command) => line(&[command, "--help"]),
        (Some("help"), Some(topic)) => match topic.parse::<Topic>() {
            Ok(_) => line(&["explain", topic]),
            Err(unknown) => Err(no_help(&unknown, program)),
        },
        (Some(command), Some("help")) if is_command(command) => line(&[command, "--help"]),
        _ => Ok(words),
    }
}

/// The same line with a topic in several words as one: `explain TIME WAIT`, `explain never closed`.
fn one_topic(words: &[OsString], program: &Command) -> Option<Vec<OsString>> {
    let (places, parts): (Vec<usize>, Vec<&str>) = plain_words(words, program).skip(1).unzip();
    let (first, others) = places.split_first()?;
    let topic = parts.join("-");
    topic.parse::<Topic>().ok().filter(|_| !others.is_empty())?;
    let mut joined = Vec::new();
    for (place, word) in words.iter().enumerate() {
        match place {
            place if place == *first => joined.push(topic.clone().into()),
            place if others.contains(&place) => {}
            _ => joined.push(word.clone()),
        }
    }
    Some(joined)
}

fn no_help(UnknownTopic(topic): &UnknownTopic, program: &Command) -> Error {
    let commands = || program.get_subcommands().map(Command::get_name);
    let causes = || Topic::causes().map(|cause| cause.name());
    let hint = match nearest(topic, commands().chain(causes())) {
        Some(meant) => format!("did you mean `closewait help {meant}`?"),
        None => format!(
            "write `closewait help COMMAND`, with one of {}; or `closewait explain STATE`",
            commands().collect::<Vec<_>>().join(", ")
        ),
    };
    let message = format!("no help for {topic:?}: {hint}");
    refusal(message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::program;

    fn line(text: &str) -> String {
        let words = text.split(' ').map(OsString::from).collect();
        match spelled_out(words, &program()) {
            Ok(words) => words
                .join(OsString::from(" ").as_os_str())
                .into_string()
                .unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn help_and_version_are_understood_as_words() {
        for (typed, meant) in [
            ("closewait help", "closewait --help"),
            ("closewait explain TIME WAIT", "closewait explain TIME-WAIT"),
            (
                "closewait explain peer not --lang zh closed",
                "closewait explain peer-not-closed --lang zh",
            ),
            ("closewait explain listen x", "closewait explain listen x"),
            ("closewait -A help", "closewait --help"),
            ("closewait help list", "closewait list --help"),
            ("closewait list help", "closewait list --help"),
            ("closewait record help", "closewait record --help"),
            ("closewait help help", "closewait --help"),
            ("closewait help filters", "closewait --help"),
            ("closewait help columns", "closewait list --columns help"),
            (
                "closewait help never-closed",
                "closewait explain never-closed",
            ),
            ("closewait help CLOSE_WAIT", "closewait explain CLOSE_WAIT"),
            ("closewait help states", "closewait explain"),
            ("closewait version", "closewait --version"),
        ] {
            assert_eq!(line(typed), meant);
        }
    }

    #[test]
    fn a_program_or_a_value_may_be_called_help() {
        for typed in [
            "closewait program = help",
            "closewait list program = help",
            "closewait --program help",
            "closewait --program help list",
            "closewait -N help",
            "closewait -- help",
            "closewait state listen help",
            "closewait record version",
        ] {
            assert_eq!(line(typed), typed);
        }
    }

    #[test]
    fn a_topic_without_help_is_answered_with_those_that_have_some() {
        assert!(line("closewait help lsit").contains("`closewait help list`"));
        assert!(line("closewait help wombats").contains("triage, list, check"));
    }
}
