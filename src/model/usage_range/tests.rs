use super::*;

const NOW: &str = "2026-11-23T14:35:10Z";

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn read(from: &str, to: &str, zone: &str, now: &str) -> Result<UsageRange> {
    let dates = Dates { from: Some(from.into()), to: Some(to.into()) };
    UsageRange::parse(&dates, "-30d", zone.parse().unwrap(), at(now))
}

/// First and last label, and how many there are.
fn ends(range: &UsageRange) -> (&str, &str, usize) {
    (&range.labels[0], &range.labels[range.labels.len() - 1], range.labels.len())
}

#[test]
fn relative_and_plain_dates_name_whole_days_both_included() {
    let cases = [
        ("", "", ("2026-10-24", "2026-11-23", 31)),
        ("-7d", "", ("2026-11-16", "2026-11-23", 8)),
        ("-7d", "-1d", ("2026-11-16", "2026-11-22", 7)),
        ("-2w", "", ("2026-11-09", "2026-11-23", 15)),
        ("-1m", "", ("2026-10-23", "2026-11-23", 32)),
        ("-1y", "", ("2025-11-23", "2026-11-23", 366)),
        ("dStart", "", ("2026-11-23", "2026-11-23", 1)),
        ("-0d", "-0d", ("2026-11-23", "2026-11-23", 1)),
        ("mStart", "mEnd", ("2026-11-01", "2026-11-30", 30)),
        ("-1mStart", "-1mEnd", ("2026-10-01", "2026-10-31", 31)),
        ("yStart", "", ("2026-01-01", "2026-11-23", 327)),
        ("2026-02-27", " 2026-03-01 ", ("2026-02-27", "2026-03-01", 3)),
        ("2025-10-20", "2026-11-23", ("2025-10-20", "2026-11-23", 400)),
    ];
    for (from, to, expected) in cases {
        let range = read(from, to, "UTC", NOW).unwrap_or_else(|why| panic!("{from} {to}: {why}"));
        assert_eq!((ends(&range), range.hourly), (expected, false), "{from} {to}");
    }
}

#[test]
fn bounds_that_name_an_hour_make_the_points_hours() {
    let cases = [
        ("-24h", "", ("2026-11-22T14:00:00Z", "2026-11-23T14:00:00Z", 25)),
        ("-1h", "", ("2026-11-23T13:00:00Z", "2026-11-23T14:00:00Z", 2)),
        (
            "2026-11-20T22:15",
            "2026-11-20T23:59:59",
            ("2026-11-20T22:00:00Z", "2026-11-20T23:00:00Z", 2),
        ),
        ("2026-11-20T22:15:00+02:00", "-60h", ("2026-11-20T20:00:00Z", "2026-11-21T02:00:00Z", 7)),
        ("-1d", "-1h", ("2026-11-22T00:00:00Z", "2026-11-23T13:00:00Z", 38)),
        ("-24h", "dStart", ("2026-11-22T14:00:00Z", "2026-11-23T23:00:00Z", 34)),
    ];
    for (from, to, expected) in cases {
        let range = read(from, to, "UTC", NOW).unwrap_or_else(|why| panic!("{from} {to}: {why}"));
        assert_eq!((ends(&range), range.hourly), (expected, true), "{from} {to}");
    }
}

#[test]
fn what_is_no_range_is_refused_on_its_parameter() {
    let cases = [
        ("yesterday", "", "date_from", "is not a date"),
        ("-30", "", "date_from", "is not a date"),
        ("30d", "", "date_from", "is not a date"),
        ("-d", "", "date_from", "is not a date"),
        ("--1d", "", "date_from", "is not a date"),
        ("-9999999999d", "", "date_from", "is not a date"),
        ("-99999y", "", "date_from", "is not a date"),
        ("-4000000000h", "", "date_from", "is not a date"),
        ("hStart", "", "date_from", "is not a date"),
        ("Start", "", "date_from", "is not a date"),
        ("-1🚀", "", "date_from", "is not a date"),
        ("2026-02-30", "", "date_from", "is not a date"),
        ("1969-12-31", "", "date_from", "is not a date"),
        ("99999-01-01", "", "date_from", "is not a date"),
        ("-7d", "soon", "date_to", "is not a date"),
        ("-7d", "-8d", "date_from", "later than"),
        ("", "2026-01-01", "date_to", "later than"),
        ("2026-11-24", "", "date_from", "later than"),
        ("2025-10-19", "", "date_from", "at most 400 points"),
        ("-400h", "", "date_from", "at most 400 points"),
        ("-100y", "", "date_from", "is not a date"),
        ("-50y", "", "date_from", "at most 400 points"),
    ];
    for (from, to, attr, detail) in cases {
        let error = read(from, to, "UTC", NOW).unwrap_err();
        assert_eq!(error.attr.as_deref(), Some(attr), "{from} {to}");
        assert_eq!(error.reason, "invalid_input");
        assert!(error.detail.contains(detail), "{from} {to}: {}", error.detail);
    }
    assert!(read("-399h", "", "UTC", NOW).is_ok());
}

#[test]
fn days_begin_at_the_projects_midnight() {
    let range = read("-1d", "", "America/New_York", "2026-11-23T03:00:00Z").unwrap();
    assert_eq!(ends(&range), ("2026-11-21", "2026-11-22", 2), "there it still is the 22nd");
    assert_eq!(
        (range.from(), range.until),
        (at("2026-11-21T05:00:00Z"), at("2026-11-23T05:00:00Z"))
    );
    let cases = [
        ("2026-11-21T04:00:00Z", None),
        ("2026-11-21T05:00:00Z", Some(0)),
        ("2026-11-22T04:00:00Z", Some(0)),
        ("2026-11-22T05:00:00Z", Some(1)),
        ("2026-11-23T04:00:00Z", Some(1)),
        ("2026-11-23T05:00:00Z", None),
    ];
    for (hour, point) in cases {
        assert_eq!(range.point(at(hour)), point, "{hour}");
    }
}

#[test]
fn an_hour_across_midnight_counts_for_the_day_it_begins_in() {
    let range = read("2026-11-22", "2026-11-23", "Asia/Kolkata", NOW).unwrap();
    assert_eq!(range.from(), at("2026-11-21T18:30:00Z"));
    assert_eq!(range.point(at("2026-11-21T18:00:00Z")), None);
    assert_eq!(range.point(at("2026-11-22T18:00:00Z")), Some(0));
    assert_eq!(range.point(at("2026-11-22T19:00:00Z")), Some(1));
}

#[test]
fn clocks_that_jump_make_days_longer_or_shorter_and_lose_no_hour() {
    let hours = |from: &str, zone: &str| {
        let range = read(from, from, zone, NOW).unwrap();
        (range.until - range.from()).num_hours()
    };
    assert_eq!(hours("2026-03-29", "Europe/Berlin"), 23);
    assert_eq!(hours("2026-10-25", "Europe/Berlin"), 25);
    assert_eq!(hours("2018-11-04", "America/Sao_Paulo"), 23, "midnight itself was skipped");
    assert_eq!(hours("2011-12-30", "Pacific/Apia"), 0, "a day that never was");
    let twice = read("2026-10-25T01:00", "2026-10-25T03:00", "Europe/Berlin", NOW).unwrap();
    let labels = [
        "2026-10-25T01:00:00+02:00",
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-10-25T03:00:00+01:00",
    ];
    assert_eq!(twice.labels, labels);
}
