//! The columns of a list and their order.

use super::Ask;
use crate::command::UsageError;
use crate::model::nearest;
use crate::renderer::columns::Column;
use crate::renderer::format::csv;
use crate::renderer::order;
use crate::renderer::{Format, Object, Page, Sort, SortKey};

/// The page of a list.
pub(super) fn page(
    ask: &Ask,
    format: Format,
    several_namespaces: bool,
) -> Result<Page, UsageError> {
    let usual = || match format {
        Format::Csv => usual_of_csv(ask),
        _ => usual(ask, several_namespaces),
    };
    let whole = |more: Vec<Column>| Object::Whole {
        tcp_info: ask.details.info,
        memory: ask.details.memory,
        cgroups: ask.details.extend || more.iter().any(|column| column.needs().cgroups),
        more: more
            .into_iter()
            .filter(|column| !column.is_field())
            .collect(),
    };
    let (columns, named, object) = match asked(ask)? {
        Asked::Usual => (usual(), Vec::new(), whole(Vec::new())),
        Asked::More(more) => {
            let mut columns = usual();
            // The owner stays last, because it may contain spaces.
            let owner = columns.pop_if(|column| *column == Column::Owner);
            for column in more.iter().copied().chain(owner) {
                if !columns.contains(&column) {
                    columns.push(column);
                }
            }
            (columns, more.clone(), whole(more))
        }
        Asked::Only(columns) => (columns.clone(), columns.clone(), Object::Columns(columns)),
    };
    Ok(Page::List {
        columns,
        named,
        header: !ask.printed.no_header,
        object,
    })
}

/// The columns of CSV: the usual ones, and those that options add.
fn usual_of_csv(ask: &Ask) -> Vec<Column> {
    let mut columns = csv::USUAL.to_vec();
    if ask.compares() {
        columns.push(Column::Change);
    }
    if ask.details.extend {
        columns.push(Column::Cgroup);
    }
    if ask.details.info {
        columns.extend(Column::info());
    }
    if ask.details.memory {
        columns.extend(Column::memory());
    }
    if ask.resolved.resolve {
        // Addresses and ports stay numeric; columns with names follow.
        columns.extend([Column::Local, Column::Remote]);
    }
    columns
}

/// What --columns asks for.
enum Asked {
    Usual,
    More(Vec<Column>),
    Only(Vec<Column>),
}

fn asked(ask: &Ask) -> Result<Asked, UsageError> {
    let Some(text) = ask.details.columns.as_deref() else {
        return Ok(Asked::Usual);
    };
    let (adds, names) = match text.strip_prefix('+') {
        Some(names) => (true, names),
        None => (false, text),
    };
    let mut columns = Vec::new();
    for name in names.split(',') {
        // `+A,+B` means the same as `+A,B`.
        let name = name.trim();
        let column = find(if adds {
            name.trim_start_matches('+')
        } else {
            name
        })?;
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Ok(if adds {
        Asked::More(columns)
    } else {
        Asked::Only(columns)
    })
}

fn find(name: &str) -> Result<Column, UsageError> {
    Column::find(name).ok_or_else(|| UsageError::Column {
        name: name.to_owned(),
        hint: hint(name),
    })
}

/// A hint for an unknown column name.
fn hint(name: &str) -> String {
    let plain = name.replace(['-', '_'], "");
    let bare = |column: Column| column.name().replace('_', "");
    let names: Vec<String> = Column::all().map(bare).collect();
    let meant = nearest(&plain, names.iter().map(String::as_str)).and_then(Column::find);
    match meant {
        Some(column) => format!("did you mean {}?", column.name()),
        None => "`closewait list --columns help` lists them".to_owned(),
    }
}

/// The columns of a table; options add some.
fn usual(ask: &Ask, several_namespaces: bool) -> Vec<Column> {
    let mut columns = Vec::new();
    if several_namespaces {
        columns.push(Column::Netns);
    }
    columns.extend([
        Column::Proto,
        Column::RecvQ,
        Column::SendQ,
        Column::Local,
        Column::Remote,
        Column::State,
        Column::Age,
        Column::Cause,
    ]);
    if ask.compares() {
        columns.push(Column::Change);
    }
    if ask.details.extend {
        columns.extend([Column::Uid, Column::Inode, Column::Cookie, Column::Cgroup]);
    }
    if ask.details.timers {
        columns.push(Column::Timer);
    }
    if ask.details.info {
        columns.extend(Column::info());
    }
    if ask.details.memory {
        columns.extend(Column::memory());
    }
    if !ask.owners.no_owners {
        columns.push(Column::Owner);
    }
    columns
}

/// The order given by --sort.
pub(super) fn sort(text: &str, page: &Page) -> Result<Sort, UsageError> {
    let (descending, name) = match text.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, text),
    };
    let key = match name {
        "sockets" => SortKey::Sockets,
        _ => SortKey::Column(find(name)?),
    };
    if let (SortKey::Column(column), Page::Triage) = (key, page)
        && !order::GROUPS_BY.contains(&column)
    {
        return Err(UsageError::GroupSort {
            column: column.name(),
            all: order::GROUPS_BY.map(Column::name).join(", "),
        });
    }
    Ok(Sort { key, descending })
}
