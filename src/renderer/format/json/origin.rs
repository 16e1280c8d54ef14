//! When a process and its files came to be, and whether its sockets began with that.

use serde::Serialize;

use crate::classifier::beginning::{Beginning, Moment};
use crate::model::{Executable, Library, Origin, Package};
use crate::renderer::format::json::context::NameJson;
use crate::renderer::format::json::socket::IdleJson;
use crate::renderer::units;

#[derive(Serialize)]
pub(super) struct OriginJson<'a> {
    executable: Option<ExecutableJson>,
    package: Option<PackageJson<'a>>,
    script_modified_at: Option<String>,
    old_libraries: Vec<LibraryJson<'a>>,
    old_library_count: u64,
    deleted_libraries: Vec<NameJson<'a>>,
    deleted_library_count: u64,
    script_deleted: bool,
    service_started_at: Option<String>,
    container_age_ms: Option<u64>,
    oldest_ms: Option<IdleJson>,
    coincides: Vec<&'static str>,
}

#[derive(Serialize)]
struct ExecutableJson {
    state: &'static str,
    modified_at: Option<String>,
    replaced_at: Option<String>,
}

#[derive(Serialize)]
struct PackageJson<'a> {
    name: NameJson<'a>,
    installed_at: Option<String>,
}

#[derive(Serialize)]
struct LibraryJson<'a> {
    name: NameJson<'a>,
    replaced_at: Option<String>,
}

impl<'a> OriginJson<'a> {
    pub(super) fn of(origin: &'a Origin, beginning: Option<&Beginning>) -> OriginJson<'a> {
        let moments = beginning.map_or(&[][..], |beginning| &beginning.moments);
        let named = origin.old_libraries.len() as u64;
        OriginJson {
            executable: origin.executable.map(ExecutableJson::from),
            package: origin.package.as_ref().map(PackageJson::from),
            script_modified_at: origin.script_modified_ms.and_then(time),
            old_libraries: origin.old_libraries.iter().map(LibraryJson::from).collect(),
            old_library_count: named.saturating_add(origin.more_libraries.into()),
            deleted_libraries: origin.deleted_libraries.iter().map(NameJson).collect(),
            deleted_library_count: (origin.deleted_libraries.len() as u64)
                .saturating_add(origin.more_deleted.into()),
            script_deleted: origin.script_deleted,
            service_started_at: origin.service_at_ms.and_then(time),
            container_age_ms: origin.container_age_ms,
            oldest_ms: beginning.map(|beginning| beginning.oldest.into()),
            coincides: moments
                .iter()
                .map(|moment: &Moment| moment.name())
                .collect(),
        }
    }
}

impl From<Executable> for ExecutableJson {
    fn from(executable: Executable) -> ExecutableJson {
        let (state, modified_ms, by_ms) = match executable {
            Executable::Current { modified_ms } => ("current", Some(modified_ms), None),
            Executable::Replaced { by_ms, modified_ms } => {
                ("replaced", Some(modified_ms), Some(by_ms))
            }
            Executable::Deleted => ("deleted", None, None),
        };
        ExecutableJson {
            state,
            modified_at: modified_ms.and_then(time),
            replaced_at: by_ms.and_then(time),
        }
    }
}

impl<'a> From<&'a Package> for PackageJson<'a> {
    fn from(package: &'a Package) -> PackageJson<'a> {
        PackageJson {
            name: NameJson(&package.name),
            installed_at: time(package.installed_ms),
        }
    }
}

impl<'a> From<&'a Library> for LibraryJson<'a> {
    fn from(library: &'a Library) -> LibraryJson<'a> {
        LibraryJson {
            name: NameJson(&library.name),
            replaced_at: time(library.by_ms),
        }
    }
}

/// Milliseconds since 1970 as RFC 3339; `None` if out of range.
fn time(milliseconds: u64) -> Option<String> {
    units::timestamp(i128::from(milliseconds).saturating_mul(1_000_000))
}
