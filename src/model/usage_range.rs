//! Reads the range of a dashboard: its points, their labels, and the hours
//! behind them.
//!
//! Usage is kept by the hour, in UTC. Points are days of the project's zone,
//! or hours where either bound names an hour. An hour counts for the day in
//! which it begins; that matters only where a zone is not whole hours from UTC.

use chrono::{
    DateTime, Datelike, Days, DurationRound, Months, NaiveDate, NaiveDateTime, SecondsFormat,
    TimeDelta, TimeZone, Utc,
};
use chrono_tz::Tz;

use super::error::{Error, Result};

/// How many points a range may have.
pub const MOST_POINTS: usize = 400;

/// The dates that a request names, as text.
#[derive(Clone, Debug, Default)]
pub struct Dates {
    /// The first day or hour.
    pub from: Option<String>,
    /// The last day or hour.
    pub to: Option<String>,
}

/// The points of a chart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRange {
    /// The instant at which each point begins, oldest first; never empty.
    starts: Vec<DateTime<Utc>>,
    /// One a point: `YYYY-MM-DD`, or the hour as an RFC 3339 instant with the zone's offset.
    pub labels: Vec<String>,
    /// The instant at which the last point ends.
    pub until: DateTime<Utc>,
    /// Whether points are hours rather than days.
    pub hourly: bool,
}

/// One end of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bound {
    Day(NaiveDate),
    Hour(DateTime<Utc>),
}

impl UsageRange {
    /// Reads a range: by default up to now.
    ///
    /// # Errors
    ///
    /// `Invalid` on `date_from` or `date_to`: no date, the wrong way round, too many points.
    pub fn parse(dates: &Dates, default_from: &str, zone: Tz, now: DateTime<Utc>) -> Result<Self> {
        let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
        let (from, to) = (given(&dates.from), given(&dates.to));
        let blamed = if from.is_none() && to.is_some() { "date_to" } else { "date_from" };
        let read =
            |attr, text: &str| bound(text.trim(), zone, now).ok_or_else(|| no_date(attr, text));
        let first = read("date_from", from.as_deref().unwrap_or(default_from))?;
        let last = match (to, first) {
            (Some(text), _) => read("date_to", &text)?,
            (None, Bound::Hour(_)) => Bound::Hour(now),
            (None, Bound::Day(_)) => Bound::Day(today(zone, now)),
        };
        match (first, last) {
            (Bound::Day(first), Bound::Day(last)) => days(first, last, zone, blamed),
            (first, last) => hours(first.begin(zone), last.end(zone), zone, blamed),
        }
    }

    /// The instant at which the first point begins.
    #[must_use]
    pub fn from(&self) -> DateTime<Utc> {
        self.starts[0]
    }

    /// The point that an hour counts for; `None` outside the range.
    #[must_use]
    pub fn point(&self, hour: DateTime<Utc>) -> Option<usize> {
        let begun = self.starts.partition_point(|start| *start <= hour);
        begun.checked_sub(1).filter(|_| hour < self.until)
    }
}

impl Bound {
    fn begin(self, zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Day(day) => begin(day, zone),
            Self::Hour(instant) => instant,
        }
    }

    /// Both ends are part of a range.
    fn end(self, zone: Tz) -> DateTime<Utc> {
        match self {
            Self::Day(day) => begin(day + Days::new(1), zone) - TimeDelta::microseconds(1),
            Self::Hour(instant) => instant,
        }
    }
}

fn days(first: NaiveDate, last: NaiveDate, zone: Tz, blamed: &str) -> Result<UsageRange> {
    let points = checked((last - first).num_days(), blamed)?;
    let days: Vec<_> = first.iter_days().take(points).collect();
    Ok(UsageRange {
        starts: days.iter().map(|day| begin(*day, zone)).collect(),
        labels: days.iter().map(NaiveDate::to_string).collect(),
        until: begin(last + Days::new(1), zone),
        hourly: false,
    })
}

fn hours(first: DateTime<Utc>, last: DateTime<Utc>, zone: Tz, blamed: &str) -> Result<UsageRange> {
    let (first, last) = (hour(first), hour(last));
    let points = checked((last - first).num_hours(), blamed)?;
    let starts = (0..points).map(|n| first + TimeDelta::hours(i64::try_from(n).unwrap_or(0)));
    let starts: Vec<_> = starts.collect();
    let label = |start: &DateTime<Utc>| {
        start.with_timezone(&zone).to_rfc3339_opts(SecondsFormat::Secs, true)
    };
    let labels = starts.iter().map(label).collect();
    Ok(UsageRange { starts, labels, until: last + TimeDelta::hours(1), hourly: true })
}

