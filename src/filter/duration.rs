//! Parses durations such as `5m` or `1h30m`.

#![cfg_attr(not(test), warn(clippy::arithmetic_side_effects))]

use std::time::Duration;

/// Reads `90` (seconds), `90s`, `5m`, `1h30m`, `2d`.
///
/// # Errors
/// What is wrong with the text, and what to try.
pub fn duration(text: &str) -> Result<Duration, String> {
    let hint = "try 90s, 5m, 1h30m or 2d";
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    // Without a calendar, a day is 24 hours.
    let span: jiff::Span = text
        .parse()
        .map_err(|_| format!("{text:?} is not a duration: {hint}"))?;
    let duration = span
        .to_duration(jiff::SpanRelativeTo::days_are_24_hours())
        .map_err(|error| format!("{text:?}: {error}; {hint}"))?;
    duration
        .try_into()
        .map_err(|_| format!("{text:?} is negative: {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text| duration(text).map(|duration: Duration| duration.as_secs());
        assert_eq!(read("90"), Ok(90));
        assert_eq!(read("5m"), Ok(300));
        assert_eq!(read("1h30m"), Ok(5400));
        assert_eq!(read("2d"), Ok(172_800));
        assert!(read("-5m").is_err());
        assert!(read("soon").unwrap_err().contains("try 90s"));
    }
}
