//! Reads, shows and waits, until the readings are done or Ctrl-C ends the run.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Watch;
use crate::classifier::Report;
use crate::classifier::diff::diff;
use crate::collector::holders::Progress;
use crate::command::inspection::{Inspection, find, name, report_the_rest};
use crate::env::Terminal;
use crate::exit::Outcome;
use crate::interrupt::Interrupt;
use crate::model::Snapshot;
use crate::renderer::guard::{Form, Guard};
use crate::renderer::live::{Screen, Size};
use crate::renderer::{Comparison, Format, Page, View, units};
use crate::{classifier, progress, renderer};

/// A reading may take a tenth of the interval; if it takes longer, the interval grows.
const SHARE: u32 = 10;
/// The first lines of triage, which stay if not all fit: what was read, and the worst finding. The
/// others are its last, where that finding is in full.
const TOP: usize = 3;

/// Repeats the page.
///
/// # Errors
/// If a reading fails, or `out` cannot be written.
pub fn run(plan: &Watch, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let interrupt = Interrupt::new().context("could not wait for Ctrl-C")?;
    let began = Instant::now();
    let first = Reading::new(plan)?;
    let of_first = classifier::classify(&first.snapshot, &plan.inspection.rules);
    let mut last: Option<Reading> = None;
    let mut show = Show {
        plan,
        view: plan.inspection.view.clone(),
        screen: Screen::default(),
        began,
    };
    for count in 1.. {
        let now = match count {
            1 => &first,
            _ => last.insert(Reading::new(plan)?),
        };
        let cost = show.reading(now, count, out)?;
        if plan.readings == Some(count)
            || interrupt.before(now.began + pace(plan.interval, cost))?
        {
            break;
        }
    }
    let is_table = plan.inspection.view.format == Format::Table;
    if let Some(last) = last.filter(|_| is_table) {
        let of_last = classifier::classify(&last.snapshot, &plan.inspection.rules);
        changed(&show, &of_first, &of_last, out).context("could not write the output")?;
    }
    Ok(Outcome::Done)
}

/// From the start of one reading to the start of the next.
fn pace(interval: Duration, cost: Duration) -> Duration {
    interval.max(cost.saturating_mul(SHARE))
}

/// A snapshot, and when reading it began.
struct Reading {
    snapshot: Snapshot,
    began: Instant,
}

impl Reading {
    fn new(plan: &Watch) -> anyhow::Result<Reading> {
        let Inspection {
            source, request, ..
        } = &plan.inspection;
        let began = Instant::now();
        let progress = Progress::default();
        let snapshot = progress::shown(&progress, || source.collect(request, &progress))?;
        Ok(Reading { snapshot, began })
    }
}

/// How readings are shown.
struct Show<'a> {
    plan: &'a Watch,
    view: View,
    screen: Screen,
    began: Instant,
}

impl Show<'_> {
    /// Shows a reading; how long it took, without the time in which processes were only observed.
    fn reading(
        &mut self,
        now: &Reading,
        count: u64,
        out: &mut impl Write,
    ) -> anyhow::Result<Duration> {
        let plan = &self.plan.inspection;
        let mut report = classifier::classify(&now.snapshot, &plan.rules);
        let (findings, examined) = find(plan, &now.snapshot, &mut report);
        if let Some(naming) = plan.naming {
            name(naming, plan, &mut report);
        }
        let waited = examined.map_or(Duration::ZERO, |_| plan.sample);
        let terminal = Terminal::of_stdout();
        if self.view.look.width.is_some() {
            self.view.look.width = terminal.width;
        }
        if self.view.findings.rows.is_some() {
            let rows = terminal.height;
            self.view.findings.rows = rows.map(|rows| rows.saturating_sub(TOP + 2));
        }
        let mut page = Vec::new();
        let elapsed = now.began.elapsed();
        renderer::render(&report, &findings, None, &self.view, elapsed, &mut page)?;
        let cost = now.began.elapsed().saturating_sub(waited);
        if self.view.format == Format::Table {
            let mut text = Guard::new(&mut page, Form::of(&self.view));
            if matches!(self.view.page, Page::List { .. }) {
                report_the_rest(plan, &report, None, &mut text)?;
            }
            if self.plan.in_place {
                writeln!(text, "{}", self.status(count, cost))?;
            } else if self.plan.readings != Some(count) {
                writeln!(text)?;
            }
            text.flush()?;
        }
        match terminal.width.zip(terminal.height) {
            Some((columns, rows)) if self.plan.in_place => {
                let size = Size { columns, rows };
                let below = match self.view.page {
                    Page::Triage => rows.saturating_sub(TOP + 2).max(1),
                    _ => 1,
                };
                self.screen.draw(&page, below, size, more, out)
            }
            _ => out.write_all(&page).and_then(|()| out.flush()),
        }
        .context("could not write the output")?;
        Ok(cost)
    }

    /// `every 2s · 35ms a reading · 12 readings in 24s · Ctrl-C ends`.
    fn status(&self, count: u64, cost: Duration) -> String {
        let short =
            |time: Duration| units::duration(time.as_millis().try_into().unwrap_or(u64::MAX));
        let interval = self.plan.interval;
        let pace = pace(interval, cost);
        let (every, cost) = (short(pace), short(cost));
        let every = match pace > interval {
            true => format!("every {every}, because a reading takes {cost}"),
            false => format!("every {every} · {cost} a reading"),
        };
        let readings = match count {
            1 => "first reading".to_owned(),
            _ => format!("{count} readings in {}", short(self.began.elapsed())),
        };
        format!("{every} · {readings} · Ctrl-C ends")
    }
}

fn more(left_out: usize) -> String {
    format!("  {left_out} more lines; use --limit, a filter or a taller terminal")
}

/// What changed from the first reading to the last.
fn changed(
    show: &Show<'_>,
    first: &Report<'_>,
    last: &Report<'_>,
    out: &mut impl Write,
) -> std::io::Result<()> {
    let by = &show.plan.by;
    let all = show.plan.inspection.request.is_of_all_namespaces();
    let diff = diff(first, last, &by.dimensions, all);
    let compared = Comparison {
        diff: &diff,
        before: first,
        after: last,
        by,
    };
    if show.plan.in_place {
        // The terminal has echoed ^C.
        write!(out, "\r\x1b[K")?;
    }
    writeln!(out)?;
    renderer::render_diff(compared, &show.view, out)
}