/// The number of points, from how many steps lie between the first and the last.
fn checked(steps: i64, blamed: &str) -> Result<usize> {
    let refuse = |detail: String| Err(Error::field(blamed, "invalid_input", detail));
    match usize::try_from(steps) {
        Err(_) => refuse("`date_from` must not be later than `date_to`.".into()),
        Ok(steps) if steps >= MOST_POINTS => {
            refuse(format!("A range has at most {MOST_POINTS} points: days, or hours."))
        }
        Ok(steps) => Ok(steps + 1),
    }
}

fn no_date(attr: &str, text: &str) -> Error {
    let shown: String = text.chars().take(40).collect();
    let detail = format!(
        "`{shown}` is not a date. Use YYYY-MM-DD, YYYY-MM-DDThh:mm, or a relative date such as \
         -30d, -24h, -2w, -3m, -1y, dStart or -1mEnd."
    );
    Error::field(attr, "invalid_input", detail)
}

fn bound(text: &str, zone: Tz, now: DateTime<Utc>) -> Option<Bound> {
    absolute(text, zone).or_else(|| relative(text, zone, now)).filter(|bound| is_near(*bound))
}

/// Years of four digits: beyond them dates neither compare as text nor add up.
fn is_near(bound: Bound) -> bool {
    let year = match bound {
        Bound::Day(day) => day.year(),
        Bound::Hour(instant) => instant.year(),
    };
    (1970..=9998).contains(&year)
}

fn absolute(text: &str, zone: Tz) -> Option<Bound> {
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Some(Bound::Day(day));
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(Bound::Hour(instant.to_utc()));
    }
    let forms = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S"];
    let local = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())?;
    Some(Bound::Hour(earliest(local, zone)))
}

/// `-30d`, `-24h`, `-2w`, `-3m`, `-1y`; days, months and years may end in `Start` or `End`, and
/// then need no number.
fn relative(text: &str, zone: Tz, now: DateTime<Utc>) -> Option<Bound> {
    let (text, edge) = match (text.strip_suffix("Start"), text.strip_suffix("End")) {
        (Some(text), _) => (text, Some(Edge::Start)),
        (_, Some(text)) => (text, Some(Edge::End)),
        _ => (text, None),
    };
    let unit = text.chars().last()?;
    let number = text.strip_suffix(unit)?;
    let number = match number.strip_prefix('-') {
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => digits.parse().ok()?,
        None if number.is_empty() && edge.is_some() => 0_u32,
        _ => return None,
    };
    let day = today(zone, now);
    let day = match unit {
        'h' if edge.is_none() => {
            return now.checked_sub_signed(TimeDelta::hours(number.into())).map(Bound::Hour);
        }
        'd' => day.checked_sub_days(Days::new(number.into()))?,
        'w' if edge.is_none() => day.checked_sub_days(Days::new(u64::from(number) * 7))?,
        'm' => day.checked_sub_months(Months::new(number))?,
        'y' => day.checked_sub_months(Months::new(number.checked_mul(12)?))?,
        _ => return None,
    };
    Some(Bound::Day(edge.map_or(Some(day), |edge| edge.of(unit, day))?))
}

#[derive(Clone, Copy)]
enum Edge {
    Start,
    End,
}

impl Edge {
    /// The first or the last day of the month or year around a day.
    fn of(self, unit: char, day: NaiveDate) -> Option<NaiveDate> {
        let (first, months) = match unit {
            'm' => (day.with_day(1)?, 1),
            'y' => (day.with_ordinal(1)?, 12),
            _ => return Some(day),
        };
        match self {
            Self::Start => Some(first),
            Self::End => first.checked_add_months(Months::new(months))?.pred_opt(),
        }
    }
}

fn today(zone: Tz, now: DateTime<Utc>) -> NaiveDate {
    now.with_timezone(&zone).date_naive()
}

fn hour(instant: DateTime<Utc>) -> DateTime<Utc> {
    instant.duration_trunc(TimeDelta::hours(1)).unwrap_or(instant)
}

/// The first instant of a day.
fn begin(day: NaiveDate, zone: Tz) -> DateTime<Utc> {
    earliest(day.and_time(chrono::NaiveTime::MIN), zone)
}

/// The first instant that a clock on the wall shows as this, or the next that it shows at all:
/// clocks skip an hour, and once a zone skipped a day.
fn earliest(local: NaiveDateTime, zone: Tz) -> DateTime<Utc> {
    let quarters = (0..=100).map(|quarter| local + TimeDelta::minutes(15 * quarter));
    let shown = quarters.into_iter().find_map(|local| zone.from_local_datetime(&local).earliest());
    shown.map_or_else(|| local.and_utc(), |instant| instant.to_utc())
}

#[cfg(test)]
mod tests;
