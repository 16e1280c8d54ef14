//! Which flags were given, for commands that know only some of them: none is ignored in silence.

use super::UsageError;
use crate::args::Options;

/// The flags that were given, as they are written.
fn given(options: &Options) -> impl Iterator<Item = &'static str> {
    [
        (options.all, "-a"),
        (options.listening, "-l"),
        (options.tcp, "-t"),
        (options.udp, "-u"),
        (options.numeric, "-n"),
        (options.programs, "-p"),
        (options.timers, "-o"),
        (options.extend, "-e"),
        (options.info, "-i"),
        (options.memory, "-m"),
        (options.wide, "-W"),
        (options.ipv4, "-4"),
        (options.ipv6, "-6"),
        (!options.state.is_empty(), "--state"),
        (!options.port.is_empty(), "--port"),
        (!options.pid.is_empty(), "--pid"),
        (!options.program.is_empty(), "--program"),
        (!options.peer.is_empty(), "--peer"),
        (!options.cause.is_empty(), "--cause"),
        (options.older_than.is_some(), "--older-than"),
        (options.netns.is_some(), "-N"),
        (options.all_netns, "-A"),
        (!options.by.is_empty(), "--by"),
        (options.columns.is_some(), "--columns"),
        (options.sort.is_some(), "--sort"),
        (options.resolve, "-r"),
        (options.resolve_timeout.is_some(), "--resolve-timeout"),
        (options.limit.is_some(), "--limit"),
        (options.json, "--json"),
        (options.jsonl, "--jsonl"),
        (options.csv, "--csv"),
        (options.prometheus, "--prometheus"),
        (options.label_limit.is_some(), "--label-limit"),
        (options.output.is_some(), "--output"),
        (options.no_header, "-H"),
        (options.color.is_some(), "--color"),
        (options.quiet, "-q"),
        (options.verbose > 0, "-v"),
        (options.no_owners, "--no-owners"),
        (options.no_evidence, "--no-evidence"),
        (options.sample.is_some(), "--sample"),
        (options.grace.is_some(), "--grace"),
        (!options.threshold.is_empty(), "--threshold"),
        (options.source.is_some(), "--source"),
        (options.scan.is_some(), "--scan"),
        (options.proc.is_some(), "--proc"),
        (options.from.is_some(), "--from"),
        (options.strict, "--strict"),
    ]
    .into_iter()
    .filter_map(|(given, flag)| given.then_some(flag))
}

/// Refuses a flag that is given and has no place in a command.
pub(super) fn refuse(
    options: &Options,
    refused: &[&str],
    place: &'static str,
) -> Result<(), UsageError> {
    match given(options).find(|flag| refused.contains(flag)) {
        Some(flag) => Err(UsageError::NoPlace { flag, place }),
        None => Ok(()),
    }
}

/// Refuses all flags but those that a command knows.
pub(super) fn allow(
    options: &Options,
    allowed: &[&str],
    place: &'static str,
) -> Result<(), UsageError> {
    match given(options).find(|flag| !allowed.contains(flag)) {
        Some(flag) => Err(UsageError::NoPlace { flag, place }),
        None => Ok(()),
    }
}
