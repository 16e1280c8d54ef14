//! `key=value` arguments of a role.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};

pub struct Settings(BTreeMap<String, String>);

impl Settings {
    pub fn parse(args: impl Iterator<Item = String>) -> Result<Settings> {
        let pair = |arg: String| {
            let (key, value) = arg
                .split_once('=')
                .with_context(|| format!("{arg:?} is not key=value"))?;
            Ok((key.to_owned(), value.to_owned()))
        };
        args.map(pair).collect::<Result<_>>().map(Settings)
    }

    /// The value of a key, or its default.
    pub fn take<T: FromStr>(&mut self, key: &str, default: T) -> Result<T>
    where
        T::Err: Display,
    {
        match self.0.remove(key) {
            None => Ok(default),
            Some(text) => text.parse().map_err(|error| anyhow!("{key}: {error}")),
        }
    }

    /// An error if there are unknown keys.
    pub fn all_taken(&self) -> Result<()> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(key) => bail!("nothing is called {key:?} here"),
        }
    }
}
