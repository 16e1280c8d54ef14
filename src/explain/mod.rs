//! What a state or a cause means and what to do about it: built-in text, one file per topic and
//! language.

use std::str::FromStr;

use clap::ValueEnum;

use crate::model::cause::causes;
use crate::model::{Cause, Charset, State, StateSet, nearest};

/// Something that can be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    State(State),
    Cause(Cause),
}

impl Topic {
    /// All causes, including those that only findings have.
    pub fn causes() -> impl Iterator<Item = Cause> {
        Cause::ALL.into_iter().chain(Cause::OF_FINDINGS)
    }
}

/// The language of a text. Listings, JSON, findings and errors are always English, because scripts
/// read them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Language {
    #[default]
    #[value(name = "en")]
    English,
    #[value(name = "zh", alias = "zh-cn", alias = "zh_CN")]
    Chinese,
}

impl Language {
    /// By the name of a locale, such as `zh_CN.UTF-8` (locale(7)). The texts are UTF-8, so a Chinese
    /// locale with another encoding gets English.
    pub fn of_locale(locale: &str) -> Language {
        let locale = locale.to_ascii_lowercase();
        match locale.split(['_', '-', '.']).next() {
            Some("zh") if Charset::of_locale(&locale) == Charset::Utf8 => Language::Chinese,
            _ => Language::English,
        }
    }
}

/// A word that is neither a state nor a cause.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is neither a state nor a cause{hint}\n  states: {states}\n  causes: {causes}",
    hint = meant(.0),
    states = State::ALL.map(State::name).join(", "),
    causes = Topic::causes().map(Cause::name).collect::<Vec<_>>().join(", ")
)]
pub struct UnknownTopic(pub String);

impl FromStr for Topic {
    type Err = UnknownTopic;

    /// A state in any spelling, or a cause.
    fn from_str(word: &str) -> Result<Topic, UnknownTopic> {
        let plain = word.replace('_', "-").to_ascii_lowercase();
        let mut causes = Topic::causes();
        if let Some(cause) = causes.find(|cause| cause.name() == plain) {
            return Ok(Topic::Cause(cause));
        }
        let mut states = word
            .parse::<StateSet>()
            .into_iter()
            .flat_map(StateSet::iter);
        match (states.next(), states.next()) {
            (Some(state), None) => Ok(Topic::State(state)),
            _ => Err(UnknownTopic(word.to_owned())),
        }
    }
}

/// ": did you mean CLOSE_WAIT?", if the name of a state or cause is close.
fn meant(word: &str) -> String {
    let plain = word.replace('_', "-");
    let state = word.parse::<StateSet>().err();
    let state = state.and_then(|error| error.suggestion);
    let name = state.or_else(|| nearest(&plain, Topic::causes().map(Cause::name)));
    name.map(|name| format!(": did you mean {name}?"))
        .unwrap_or_default()
}

/// The topic in one line, without its name.
pub fn summary(topic: Topic) -> &'static str {
    let first = text(topic, Language::English)
        .lines()
        .next()
        .unwrap_or_default();
    first.split_once("  ").map_or(first, |(_, summary)| summary)
}

/// The text of a topic, in lines of at most 78 columns.
pub fn text(topic: Topic, language: Language) -> &'static str {
    let (english, chinese) = match topic {
        Topic::State(state) => state_texts(state),
        Topic::Cause(cause) => cause_texts(cause),
    };
    match language {
        Language::English => english,
        Language::Chinese => chinese,
    }
}

/// The texts of a file in English and Chinese.
macro_rules! texts {
    ($($part:expr),*) => {
        (
            include_str!(concat!("text/en/", $($part),*, ".txt")),
            include_str!(concat!("text/zh/", $($part),*, ".txt")),
        )
    };
}

fn state_texts(state: State) -> (&'static str, &'static str) {
    match state {
        State::Established => texts!("states/ESTABLISHED"),
        State::SynSent => texts!("states/SYN_SENT"),
        State::SynRecv => texts!("states/SYN_RECV"),
        State::FinWait1 => texts!("states/FIN_WAIT1"),
        State::FinWait2 => texts!("states/FIN_WAIT2"),
        State::TimeWait => texts!("states/TIME_WAIT"),
        State::Close => texts!("states/CLOSE"),
        State::CloseWait => texts!("states/CLOSE_WAIT"),
        State::LastAck => texts!("states/LAST_ACK"),
        State::Listen => texts!("states/LISTEN"),
        State::Closing => texts!("states/CLOSING"),
        State::BoundInactive => texts!("states/BOUND_INACTIVE"),
    }
}

