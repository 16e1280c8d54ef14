//! `closewait watch`: repeats a page, in place on a terminal.

mod run;

use std::time::Duration;

use clap::Args;

pub use self::run::run;
use super::UsageError;
use super::inspection::{Ask, Asked, Inspection, Wanted};
use crate::classifier::tally::Dimension;
use crate::cli::judgement::{Grace, Severity};
use crate::cli::letters::{Details, Letters};
use crate::cli::output::{Counted, Findings, Form, Order, Printed, Resolved};
use crate::cli::reading::{Evidence, Host, Owners, Report, Stacks};
use crate::cli::selection::{Selection, Words};
use crate::env::Terminal;
use crate::filter::duration;
use crate::renderer::columns::Column;
use crate::renderer::counts::By;
use crate::renderer::{Format, Page, Sort, SortKey};

/// The usual interval: long enough to read the screen.
const INTERVAL: Duration = Duration::from_secs(2);
/// A shorter interval costs more than it shows.
const INTERVAL_LEAST: Duration = Duration::from_millis(100);
/// A longer one is a mistake.
const INTERVAL_MOST: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Debug, Clone, Default, Args)]
#[command(mut_arg("output", |output| output.hide(true)))]
pub struct Options {
    /// Seconds between readings [default: 2], how many, and what to show
    ///
    /// As in vmstat, the first number is the interval and the second is how many readings there
    /// are; without it, Ctrl-C ends the run. `list` shows a list and `triage` the screen of
    /// `closewait` alone. A filter may follow. On a terminal the page is drawn in place; in a pipe
    /// each reading is appended, with --jsonl as one JSON document a line.
    #[arg(id = "filter", value_name = "SECONDS] [COUNT] [list|triage] [FILTER")]
    pub words: Vec<String>,
    #[command(flatten)]
    pub selection: Selection,
    #[command(flatten)]
    pub form: Form,
    #[command(flatten)]
    pub counted: Counted,
    #[command(flatten)]
    pub findings: Findings,
    #[command(flatten)]
    pub details: Details,
    #[command(flatten)]
    pub order: Order,
    #[command(flatten)]
    pub printed: Printed,
    #[command(flatten)]
    pub resolved: Resolved,
    #[command(flatten)]
    pub letters: Letters,
    #[command(flatten)]
    pub host: Host,
    #[command(flatten)]
    pub owners: Owners,
    #[command(flatten)]
    pub evidence: Evidence,
    #[command(flatten)]
    pub stacks: Stacks,
    #[command(flatten)]
    pub report: Report,
    #[command(flatten)]
    pub grace: Grace,
    #[command(flatten)]
    pub severity: Severity,
}

/// A page, and how often it is shown.
#[derive(Debug, Clone)]
pub struct Watch {
    pub inspection: Inspection,
    /// From the start of one reading to the start of the next.
    pub interval: Duration,
    /// How many readings; `None` until Ctrl-C.
    pub readings: Option<u64>,
    /// The comparison of the first and the last reading.
    pub by: By,
    /// A page is drawn in place of the last one.
    pub in_place: bool,
}

impl Watch {
    /// As netstat -c.
    pub(super) fn every_second(
        ask: Ask,
        page: Wanted,
        terminal: Terminal,
    ) -> Result<Watch, UsageError> {
        let rhythm = Rhythm {
            interval: Duration::from_secs(1),
            readings: None,
        };
        Watch::of(ask, page, rhythm, terminal)
    }

    fn of(
        mut ask: Ask,
        page: Wanted,
        rhythm: Rhythm,
        terminal: Terminal,
    ) -> Result<Watch, UsageError> {
        if ask.printed.to.output.is_some() {
            return Err(UsageError::WatchIntoFile);
        }
        if ask.form.csv {
            return Err(UsageError::WatchCsv);
        }
        if page == Wanted::List && !ask.counted.by.is_empty() {
            return Err(UsageError::WatchList);
        }
        if ask.form.jsonl {
            // One document a reading, and each is one line.
            ask.form = Form {
                json: true,
                ..Form::default()
            };
        }
        ask.repeated = true;
        let owners = !ask.owners.no_owners;
        let is_brief = ask.findings.in_full.is_none() && ask.report.verbose == 0;
        let mut inspection = Asked::read(ask)?.inspection(page, terminal)?;
        // Each reading is drawn over the last one, so the page must fit the screen.
        inspection.view.findings.whole_page = is_brief;
        // What has changed comes first.
        if page == Wanted::List && inspection.view.sort.is_none() {
            inspection.view.sort = Some(Sort {
                key: SortKey::Column(Column::Change),
                descending: false,
            });
        }
        let by = match &inspection.view.page {
            Page::Tally(by) => by.clone(),
            _ => By {
                dimensions: compared(owners),
                sort: None,
                heading: true,
            },
        };
        let in_place = inspection.view.look.terminal && inspection.view.format == Format::Table;
        Ok(Watch {
            inspection,
            interval: rhythm.interval,
            readings: rhythm.readings,
            by,
            in_place,
        })
    }
}

