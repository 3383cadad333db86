//! The last resort of the date parser: the forms people type.
//!
//! The general parsers on crates.io fill what a text leaves out from the clock,
//! so that the same filter would mean another instant a second later. This
//! list is shorter, reads UTC, and takes midnight where no time is given.

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Utc};

/// With an offset.
const ZONED: [&str; 4] = [
    "%Y-%m-%d %H:%M:%S%.f%#z",
    "%Y-%m-%dT%H:%M:%S%.f%#z",
    "%Y-%m-%d %H:%M%#z",
    "%a %b %d %H:%M:%S %z %Y",
];

/// A date, month before day where both are numbers.
const DATES: [&str; 11] = [
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%Y-%b-%d",
    "%m/%d/%Y",
    "%m/%d/%y",
    "%m.%d.%Y",
    "%b %d, %Y",
    "%b. %d, %Y",
    "%d %b %Y",
    "%d-%b-%Y",
    "%a, %d %b %Y",
];

/// What may follow a date.
const TIMES: [&str; 5] = [" %H:%M:%S%.f", " %H:%M", " %I:%M:%S %p", " %I:%M %p", " %I:%M%p"];

/// The instant a text names, in UTC where it names no offset.
pub(super) fn parse(text: &str) -> Option<DateTime<Utc>> {
    let text = text.trim();
    let text = text.strip_suffix(" UTC").or_else(|| text.strip_suffix(" GMT")).unwrap_or(text);
    zoned(text).or_else(|| dated(text).map(|wall| wall.and_utc()))
}

fn zoned(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc2822(text)
        .ok()
        .or_else(|| ZONED.iter().find_map(|format| DateTime::parse_from_str(text, format).ok()))
        .map(|at| at.to_utc())
}

fn dated(text: &str) -> Option<NaiveDateTime> {
    // ISO forms come here only with the UTC suffix that was just taken off.
    std::iter::once(&"%Y-%m-%d").chain(&DATES).find_map(|format| {
        let (date, rest) = NaiveDate::parse_and_remainder(text, format).ok()?;
        Some(date.and_time(time(rest)?))
    })
}

/// Midnight if nothing is left, else the time that is.
fn time(rest: &str) -> Option<NaiveTime> {
    if rest.is_empty() {
        return Some(NaiveTime::MIN);
    }
    let rest = rest.strip_prefix(',').unwrap_or(rest);
    TIMES.iter().find_map(|format| NaiveTime::parse_from_str(rest, format).ok())
}