/// The texts of each cause, by its name.
macro_rules! of_causes {
    (
        of_sockets { $($cause:ident $name:literal $_fault:literal,)* }
        of_findings { $($other:ident $other_name:literal $_other_fault:literal,)* }
    ) => {
        fn cause_texts(cause: Cause) -> (&'static str, &'static str) {
            match cause {
                $(Cause::$cause => texts!("causes/", $name),)*
                $(Cause::$other => texts!("causes/", $other_name),)*
            }
        }
    };
}
causes!(of_causes);

#[cfg(test)]
mod tests {
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn topics() -> impl Iterator<Item = (Topic, &'static str)> {
        let states = State::ALL.map(|state| (Topic::State(state), state.name()));
        let causes = Topic::causes().map(|cause| (Topic::Cause(cause), cause.name()));
        states.into_iter().chain(causes)
    }

    #[test]
    fn every_state_and_cause_is_found_by_its_name_and_has_a_text_that_fits() {
        for (topic, name) in topics() {
            assert_eq!(name.parse(), Ok(topic));
            for (language, headings) in [
                (Language::English, ["\nWhat it is\n", "\nKernel facts\n"]),
                (Language::Chinese, ["\n是什么\n", "\n内核依据\n"]),
            ] {
                let text = text(topic, language);
                assert!(text.starts_with(name), "{name}");
                assert!(
                    headings.iter().all(|heading| text.contains(heading)),
                    "{name}"
                );
                let wide = text.lines().find(|line| line.width() > 78);
                assert_eq!(wide, None, "{name}");
            }
        }
    }

    /// The part of a line of code before its comment.
    fn code(line: &str) -> &str {
        let line = line.split("//").next().unwrap_or_default();
        let line = line.split("  #").next().unwrap_or_default();
        line.trim_start().split("  ").next().unwrap_or_default()
    }

    #[test]
    fn the_chinese_texts_have_the_same_commands_and_functions() {
        const COMMANDS: [&str; 16] = [
            "closewait",
            "ss",
            "sudo",
            "ls",
            "grep",
            "cat",
            "strace",
            "nstat",
            "jcmd",
            "gdb",
            "lsof",
            "ps",
            "top",
            "tcpdump",
            "sysctl",
            "dmesg",
        ];
        for (topic, name) in topics() {
            let chinese = text(topic, Language::Chinese);
            for line in text(topic, Language::English).lines() {
                let first = line.split_whitespace().next().unwrap_or_default();
                if line.starts_with("  ") && COMMANDS.contains(&first) && !line.ends_with('.') {
                    let command = code(line).split(": ").next().unwrap_or_default();
                    assert!(chinese.contains(command), "{name}: {command}");
                }
                // Functions, files and settings of the kernel.
                let is_name = |word: &&str| word.contains('_') || word.contains('/');
                let trimmed = |word: &'static str| {
                    word.trim_matches(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '/')
                };
                for word in code(line).split_whitespace().map(trimmed).filter(is_name) {
                    assert!(chinese.contains(word), "{name}: {word}");
                }
            }
        }
    }

    #[test]
    fn a_locale_chooses_the_language_only_where_it_can_show_it() {
        for locale in [
            "zh_CN.UTF-8",
            "zh_TW.utf8",
            "zh_CN.UTF-8@pinyin",
            "ZH_cn.Utf-8",
        ] {
            assert_eq!(Language::of_locale(locale), Language::Chinese, "{locale}");
        }
        for locale in [
            "",
            "C",
            "C.UTF-8",
            "zh_CN",
            "zh_CN.GB18030",
            "de_CH.UTF-8",
            "zhx.UTF-8",
        ] {
            assert_eq!(Language::of_locale(locale), Language::English, "{locale}");
        }
    }

    #[test]
    fn a_group_of_states_is_no_topic_and_a_slip_is_answered() {
        assert!("connected".parse::<Topic>().is_err());
        let error = "CLOSE_WIAT".parse::<Topic>().unwrap_err().to_string();
        assert!(error.contains("did you mean CLOSE_WAIT?"), "{error}");
        assert!(error.contains("never-closed"));
        let error = "never_close".parse::<Topic>().unwrap_err().to_string();
        assert!(error.contains("did you mean never-closed?"), "{error}");
    }
}
