//! What is compared, and every rule across the flags of that.

use std::path::{Path, PathBuf};

use super::asked::{Asked, open, scan};
use super::{Inspection, Terminal, UsageError, given};
use crate::args::{Options, Selection, Wanted};
use crate::collector::netns::{NetnsChoice, NetnsName};
use crate::collector::owners::ScanChoice;
use crate::collector::recording::Recording;
use crate::collector::{Request, SourceChoice};
use crate::filter::Term;
use crate::model::{State, StateSet};
use crate::renderer::Page;
use crate::renderer::tally::By;

/// Two readings to be compared.
#[derive(Debug, Clone)]
pub struct Diff {
    pub before: Inspection,
    pub after: Inspection,
    pub by: By,
}

/// The flags that say what is selected and counted, and how it is shown.
pub(super) const COUNTING: [&str; 30] = [
    "-a",
    "-l",
    "-t",
    "-u",
    "-n",
    "-p",
    "-W",
    "-4",
    "-6",
    "--state",
    "--port",
    "--pid",
    "--program",
    "--peer",
    "--cause",
    "--older-than",
    "--by",
    "--limit",
    "--json",
    "--jsonl",
    "--csv",
    "--output",
    "-H",
    "--color",
    "-v",
    "--no-owners",
    "--no-evidence",
    "--grace",
    "--from",
    "--strict",
];
/// Those of the host, where the later reading is one of it.
const OF_A_HOST: [&str; 5] = ["-N", "-A", "--proc", "--source", "--scan"];

impl Diff {
    /// `words` are the files that are not given otherwise, and the words of a filter.
    pub(super) fn new(
        against: Option<PathBuf>,
        words: Vec<String>,
        said: Selection,
        terminal: Terminal,
    ) -> Result<Diff, UsageError> {
        let Selection {
            mut options,
            filter,
        } = said;
        let mut words = words.into_iter();
        let mut file = || words.next().map(PathBuf::from);
        let before = options.from.take().or_else(&mut file);
        let after = against.or_else(&mut file);
        let (Some(before), Some(after)) = (before, after) else {
            return Err(UsageError::TwoReadings);
        };
        let is_now = after == Path::new("now");
        let known = match is_now {
            true => [&COUNTING[..], &OF_A_HOST].concat(),
            false => COUNTING.to_vec(),
        };
        given::allow(&options, &known, "`closewait diff`")?;
        let now = Now::of(&mut options)?;
        options.from = Some(before);
        let filter = filter.into_iter().chain(words).collect();
        let (before, by) = counting(Selection { options, filter }, terminal)?;
        let mut later = before.clone();
        later.request.from = None;
        if is_now {
            now.ask(&mut later.request, before.request.from.as_deref());
        } else {
            later.request.from = Some(open(&after)?);
        }
        Ok(Diff {
            before,
            after: later,
            by,
        })
    }
}

/// How the host is read.
struct Now {
    netns: Option<NetnsChoice>,
    proc_root: Option<PathBuf>,
    source: Option<SourceChoice>,
    scan: ScanChoice,
}

impl Now {
    /// Takes it out of the options, where the rest is of a recording.
    fn of(options: &mut Options) -> Result<Now, UsageError> {
        let netns = options
            .netns
            .take()
            .map(|name| NetnsChoice::One(NetnsName(name)));
        let all = std::mem::take(&mut options.all_netns);
        let scan = scan(options)?;
        options.scan = None;
        Ok(Now {
            netns: netns.or_else(|| all.then_some(NetnsChoice::All)),
            proc_root: options.proc.take(),
            source: options.source.take(),
            scan,
        })
    }

    /// Asks for the namespaces that were recorded, unless others were named.
    fn ask(self, request: &mut Request, recording: Option<&Recording>) {
        request.proc_root = self.proc_root.unwrap_or_else(|| PathBuf::from("/proc"));
        request.source = self.source.unwrap_or(SourceChoice::Auto);
        request.scan = self.scan;
        let recorded = recording.map(|recording| &recording.facts);
        request.netns = self.netns.unwrap_or_else(|| {
            let asked = recorded.and_then(|facts| facts.namespaces.first()?.asked.clone());
            match (recorded.is_some_and(|facts| facts.all_namespaces), asked) {
                (true, _) => NetnsChoice::All,
                (false, Some(name)) => NetnsChoice::One(NetnsName(name)),
                (false, None) => NetnsChoice::Own,
            }
        });
    }
}

/// The reading of a recording that is counted, of CLOSE_WAIT unless other states are named.
pub(super) fn counting(
    said: Selection,
    terminal: Terminal,
) -> Result<(Inspection, By), UsageError> {
    let mut asked = Asked::read(said, false)?;
    let options = &mut asked.options;
    let names_states = asked
        .words
        .filter
        .mentions(|term| matches!(term, Term::State(_)));
    let has_letter = options.all || options.listening;
    if options.state.is_empty() && !has_letter && !names_states && !options.udp {
        options.state = vec![StateSet::of(State::CloseWait)];
    }
    if options.by.is_empty() {
        let by: &[&str] = if options.no_owners {
            &["port"]
        } else {
            &["program", "port", "cause"]
        };
        options.by = by.iter().map(|name| (*name).to_owned()).collect();
    }
    let inspection = asked.inspection(Wanted::Triage, terminal)?;
    match &inspection.view.page {
        Page::Tally(by) => {
            let by = by.clone();
            Ok((inspection, by))
        }
        // --by asks for nothing else.
        _ => Err(UsageError::TwoReadings),
    }
}
