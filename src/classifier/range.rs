//! Threshold ranges of the Monitoring Plugins Development Guidelines.

use std::fmt;
use std::str::FromStr;

/// Alerts for values outside of `start` to `end` (both inclusive), or with `@` for values inside.
///
/// `10` is 0 to 10, `10:` is 10 and more, `~:10` is 10 and less, `10:20`, `@10:20`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Range {
    start: f64,
    end: f64,
    inside: bool,
}

/// Whether a value alerts, and whether every larger value does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alert {
    No,
    /// It alerts, and so does every larger value, so that unseen sockets change nothing.
    Above,
    /// It alerts; a larger value may not.
    Otherwise,
}

impl Range {
    /// Alerts for everything above a value; values below 0 do not occur.
    pub fn at_most(end: f64) -> Range {
        Range {
            start: 0.0,
            end,
            inside: false,
        }
    }

    /// The range for a value that only an increase can exceed: one that starts at 0, as plain
    /// numbers do, has no lower end.
    pub fn of_increase(self) -> Range {
        match self {
            Range {
                start: 0.0,
                inside: false,
                ..
            } => Range {
                start: f64::NEG_INFINITY,
                ..self
            },
            other => other,
        }
    }

    pub fn check(&self, value: f64) -> Alert {
        let is_inside = self.start <= value && value <= self.end;
        if is_inside != self.inside {
            return Alert::No;
        }
        let stays = if self.inside {
            self.end == f64::INFINITY
        } else {
            value > self.end
        };
        if stays {
            Alert::Above
        } else {
            Alert::Otherwise
        }
    }
}

/// A text that is not a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a range: {why}; write 10, 10:, ~:10, 10:20 or @10:20")]
pub struct NoRange {
    text: String,
    why: &'static str,
}

impl FromStr for Range {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Range, NoRange> {
        let fails = |why| NoRange {
            text: text.to_owned(),
            why,
        };
        let (inside, rest) = match text.strip_prefix('@') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let number = |part: &str| number(part).ok_or_else(|| fails("not a number"));
        let (start, end) = match rest.split_once(':') {
            None => (0.0, number(rest)?),
            Some((start, end)) => {
                let start = match start {
                    "~" => f64::NEG_INFINITY,
                    "" => 0.0,
                    start => number(start)?,
                };
                let end = match end {
                    "" => f64::INFINITY,
                    end => number(end)?,
                };
                (start, end)
            }
        };
        if start > end {
            return Err(fails("it begins above its end"));
        }
        Ok(Range { start, end, inside })
    }
}

/// Parses a decimal number: digits, a point, and a sign.
fn number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_decimal = digits.bytes().all(|c| c.is_ascii_digit() || c == b'.')
        && digits.bytes().any(|c| c.is_ascii_digit());
    is_decimal.then(|| text.parse().ok())?
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.inside {
            f.write_str("@")?;
        }
        if self.start == f64::NEG_INFINITY {
            f.write_str("~:")?;
        } else if self.start != 0.0 || self.end == f64::INFINITY {
            write!(f, "{}:", self.start)?;
        }
        if self.end == f64::INFINITY {
            return Ok(());
        }
        write!(f, "{}", self.end)
    }
}

/// The ranges for WARNING and CRITICAL.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Limits {
    pub warning: Option<Range>,
    pub critical: Option<Range>,
}

impl Limits {
    pub fn is_empty(&self) -> bool {
        self.warning.is_none() && self.critical.is_none()
    }
}

/// Parses `WARNING` or `WARNING,CRITICAL`, a range each; either may be empty.
impl FromStr for Limits {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Limits, NoRange> {
        let range = |part: &str| match part {
            "" => Ok(None),
            part => part.parse().map(Some),
        };
        let (warning, critical) = text.split_once(',').unwrap_or((text, ""));
        let limits = Limits {
            warning: range(warning.trim())?,
            critical: range(critical.trim())?,
        };
        if limits.is_empty() {
            return Err(NoRange {
                text: text.to_owned(),
                why: "it is empty",
            });
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_alerts_as_the_guidelines_have_it() {
        // The range; values that are fine; values that alert, and those of them with which every
        // larger one does.
        type Values = &'static [f64];
        let table: [(&str, Values, Values, Values); 12] = [
            ("10", &[0.0, 5.0, 10.0], &[-1.0], &[10.1, 11.0]),
            ("10:", &[10.0, 11.0, 1e9], &[-1.0, 9.9], &[]),
            ("~:10", &[-1e9, 0.0, 10.0], &[], &[10.5]),
            ("10:20", &[10.0, 15.0, 20.0], &[9.0, -10.0], &[21.0]),
            ("@10:20", &[9.0, 21.0], &[10.0, 15.0, 20.0], &[]),
            ("@10:", &[9.0], &[], &[10.0, 1e9]),
            ("@~:10", &[11.0], &[10.0, -5.0], &[]),
            ("0", &[0.0], &[-1.0], &[0.1, 1.0]),
            (":10", &[0.0, 10.0], &[-1.0], &[11.0]),
            ("-10:-5", &[-7.5], &[-11.0], &[-4.0]),
            ("0.5:1.5", &[0.5, 1.0], &[0.4], &[1.6]),
            ("@10", &[11.0, -1.0], &[0.0, 10.0], &[]),
        ];
        for (text, fine, other, above) in table {
            let range: Range = text.parse().unwrap();
            for value in fine {
                assert_eq!(range.check(*value), Alert::No, "{text} {value}");
            }
            for value in other {
                assert_eq!(range.check(*value), Alert::Otherwise, "{text} {value}");
            }
            for value in above {
                assert_eq!(range.check(*value), Alert::Above, "{text} {value}");
            }
        }
    }

    #[test]
    fn what_is_no_range_is_an_error() {
        for text in [
            "", ":", "@", "a", "10:5", "20:10", "~", "10::", "1e3", "inf", "nan", "--1", "1,5",
            "10 ", "~:~", "@@1", ".", "-", "10:x",
        ] {
            // Of these only a lone colon says something: 0 and more.
            assert_eq!(text.parse::<Range>().is_err(), text != ":", "{text:?}");
        }
    }

    #[test]
    fn a_range_is_written_as_it_is_read() {
        for text in [
            "10", "10:", "~:10", "10:20", "@10:20", "0:", "@~:10", "-5:5", "0.5",
        ] {
            assert_eq!(text.parse::<Range>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn limits_are_one_range_or_two() {
        let both: Limits = "20,50".parse().unwrap();
        assert_eq!(both.warning.unwrap().to_string(), "20");
        assert_eq!(both.critical.unwrap().to_string(), "50");
        let critical: Limits = ",50".parse().unwrap();
        assert!(critical.warning.is_none() && critical.critical.is_some());
        for text in ["", ",", "x", "1,x"] {
            assert!(text.parse::<Limits>().is_err(), "{text:?}");
        }
    }
}
