//! One socket in JSON: the whole object with extra columns, or only some columns.

use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::classifier::change::Presence;
use crate::classifier::{Report, Row};
use crate::model::figures::{MEMORY, TCP_INFO};
use crate::model::{Detail, Figure, FigureValue, Owner};
use crate::renderer::columns::{self, Column, Value};
use crate::renderer::format::json::context::Context;
use crate::renderer::format::json::socket::{HoldersJson, SocketJson, TimerJson};
use crate::renderer::order::Order;
use crate::renderer::view::Object;

/// A socket, as an object of a document's list or a line of its own.
pub(super) struct RowJson<'a> {
    pub(super) row: Row<'a>,
    pub(super) object: &'a Object,
    pub(super) context: &'a Context<'a>,
}

impl Serialize for RowJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.object {
            Object::Whole {
                tcp_info,
                memory,
                more,
                ..
            } => {
                if !tcp_info && !memory && more.is_empty() {
                    return self.context.socket(&self.row).serialize(serializer);
                }
                let detail = self.context.report.snapshot.detail(self.row.socket);
                let whole = Whole {
                    socket: self.context.socket(&self.row),
                    tcp_info: tcp_info.then_some(detail.map(InfoJson)),
                    memory: memory.then_some(detail.map(MemoryJson)),
                    more: Columns {
                        columns: more,
                        with_cookie: false,
                        of: self,
                    },
                };
                whole.serialize(serializer)
            }
            Object::Columns(columns) => Columns {
                columns,
                with_cookie: true,
                of: self,
            }
            .serialize(serializer),
        }
    }
}

#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    socket: SocketJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp_info: Option<Option<InfoJson<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<Option<MemoryJson<'a>>>,
    #[serde(flatten)]
    more: Columns<'a>,
}

/// The sockets of a list, written one by one.
pub(super) struct Sockets<'a> {
    pub(super) order: &'a Order,
    /// The sockets that only an earlier reading has.
    pub(super) gone: Option<(&'a Order, &'a Context<'a>)>,
    pub(super) object: &'a Object,
    pub(super) report: &'a Report<'a>,
    pub(super) context: &'a Context<'a>,
}

impl Serialize for Sockets<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(None)?;
        let object = self.object;
        for row in self.order.rows(self.report) {
            let context = self.context;
            seq.serialize_element(&RowJson {
                row,
                object,
                context,
            })?;
        }
        if let Some((gone, context)) = self.gone {
            for row in gone.rows(context.report) {
                seq.serialize_element(&RowJson {
                    row,
                    object,
                    context,
                })?;
            }
        }
        seq.end()
    }
}

/// The figures of tcp_info, by the names of their columns.
struct InfoJson<'a>(&'a Detail);

impl Serialize for InfoJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("congestion", &self.0.congestion().map(text))?;
        figures(&mut map, TCP_INFO, self.0)?;
        map.end()
    }
}

/// The figures of memory, by the names of their columns.
struct MemoryJson<'a>(&'a Detail);

impl Serialize for MemoryJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        figures(&mut map, MEMORY, self.0)?;
        map.end()
    }
}

fn figures<M: SerializeMap>(
    map: &mut M,
    figures: &[Figure],
    detail: &Detail,
) -> Result<(), M::Error> {
    figures.iter().try_for_each(|figure| {
        let value = figure.of(detail).map(FigureJson);
        map.serialize_entry(figure.name, &value)
    })
}

struct FigureJson(FigureValue);

impl Serialize for FigureJson {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            FigureValue::Flag(flag) => serializer.serialize_bool(flag),
            FigureValue::Number(number) => serializer.serialize_u64(number),
        }
    }
}

/// Some columns of a socket, by name.
struct Columns<'a> {
    columns: &'a [Column],
    /// The socket's key, whether it is among them or not.
    with_cookie: bool,
    of: &'a RowJson<'a>,
}

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if self.with_cookie && !self.columns.contains(&Column::Cookie) {
            self.of.entry(&mut map, Column::Cookie)?;
        }
        for column in self.columns {
            self.of.entry(&mut map, *column)?;
        }
        map.end()
    }
}

impl RowJson<'_> {
    /// Writes a column under its name; one that is a field of the whole object is written as there.
    fn entry<M: SerializeMap>(&self, map: &mut M, column: Column) -> Result<(), M::Error> {
        let report = self.context.report;
        let socket = self.row.socket;
        let name = column.name();
        match column {
            Column::Change => map.serialize_entry(name, &self.row.change.map(Presence::name)),
            Column::Local => map.serialize_entry(name, &self.context.local(socket)),
            Column::Remote => {
                map.serialize_entry(name, &self.context.end(socket.remote, socket.protocol))
            }
            Column::LocalAddr => map.serialize_entry(name, &socket.local.addr),
            Column::RemoteAddr => map.serialize_entry(name, &socket.remote.addr),
            Column::Timer => map.serialize_entry(name, &socket.timer.map(TimerJson::from)),
            Column::Owners => map.serialize_entry(
                name,
                &HoldersJson {
                    row: self.row,
                    holders: report.holders(),
                },
            ),
            Column::Pids | Column::Programs
                if matches!(self.row.owner, Owner::Hidden(_) | Owner::Unread) =>
            {
                map.serialize_entry(name, &None::<u64>)
            }
            Column::Pids => {
                let mut pids: Vec<u32> = self.holders().map(|holder| holder.pid.0).collect();
                pids.dedup();
                map.serialize_entry(name, &pids)
            }
            Column::Programs => {
                let mut names: Vec<Option<&[u8]>> = Vec::new();
                for holder in self.holders() {
                    let name = report.holders().name(holder.pid).map(|name| name.bytes());
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                let names: Vec<_> = names.into_iter().map(|name| name.map(text)).collect();
                map.serialize_entry(name, &names)
            }
            Column::Age | Column::Owner => {
                let mut text_of_column = String::new();
                let known = columns::push_known(column, &self.row, report, &mut text_of_column);
                map.serialize_entry(name, &known.then_some(text_of_column))
            }
            _ => match columns::value(column, &self.row, report) {
                Some(Value::Flag(flag)) => map.serialize_entry(name, &flag),
                Some(Value::Number(number)) => map.serialize_entry(name, &number),
                Some(Value::Word(word)) => map.serialize_entry(name, word),
                Some(Value::Text(bytes)) => map.serialize_entry(name, &text(bytes)),
                None => map.serialize_entry(name, &None::<u64>),
            },
        }
    }

    fn holders(&self) -> impl Iterator<Item = &crate::model::Holder> {
        self.row.owner.holders().iter()
    }
}

fn text(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}
