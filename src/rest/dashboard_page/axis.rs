//! What stands along the sides of a chart: round numbers, and dates or hours
//! as people say them.

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, Timelike};

/// How many ticks fit below a chart.
const MOST_TICKS: usize = 9;

/// When a point is, read from its label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stamp {
    Day(NaiveDate),
    Hour(DateTime<FixedOffset>),
}

impl Stamp {
    /// `None` for text that is no label of ours.
    pub(super) fn read(label: &str) -> Option<Self> {
        let day = || NaiveDate::parse_from_str(label, "%Y-%m-%d").ok().map(Self::Day);
        day().or_else(|| DateTime::parse_from_rfc3339(label).ok().map(Self::Hour))
    }

    fn local(self) -> NaiveDateTime {
        match self {
            Self::Day(day) => day.into(),
            Self::Hour(instant) => instant.naive_local(),
        }
    }

    /// For a sentence: `Mon 23 Nov 2026`, `Mon 23 Nov 2026, 14:00`.
    pub(super) fn in_full(self) -> String {
        let form = match self {
            Self::Day(_) => "%a %-d %b %Y",
            Self::Hour(_) => "%a %-d %b %Y, %H:%M",
        };
        self.local().format(form).to_string()
    }

    /// For a tick: `23 Nov`, `14:00`; midnight is told by its date.
    fn in_short(self) -> String {
        let form = match self {
            Self::Hour(instant) if instant.hour() != 0 => "%H:%M",
            _ => "%-d %b",
        };
        self.local().format(form).to_string()
    }
}

/// The points that have a tick below them, and what it says.
///
/// Days are counted back from the last, which is the one that matters; hours stand at even parts
/// of the day.
pub(super) fn ticks(stamps: &[Stamp]) -> Vec<(usize, String)> {
    let steps = match stamps.first() {
        Some(Stamp::Hour(_)) => [1, 2, 3, 6, 12, 24, 48, 96],
        _ => [1, 2, 3, 7, 14, 28, 56, 112],
    };
    let fits = |step: &usize| stamps.len().div_ceil(*step) <= MOST_TICKS;
    let step = steps.into_iter().find(fits).unwrap_or(112);
    let is_ticked = |(index, stamp): &(usize, &Stamp)| match stamp {
        Stamp::Day(_) => (stamps.len() - 1 - index).is_multiple_of(step),
        Stamp::Hour(instant) => {
            let hours = instant.naive_local().and_utc().timestamp().div_euclid(3600);
            usize::try_from(hours).is_ok_and(|hours| hours.is_multiple_of(step))
        }
    };
    let ticked = stamps.iter().enumerate().filter(is_ticked);
    ticked.map(|(index, stamp)| (index, stamp.in_short())).collect()
}

/// Round numbers from 0 to `most` or a little beyond.
pub(super) fn scale(most: u64) -> Vec<u64> {
    let wanted = most.max(5).div_ceil(5);
    let magnitude = 10_u64.pow(wanted.ilog10());
    let step = [1, 2, 5, 10].map(|part| magnitude.saturating_mul(part));
    let step = step.into_iter().find(|step| *step >= wanted).unwrap_or(wanted);
    (0..=most.max(1).div_ceil(step)).map(|tick| tick.saturating_mul(step)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_round_reach_the_top_and_have_few_ticks() {
        let cases: [(u64, &[u64]); 7] = [
            (0, &[0, 1]),
            (1, &[0, 1]),
            (4, &[0, 1, 2, 3, 4]),
            (6, &[0, 2, 4, 6]),
            (97, &[0, 20, 40, 60, 80, 100]),
            (110, &[0, 50, 100, 150]),
            (1_234_567, &[0, 500_000, 1_000_000, 1_500_000]),
        ];
        for (most, expected) in cases {
            assert_eq!(scale(most), expected, "{most}");
        }
        for most in [7, 11, 39, 41, 999, 1_001, u64::MAX] {
            let ticks = scale(most);
            assert!((3..=6).contains(&ticks.len()), "{most}: {ticks:?}");
            assert!(ticks.last() >= Some(&most), "{most}: {ticks:?}");
        }
    }

    #[test]
    fn days_are_ticked_back_from_the_last() {
        let first: NaiveDate = "2026-10-24".parse().unwrap();
        let days: Vec<_> = first.iter_days().take(31).map(Stamp::Day).collect();
        let said: Vec<_> = ticks(&days).into_iter().map(|(_, text)| text).collect();
        assert_eq!(said, ["26 Oct", "2 Nov", "9 Nov", "16 Nov", "23 Nov"]);
        assert_eq!(ticks(&days[30..]), [(0, "23 Nov".to_owned())]);
        assert_eq!(ticks(&[]), []);
        let days: Vec<_> = first.iter_days().take(400).map(Stamp::Day).collect();
        assert!((2..=MOST_TICKS).contains(&ticks(&days).len()));
    }

    #[test]
    fn hours_are_ticked_at_even_parts_of_the_day_and_midnight_says_the_date() {
        let labels = (0..25).map(|hour| {
            let (day, hour) = (22 + (hour + 14) / 24, (hour + 14) % 24);
            format!("2026-11-{day}T{hour:02}:00:00+05:30")
        });
        let hours: Vec<_> = labels.map(|label| Stamp::read(&label).unwrap()).collect();
        let expected = ["15:00", "18:00", "21:00", "23 Nov", "03:00", "06:00", "09:00", "12:00"];
        let said: Vec<_> = ticks(&hours).into_iter().map(|(_, text)| text).collect();
        assert_eq!(said, expected);
        assert_eq!(hours[0].in_full(), "Sun 22 Nov 2026, 14:00");
    }

    #[test]
    fn what_is_no_label_is_no_stamp() {
        assert_eq!(Stamp::read("yesterday"), None);
        assert_eq!(Stamp::read("2026-11-23"), Some(Stamp::Day("2026-11-23".parse().unwrap())));
    }
}