impl Options {
    pub(super) fn plan(mut self, terminal: Terminal) -> Result<Watch, UsageError> {
        // `watch list 5` works, too.
        if matches!(
            self.words.first().map(String::as_str),
            Some("list" | "triage")
        ) {
            let numbers = self.words.iter().skip(1).take(2);
            let numbers = numbers.take_while(|word| is_number(word)).count();
            if let Some(first) = self.words.get_mut(..=numbers) {
                first.rotate_left(1);
            }
        }
        let rhythm = Rhythm::taken_from(&mut self.words)?;
        let page = self.page();
        Watch::of(self.into(), page, rhythm, terminal)
    }

    /// The page: the one that is named, or the one that the other options belong to.
    fn page(&mut self) -> Wanted {
        let named = match self.words.first().map(String::as_str) {
            Some("list") => Some(Wanted::List),
            Some("triage") => Some(Wanted::Triage),
            _ => None,
        };
        if named.is_some() {
            self.words.remove(0);
        }
        named.unwrap_or_else(|| {
            match super::is_of_list(&self.letters, &self.selection, &self.details) {
                true if self.counted.by.is_empty() => Wanted::List,
                _ => Wanted::Triage,
            }
        })
    }
}

/// What the sockets are counted by at the end.
fn compared(owners: bool) -> Vec<Dimension> {
    match owners {
        true => vec![Dimension::State, Dimension::Program, Dimension::Port],
        false => vec![Dimension::State, Dimension::Port],
    }
}

/// The numbers at the start of the words.
struct Rhythm {
    interval: Duration,
    readings: Option<u64>,
}

impl Rhythm {
    fn taken_from(words: &mut Vec<String>) -> Result<Rhythm, UsageError> {
        let numbers = words.iter().take(2).take_while(|word| is_number(word));
        let numbers: Vec<String> = words.drain(..numbers.count()).collect();
        let mut numbers = numbers.into_iter();
        let interval = match numbers.next() {
            None => INTERVAL,
            Some(text) => seconds(&text).ok_or(UsageError::WatchInterval { given: text })?,
        };
        let readings = match numbers.next() {
            None => None,
            Some(text) => match text.parse() {
                Ok(readings @ 1..) => Some(readings),
                _ => return Err(UsageError::WatchReadings { given: text }),
            },
        };
        Ok(Rhythm { interval, readings })
    }
}

/// Whether a word begins like a number; a condition never does.
fn is_number(word: &str) -> bool {
    let digits = word.strip_prefix('.').unwrap_or(word);
    digits.starts_with(|c: char| c.is_ascii_digit())
}

/// `2`, `0.5`, `.5`, `10s`, `1m`.
fn seconds(text: &str) -> Option<Duration> {
    let time = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok()?,
        Err(_) => duration(text).ok()?,
    };
    (INTERVAL_LEAST..=INTERVAL_MOST)
        .contains(&time)
        .then_some(time)
}

impl From<Options> for Ask {
    fn from(options: Options) -> Ask {
        let Options {
            words,
            selection,
            form,
            counted,
            findings,
            details,
            order,
            printed,
            resolved,
            letters,
            host,
            owners,
            evidence,
            stacks,
            report,
            grace,
            severity,
        } = options;
        Ask {
            words: Words { filter: words },
            selection,
            form,
            counted,
            findings,
            details,
            order,
            printed,
            resolved,
            letters,
            host,
            owners,
            evidence,
            stacks,
            report,
            grace,
            severity,
            ..Ask::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rhythm(words: &str) -> (Option<(u64, Option<u64>)>, String) {
        let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let rhythm = Rhythm::taken_from(&mut words).ok();
        let millis = |rhythm: Rhythm| (rhythm.interval.as_millis() as u64, rhythm.readings);
        (rhythm.map(millis), words.join(" "))
    }

    #[test]
    fn numbers_come_first_and_a_filter_follows() {
        assert_eq!(rhythm(""), (Some((2000, None)), "".into()));
        assert_eq!(rhythm("5"), (Some((5000, None)), "".into()));
        assert_eq!(rhythm(".5"), (Some((500, None)), "".into()));
        assert_eq!(rhythm("0.5 3 list"), (Some((500, Some(3))), "list".into()));
        let filter = "sport = :80";
        assert_eq!(rhythm(filter), (Some((2000, None)), filter.into()));
        assert_eq!(rhythm("1m list"), (Some((60_000, None)), "list".into()));
        for wrong in ["0", "0.01", "5 0", "1x", "1 2.5", "99999999999999999999"] {
            assert_eq!(rhythm(wrong).0, None, "{wrong}");
        }
    }
}
