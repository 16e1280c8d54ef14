//! Reads, shows and waits, until the readings are done or Ctrl-C ends the run.

use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Context;

use super::Watch;
use crate::classifier::diff::diff;
use crate::classifier::{self, Report, Rules, growth};
use crate::command::inspection::{Inspection, Reading, add_growth, find, name, report_the_rest};
use crate::env::Terminal;
use crate::exit::Outcome;
use crate::interrupt::Interrupt;
use crate::renderer::guard::{Form, Guard};
use crate::renderer::live::{Screen, Size};
use crate::renderer::{self, Comparison, Format, Latest, Page, Since, View, units};

/// A reading may take a tenth of the interval; if it takes longer, the interval grows.
const SHARE: u32 = 10;

/// Repeats the page.
///
/// # Errors
/// If a reading fails, or `out` cannot be written.
pub fn run(plan: &Watch, out: &mut impl Write) -> anyhow::Result<Outcome> {
    let interrupt = Interrupt::new().context("could not wait for Ctrl-C")?;
    let Inspection {
        source,
        request,
        rules,
        ..
    } = &plan.inspection;
    let first = Reading::new(source, request)?;
    let mut show = Show {
        plan,
        view: plan.inspection.view.clone(),
        screen: Screen::default(),
        count: 1,
        began: first.began,
    };
    let report = classifier::classify(&first.snapshot, rules);
    let mut next = first.began + show.page(&first, report, None, out)?;
    let mut of_first = classifier::classify(&first.snapshot, rules);
    let mut last: Option<Reading> = None;
    while plan.readings.is_none_or(|readings| show.count < readings) && !interrupt.before(next)? {
        let now = Reading::new(source, request)?;
        show.count += 1;
        let pace = show.later(&first, &mut of_first, last.as_ref(), &now, out)?;
        next = now.began + pace;
        last = Some(now);
    }
    let is_table = plan.inspection.view.format == Format::Table;
    if let Some(last) = last.filter(|_| is_table) {
        let of_last = classifier::classify(&last.snapshot, rules);
        changed(&show, &of_first, &of_last, out).context("could not write the output")?;
    }
    Ok(Outcome::Done)
}

/// From the start of one reading to the start of the next.
fn pace(interval: Duration, cost: Duration) -> Duration {
    interval.max(cost.saturating_mul(SHARE))
}

/// How readings are shown.
struct Show<'a> {
    plan: &'a Watch,
    view: View,
    screen: Screen,
    /// How many readings there are.
    count: u64,
    /// When the first one began.
    began: Instant,
}

