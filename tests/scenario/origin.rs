//! When the files of a process, and what runs it, came to be: as times before the reading.

use closewait::model::{Executable, Library, Origin, Package};
use serde::Deserialize;

use super::syntax;

/// What a scenario says of it.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Origins {
    /// `current 3d`, `replaced 41m`, `deleted`.
    executable: Option<String>,
    /// `nginx-core 41m`.
    package: Option<String>,
    /// Of an interpreter.
    script: Option<String>,
    /// `libssl.so.3 41m`.
    #[serde(default)]
    libraries: Vec<String>,
    /// Names of libraries whose paths have no file any more.
    #[serde(default)]
    deleted: Vec<String>,
    /// Nothing is at the path of the script any more.
    #[serde(default)]
    script_deleted: bool,
    service: Option<String>,
    container: Option<String>,
}

impl Origins {
    /// As read at this time, in milliseconds since 1970.
    pub fn origin(&self, now_ms: u64) -> Result<Origin, String> {
        let before = |text: &str| {
            let ago = syntax::duration(text)?;
            now_ms.checked_sub(ago).ok_or_else(|| format!("{text} ago"))
        };
        let named = |text: &str| {
            let (name, ago) = text
                .split_once(' ')
                .ok_or_else(|| format!("{text:?}: NAME AGO"))?;
            Ok::<_, String>((name.into(), before(ago)?))
        };
        Ok(Origin {
            executable: match &self.executable {
                None => None,
                Some(text) if text == "deleted" => Some(Executable::Deleted),
                Some(text) => match named(text)? {
                    (name, modified_ms) if name == *"current" => {
                        Some(Executable::Current { modified_ms })
                    }
                    (name, by_ms) if name == *"replaced" => Some(Executable::Replaced {
                        by_ms,
                        modified_ms: by_ms,
                    }),
                    _ => return Err(format!("{text:?} is no executable")),
                },
            },
            package: match &self.package {
                None => None,
                Some(text) => {
                    let (name, installed_ms) = named(text)?;
                    Some(Package { name, installed_ms })
                }
            },
            script_modified_ms: self.script.as_deref().map(before).transpose()?,
            old_libraries: self
                .libraries
                .iter()
                .map(|text| {
                    let (name, by_ms) = named(text)?;
                    Ok::<_, String>(Library { name, by_ms })
                })
                .collect::<Result<_, _>>()?,
            more_libraries: 0,
            deleted_libraries: self
                .deleted
                .iter()
                .map(|name| name.as_str().into())
                .collect(),
            more_deleted: 0,
            script_deleted: self.script_deleted,
            service_at_ms: self.service.as_deref().map(before).transpose()?,
            container_age_ms: self
                .container
                .as_deref()
                .map(syntax::duration)
                .transpose()?,
        })
    }
}
