//! `is_date_*`: instants in the many ways people write them.
//!
//! A date is read once, into the most that can be known without a clock, and
//! becomes an instant when the time of the question and the project's time
//! zone are at hand.

use chrono::{
    DateTime, Datelike, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc,
};
use serde_json::Value;

use super::number::{Comparison, number};
use super::{Terms, lenient_date};

/// Relative dates count at most this many units back.
const FURTHEST_UNITS: u32 = 9_999;

/// An instant, as far as its text alone tells.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Moment {
    Instant(DateTime<Utc>),
    /// Wall-clock time in the project's time zone.
    Wall(NaiveDateTime),
    /// So many units before the time of the question.
    Ago(u32, Unit),
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Unit {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// A comparison of the property's instant with the filter's.
#[derive(Debug)]
pub(super) struct DateTest {
    comparison: Comparison,
    moment: Moment,
}

impl DateTest {
    /// None unless the filter is a string that holds a date.
    pub(super) fn compile(comparison: Comparison, filter: &Value) -> Option<Self> {
        Some(Self { comparison, moment: parse(filter.as_str()?)? })
    }

    /// None for a property that holds no date.
    pub(super) fn hits(&self, property: &Value, terms: &Terms) -> Option<bool> {
        let property = property_instant(property, terms)?;
        let filter = self.moment.instant(terms)?;
        Some(self.comparison.accepts(property.cmp(&filter)))
    }
}

/// Whether a filter that holds the value can ever be compared with.
pub(in crate::engine) fn is_date(filter: &Value) -> bool {
    filter.as_str().is_some_and(|text| parse(text).is_some())
}

/// A number, or the text of one, counts seconds since 1970.
fn property_instant(property: &Value, terms: &Terms) -> Option<DateTime<Utc>> {
    match property {
        Value::Number(_) => from_epoch(number(property)?),
        Value::String(text) => match text.parse() {
            Ok(seconds) => from_epoch(seconds),
            Err(_) => parse(text)?.instant(terms),
        },
        _ => None,
    }
}

fn from_epoch(seconds: f64) -> Option<DateTime<Utc>> {
    if !seconds.is_finite() {
        return None;
    }
    let whole = seconds.floor();
    let nanoseconds = ((seconds - whole) * 1e9).round() as i64;
    // A float beyond the range of dates saturates in the cast, and is refused then.
    DateTime::from_timestamp(whole as i64, 0)?
        .checked_add_signed(TimeDelta::nanoseconds(nanoseconds))
}

fn parse(text: &str) -> Option<Moment> {
    relative(text)
        .or_else(|| DateTime::parse_from_rfc3339(text).ok().map(|at| Moment::Instant(at.to_utc())))
        .or_else(|| naive(text).map(Moment::Wall))
        .or_else(|| lenient_date::parse(text).map(Moment::Instant))
}

/// `7d`, `-7d`: always in the past, the sign is decoration.
fn relative(text: &str) -> Option<Moment> {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "h" => Unit::Hour,
        "d" => Unit::Day,
        "w" => Unit::Week,
        "m" => Unit::Month,
        "y" => Unit::Year,
        _ => return None,
    };
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse().ok().filter(|count| *count <= FURTHEST_UNITS)?;
    Some(Moment::Ago(count, unit))
}

/// A date, or a date and a time, without an offset.
fn naive(text: &str) -> Option<NaiveDateTime> {
    const FORMATS: [&str; 4] =
        ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M"];
    if let Ok(date) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(date.and_time(NaiveTime::MIN));
    }
    FORMATS.iter().find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

impl Moment {
    fn instant(self, terms: &Terms) -> Option<DateTime<Utc>> {
        let wall = match self {
            Self::Instant(at) => return Some(at),
            Self::Wall(wall) => wall,
            Self::Ago(count, unit) => {
                unit.before(terms.now.with_timezone(&terms.zone).naive_local(), count)?
            }
        };
        // In a gap of the clock no instant has this reading; in an overlap the first one counts.
        terms.zone.from_local_datetime(&wall).earliest().map(|at| at.to_utc())
    }
}

impl Unit {
    /// The wall clock `count` units earlier.
    ///
    /// Months and years go one at a time, each step clamped to its month: two
    /// months before 31 March is 28 or 29 January.
    fn before(self, wall: NaiveDateTime, count: u32) -> Option<NaiveDateTime> {
        let steps = |months| {
            let mut wall = wall;
            for left in (1..=count).rev() {
                // Every month has 28 days, so that nothing is clamped any more.
                let step = if wall.day() <= 28 { left } else { 1 };
                wall = wall.checked_sub_months(Months::new(months * step))?;
                if step == left {
                    break;
                }
            }
            Some(wall)
        };
        match self {
            Self::Hour => wall.checked_sub_signed(TimeDelta::hours(count.into())),
            Self::Day => wall.checked_sub_days(Days::new(count.into())),
            Self::Week => wall.checked_sub_days(Days::new(u64::from(count) * 7)),
            Self::Month => steps(1),
            Self::Year => steps(12),
        }
    }
}