impl Show<'_> {
    /// Shows a reading and what grew since the first one and the one before. Sockets of a list are
    /// compared with the reading before only, so that they are new once. Returns the time from its
    /// start to that of the next.
    fn later(
        &mut self,
        first: &Reading,
        of_first: &mut Report<'_>,
        last: Option<&Reading>,
        now: &Reading,
        out: &mut impl Write,
    ) -> anyhow::Result<Duration> {
        let Inspection { request, rules, .. } = &self.plan.inspection;
        let seen = first.sightings(&first.snapshot.sockets, now.began);
        let rules_now = Rules {
            seen,
            ..rules.clone()
        };
        let report = classifier::classify(&now.snapshot, &rules_now);
        let all = request.is_of_all_namespaces();
        if matches!(self.view.page, Page::List { .. }) {
            let Some(last) = last else {
                return self.list(first, of_first, now, report, out);
            };
            let mut of_last = classifier::classify(&last.snapshot, rules);
            return self.list(last, &mut of_last, now, report, out);
        }
        let of_last = last.map(|last| classifier::classify(&last.snapshot, rules));
        let growth = growth::between(of_first, &report, first.until_ms(now), all);
        let since_last = last.zip(of_last.as_ref()).map(|(last, of_last)| {
            let growth = growth::between(of_last, &report, last.until_ms(now), all);
            (growth, of_last)
        });
        let latest = match &since_last {
            Some((growth, before)) => Latest { growth, before },
            None => Latest {
                growth: &growth,
                before: of_first,
            },
        };
        let since = Since {
            growth: &growth,
            before: of_first,
            latest: Some(latest),
        };
        self.page(now, report, Some(since), out)
    }

    /// Shows a list with what is new and gone since another reading.
    fn list(
        &mut self,
        last: &Reading,
        of_last: &mut Report<'_>,
        now: &Reading,
        mut report: Report<'_>,
        out: &mut impl Write,
    ) -> anyhow::Result<Duration> {
        let all = self.plan.inspection.request.is_of_all_namespaces();
        let growth = growth::between(of_last, &report, last.until_ms(now), all);
        growth.mark(of_last, &mut report);
        let since = Since {
            growth: &growth,
            before: of_last,
            latest: None,
        };
        self.page(now, report, Some(since), out)
    }

    /// Shows a reading, and returns the time from its start to that of the next.
    fn page(
        &mut self,
        now: &Reading,
        mut report: Report<'_>,
        since: Option<Since<'_>>,
        out: &mut impl Write,
    ) -> anyhow::Result<Duration> {
        let plan = &self.plan.inspection;
        let (mut findings, examined) = find(plan, &now.snapshot, &mut report);
        if let Some(since) = since {
            add_growth(since.growth, &mut findings);
        }
        if let Some(naming) = plan.naming {
            name(naming, plan, &mut report);
        }
        // The time in which processes are only observed costs nothing.
        let observed = examined.map_or(Duration::ZERO, |_| plan.sample);
        let terminal = Terminal::of_stdout();
        if self.view.look.width.is_some() {
            self.view.look.width = terminal.width;
            if self.view.findings.whole_page {
                self.view.findings.rows = terminal.height.map(|rows| rows.saturating_sub(2));
            }
        }
        let mut page = Vec::new();
        if let (Page::List { .. }, Format::Table) = (&self.view.page, self.view.format) {
            renderer::changes(since, &self.view, &mut page)?;
        }
        let elapsed = now.began.elapsed();
        renderer::render(&report, &findings, since, &self.view, elapsed, &mut page)?;
        let cost = now.began.elapsed().saturating_sub(observed);
        if self.view.format == Format::Table {
            let mut text = Guard::new(&mut page, Form::of(&self.view));
            if matches!(self.view.page, Page::List { .. }) {
                report_the_rest(plan, &report, since, &mut text)?;
            }
            if self.plan.in_place {
                writeln!(text, "{}", self.status(cost))?;
            } else if self.plan.readings != Some(self.count) {
                writeln!(text)?;
            }
            text.flush()?;
        }
        match terminal.width.zip(terminal.height) {
            Some((columns, rows)) if self.plan.in_place => {
                let size = Size { columns, rows };
                // Findings, and the sockets of a list that are gone, are the last lines.
                let below = match self.view.page {
                    Page::Tally(_) | Page::Diagram | Page::Figures(..) => 1,
                    Page::Triage | Page::List { .. } => rows / 3,
                };
                self.screen.draw(&page, below, size, more, out)
            }
            _ => out.write_all(&page).and_then(|()| out.flush()),
        }
        .context("could not write the output")?;
        Ok(pace(self.plan.interval, cost))
    }

    /// `every 2s · 35ms a reading · 12 readings in 24s · Ctrl-C ends`.
    fn status(&self, cost: Duration) -> String {
        let short =
            |time: Duration| units::duration(time.as_millis().try_into().unwrap_or(u64::MAX));
        let interval = self.plan.interval;
        let pace = pace(interval, cost);
        let (every, cost) = (short(pace), short(cost));
        let every = match pace > interval {
            true => format!("every {every}, because a reading takes {cost}"),
            false => format!("every {every} · {cost} a reading"),
        };
        let readings = match self.count {
            1 => "first reading".to_owned(),
            count => format!("{count} readings in {}", short(self.began.elapsed())),
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
