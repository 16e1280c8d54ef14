//! What must be read for a selection and a view. Nothing else is read.

use crate::classifier::tally::Dimension;
use crate::explain::Topic;
use crate::filter::{Filter, Term};
use crate::model::{DetailSet, State};
use crate::renderer::columns::Needs;
use crate::renderer::{Format, Object, Page, Sort, SortKey, View};

/// What must be read for a view and a selection; with `quiet` nothing is printed.
pub(super) fn needs(view: &View, filter: &Filter, quiet: bool) -> Needs {
    let everything = Needs {
        owners: true,
        times: true,
        details: DetailSet::NONE,
        cgroups: false,
    };
    let selection = Needs {
        owners: filter.mentions(Term::needs_owner),
        times: filter.mentions(Term::needs_tcp_info),
        details: DetailSet::NONE,
        cgroups: filter.mentions(Term::needs_cgroup),
    };
    let shown = match (&view.page, view.format) {
        _ if quiet => Needs::default(),
        (Page::Diagram, _) => return Needs::default(),
        (Page::Figures(topic, _), _) => of_topic(*topic),
        (Page::Triage, _) => everything,
        (Page::Tally(by), format) => {
            let any = |needed: fn(Dimension) -> bool| by.dimensions.iter().any(|by| needed(*by));
            Needs {
                owners: any(Dimension::needs_owner),
                // JSON also has findings, which need ages.
                times: any(Dimension::needs_tcp_info) || format == Format::Json,
                details: DetailSet::NONE,
                cgroups: by.dimensions.iter().any(|by| by.needs_cgroup()),
            }
        }
        (Page::List { columns, .. }, Format::Table | Format::Csv | Format::Prometheus { .. }) => {
            Needs::of(columns)
        }
        // JSON also has groups and findings.
        (Page::List { object, .. }, Format::Json) => object.needs().and(everything),
        (Page::List { object, .. }, Format::Jsonl) => object.needs(),
    };
    let sorted = match (view.sort, &view.page) {
        (
            Some(Sort {
                key: SortKey::Column(column),
                ..
            }),
            Page::List { .. },
        ) if !quiet => column.needs(),
        _ => Needs::default(),
    };
    selection.and(shown).and(sorted)
}

/// Sockets in TIME_WAIT and SYN_RECV belong to no process.
fn of_topic(topic: Topic) -> Needs {
    let is_of_kernel = matches!(topic, Topic::State(State::TimeWait | State::SynRecv));
    let has_age = matches!(topic, Topic::State(State::CloseWait) | Topic::Cause(_));
    Needs {
        owners: !is_of_kernel,
        times: has_age,
        ..Needs::default()
    }
}

impl Object {
    fn needs(&self) -> Needs {
        match self {
            Object::Columns(columns) => Needs::of(columns),
            Object::Whole {
                tcp_info,
                memory,
                cgroups,
                more,
            } => {
                let mut needs = Needs::of(more).and(Needs {
                    owners: true,
                    times: true,
                    details: DetailSet::NONE,
                    cgroups: *cgroups,
                });
                if *tcp_info {
                    let info = DetailSet::INFO.union(DetailSet::CONGESTION);
                    needs.details = needs.details.union(info);
                }
                if *memory {
                    needs.details = needs.details.union(DetailSet::MEMORY);
                }
                needs
            }
        }
    }
}
