use serde_json::json;

use super::*;
use crate::engine::fixtures::{at, now};

fn utc() -> Terms {
    Terms {
        now: DateTime::UNIX_EPOCH,
        zone: Tz::UTC,
        matching: Matching::Classic,
        work: Work::default(),
    }
}

fn passes(operator: &str, filter: &Value, property: Option<&Value>, terms: &Terms) -> bool {
    PropertyTest::compile(operator, Some(filter)).expect("a known operator").passes(property, terms)
}

/// Checks rows of operator, filter, property and whether it passes.
fn check(rows: &[(&str, Value, Value, bool)], terms: &Terms) {
    for (operator, filter, property, expected) in rows {
        let got = passes(operator, filter, Some(property), terms);
        assert_eq!(got, *expected, "{operator} {filter} of {property}");
    }
}

#[test]
fn a_missing_property_satisfies_only_negative_operators() {
    let positive = [
        "exact",
        "icontains",
        "starts_with",
        "ends_with",
        "icontains_multi",
        "regex",
        "gt",
        "gte",
        "lt",
        "lte",
        "between",
        "semver_eq",
        "semver_neq",
        "semver_gt",
        "semver_gte",
        "semver_lt",
        "semver_lte",
        "semver_tilde",
        "semver_caret",
        "semver_wildcard",
        "is_date_exact",
        "is_date_before",
        "is_date_after",
        "is_set",
        "in",
        "not_in",
        "flag_evaluates_to",
    ];
    let negative = [
        "is_not",
        "not_icontains",
        "not_starts_with",
        "not_ends_with",
        "not_icontains_multi",
        "not_regex",
        "not_between",
        "is_not_set",
    ];
    for operator in positive {
        assert!(!passes(operator, &json!("1"), None, &utc()), "{operator}");
    }
    for operator in negative {
        assert!(passes(operator, &json!("1"), None, &utc()), "{operator}");
        let expected = operator == "is_not_set";
        assert_eq!(
            passes(operator, &Value::Null, None, &utc()),
            expected,
            "{operator} without a value"
        );
    }
}

#[test]
fn without_a_filter_value_only_presence_is_tested() {
    check(
        &[
            ("is_set", json!(null), json!("x"), true),
            ("is_set", json!("anything"), json!(null), true),
            ("is_not_set", json!(null), json!(null), false),
            ("exact", json!(null), json!(null), false),
            ("is_not", json!(null), json!("x"), false),
            ("not_icontains", json!(null), json!("x"), false),
        ],
        &utc(),
    );
}

#[test]
fn an_operator_nobody_knows_is_not_compiled() {
    for operator in ["min", "Exact", "", "not_is_set"] {
        assert_eq!(
            PropertyTest::compile(operator, Some(&json!(1))).err(),
            Some(UnknownOperator),
            "{operator}"
        );
        assert_eq!(
            PropertyTest::compile(operator, None).err(),
            Some(UnknownOperator),
            "{operator} without a value"
        );
    }
}

#[test]
fn exact_compares_lower_cased_string_forms() {
    check(
        &[
            ("exact", json!("Pro"), json!("pRO"), true),
            ("exact", json!("ÉCOLE"), json!("école"), true),
            ("exact", json!(["free", "pro"]), json!("PRO"), true),
            ("exact", json!(["free", "pro"]), json!("team"), false),
            ("is_not", json!(["free", "pro"]), json!("team"), true),
            ("exact", json!("42"), json!(42), true),
            ("exact", json!(1), json!(1.0), false),
            ("exact", json!("1.0"), json!(1.0), true),
            ("exact", json!("null"), json!(null), true),
            ("exact", json!("[\"a\",\"b\"]"), json!(["a", "b"]), true),
            ("exact", json!(["a"]), json!(["a", "b"]), false),
            ("exact", json!("{\"a\":1,\"b\":2}"), json!({"b": 2, "a": 1}), true),
        ],
        &utc(),
    );
}

#[test]
fn classic_matching_compares_truth_where_the_filter_is_boolean_like() {
    check(
        &[
            ("exact", json!(false), json!("banana"), true),
            ("exact", json!(false), json!(0), true),
            ("exact", json!(false), json!(null), true),
            ("exact", json!("False"), json!(true), false),
            ("exact", json!(["true", "false"]), json!("true"), false),
            ("exact", json!(["true", "false"]), json!("pro"), true),
            ("exact", json!([]), json!(true), true),
            ("exact", json!([]), json!("yes"), false),
            ("exact", json!(["true"]), json!(true), true),
            ("exact", json!(["true"]), json!("TRUE"), true),
            ("exact", json!([[true], "TRUE"]), json!([]), true),
            ("is_not", json!(false), json!("banana"), false),
            ("exact", json!(["true", "x"]), json!("X"), true),
        ],
        &utc(),
    );
}

#[test]
fn explicit_matching_takes_booleans_as_values() {
    let terms = Terms { matching: Matching::from_version(2), ..utc() };
    check(
        &[
            ("exact", json!(false), json!("banana"), false),
            ("exact", json!(false), json!("False"), true),
            ("exact", json!(["true", "false"]), json!("true"), true),
            ("exact", json!([]), json!("True"), true),
            ("exact", json!([]), json!("x"), false),
            ("is_not", json!([]), json!("x"), true),
        ],
        &terms,
    );
}

#[test]
fn the_contains_family_folds_ascii_case_only() {
    check(
        &[
            ("icontains", json!("@EXAMPLE"), json!("ann@example.com"), true),
            ("icontains", json!("É"), json!("école"), false),
            ("icontains", json!("ul"), json!(null), true),
            ("icontains", json!(["a", "b"]), json!("a"), false),
            ("not_icontains", json!("x"), json!("axe"), false),
            ("starts_with", json!("AN"), json!("ann"), true),
            ("starts_with", json!("nn"), json!("ann"), false),
            ("not_starts_with", json!("nn"), json!("ann"), true),
            ("ends_with", json!("NN"), json!("ann"), true),
            ("not_ends_with", json!("nn"), json!("ann"), false),
            ("icontains_multi", json!(["x", "NN"]), json!("ann"), true),
            ("icontains_multi", json!("nn"), json!("ann"), true),
            ("icontains_multi", json!([]), json!("ann"), false),
            ("not_icontains_multi", json!([]), json!("ann"), true),
            ("not_icontains_multi", json!(["x", "nn"]), json!("ann"), false),
        ],
        &utc(),
    );
}

#[test]
fn patterns_search_and_refuse_to_run_away() {
    let endless = format!("{}!", "a".repeat(60));
    check(
        &[
            ("regex", json!("a.c"), json!("xabcx"), true),
            ("regex", json!("^ABC$"), json!("abc"), false),
            ("regex", json!("4.$"), json!(42), true),
            ("regex", json!(r"^(?!.*@spam\.).*$"), json!("ann@example.com"), true),
            ("regex", json!(r"(\w)\1"), json!("hello"), true),
            ("not_regex", json!("z"), json!("abc"), true),
            ("regex", json!("("), json!("("), false),
            ("not_regex", json!("("), json!("abc"), false),
            ("regex", json!("(?:(?:(?:a{1000}){1000}){1000})"), json!("a"), false),
            ("regex", json!(r"^(a|a)*\1$(?=x)"), json!(endless), false),
            ("not_regex", json!(r"^(a|a|b\1)+$(?<=x)"), json!(endless), false),
        ],
        &utc(),
    );
}

#[test]
fn numbers_compare_as_numbers() {
    check(
        &[
            ("gt", json!("9"), json!("10"), true),
            ("gt", json!(9), json!(9), false),
            ("gte", json!(9), json!("9.0"), true),
            ("lt", json!("1e3"), json!(999), true),
            ("lte", json!("+5"), json!(5), true),
            ("lt", json!("inf"), json!(1), true),
            ("gt", json!(1), json!(true), false),
            ("gt", json!(1), json!(" 5"), false),
            ("gt", json!(""), json!(5), false),
            ("gt", json!("NaN"), json!(5), false),
            ("lte", json!(5), json!("NaN"), false),
        ],
        &utc(),
    );
}

#[test]
fn between_includes_both_ends_and_refuses_a_filter_that_is_no_range() {
    check(
        &[
            ("between", json!([1, "5"]), json!(5), true),
            ("between", json!([1, 5]), json!("1"), true),
            ("between", json!([1, 5]), json!(5.1), false),
            ("not_between", json!([1, 5]), json!(5.1), true),
            ("between", json!([1, 5]), json!("x"), false),
            ("not_between", json!([1, 5]), json!("x"), true),
            ("not_between", json!([1, 5]), json!(null), true),
            ("between", json!([1, 5]), json!("NaN"), false),
            ("not_between", json!([1, 5]), json!("NaN"), false),
            ("between", json!([5, 1]), json!(3), false),
            ("not_between", json!([5, 1]), json!(3), false),
            ("not_between", json!([1]), json!(3), false),
            ("not_between", json!(1), json!(3), false),
        ],
        &utc(),
    );
}

#[test]
fn versions_compare_as_semver_however_they_are_written() {
    check(
        &[
            ("semver_eq", json!("3.8.0"), json!("v3.08"), true),
            ("semver_eq", json!("1"), json!(1), true),
            ("semver_gt", json!("1.9"), json!("1.10.0"), true),
            ("semver_gte", json!("2"), json!("2.0.0"), true),
            ("semver_lt", json!("2.0.0"), json!("2.0.0-rc.1"), true),
            ("semver_lte", json!("2.0"), json!("2.0.1"), false),
            ("semver_neq", json!("1.0.0"), json!("1.0.0+build"), true),
            ("semver_neq", json!("1.0.0"), json!("one"), false),
            ("semver_eq", json!("1.2.3.4"), json!("1.2.3.4"), false),
            ("semver_neq", json!("one"), json!("1.0.0"), false),
            ("semver_eq", json!("v 1.0 "), json!("1.0.0"), true),
        ],
        &utc(),
    );
}

#[test]
fn version_ranges_follow_cargo() {
    check(
        &[
            ("semver_tilde", json!("1.2.3"), json!("1.2.9"), true),
            ("semver_tilde", json!("1.2"), json!("1.3.0"), false),
            ("semver_tilde", json!("1.2"), json!("1.3.0-beta"), false),
            ("semver_caret", json!("1.2.3"), json!("1.9.0"), true),
            ("semver_caret", json!("0.2.3"), json!("0.3.0"), false),
            ("semver_caret", json!("0.0.3"), json!("0.0.4"), false),
            ("semver_caret", json!("1.2.3-rc.1"), json!("1.2.3-rc.2"), true),
            ("semver_wildcard", json!("1.*"), json!("1.7"), true),
            ("semver_wildcard", json!("1.02.*"), json!("1.2.9"), true),
            ("semver_wildcard", json!("1.*.*"), json!("2.0.0"), false),
            ("semver_wildcard", json!("*"), json!("9.9.9"), true),
            ("semver_wildcard", json!("1.*"), json!("1.3.0-beta"), false),
            ("semver_wildcard", json!("1.*.3"), json!("1.2.3"), false),
            ("semver_wildcard", json!("1.2"), json!("1.2.0"), false),
        ],
        &utc(),
    );
}

#[test]
fn dates_compare_as_instants_however_they_are_written() {
    check(
        &[
            ("is_date_before", json!("2024-01-02"), json!("2024-01-01"), true),
            ("is_date_before", json!("2024-01-02"), json!("2024-01-02T00:00:00Z"), false),
            ("is_date_exact", json!("2024-01-02"), json!("2024-01-02T01:00:00+01:00"), true),
            ("is_date_after", json!("2024-01-02 10:30"), json!("2024-01-02T10:30:00.001"), true),
            ("is_date_exact", json!("2024-01-02 10:30:00"), json!(1704191400), true),
            ("is_date_exact", json!("2024-01-02T10:30:00.5Z"), json!("1704191400.5"), true),
            ("is_date_exact", json!("1969-12-31T23:59:59.75Z"), json!(-0.25), true),
            ("is_date_exact", json!("May 25, 2021"), json!("2021-05-25"), true),
            ("is_date_exact", json!("25 May 2021, 10:09 PM"), json!("2021-05-25T22:09:00Z"), true),
            ("is_date_exact", json!("3/31/2014"), json!("2014-03-31"), true),
            ("is_date_exact", json!("2021/05/25 14:00 UTC"), json!("2021-05-25T14:00:00Z"), true),
            (
                "is_date_exact",
                json!("Tue, 25 May 2021 14:00:00 GMT"),
                json!("2021-05-25T14:00:00Z"),
                true,
            ),
            ("is_date_exact", json!("2019-11-29 08:08:05-08"), json!("2019-11-29T16:08:05Z"), true),
            ("is_date_before", json!(2024), json!("2020-01-01"), false),
            ("is_date_before", json!("soon"), json!("2020-01-01"), false),
            ("is_date_before", json!("2024-01-01"), json!("soon"), false),
            ("is_date_before", json!("2024-01-01"), json!(true), false),
            ("is_date_before", json!("2024-01-01"), json!(1e300), false),
            ("is_date_before", json!("2024-01-01"), json!("-inf"), false),
            ("is_date_before", json!("2024-01-01"), json!("NaN"), false),
        ],
        &utc(),
    );
}

#[test]
fn relative_dates_go_back_on_the_projects_wall_clock() {
    let at_noon = Terms { now: now(), ..utc() };
    let new_york = Terms { now: now(), zone: Tz::America__New_York, ..utc() };
    let leap = Terms { now: at("2024-02-29T12:00:00Z"), ..utc() };
    let cases = [
        ("hours", "2h", &at_noon, "2024-03-31T10:00:00Z", true),
        ("a sign changes nothing", "-2h", &at_noon, "2024-03-31T10:00:00Z", true),
        ("days", "7d", &at_noon, "2024-03-24T12:00:00Z", true),
        ("weeks", "1w", &at_noon, "2024-03-24T12:00:00Z", true),
        ("months clamp at every step", "2m", &at_noon, "2024-01-29T12:00:00Z", true),
        ("so do years", "4y", &leap, "2020-02-28T12:00:00Z", true),
        (
            "days across a clock change keep the time of day",
            "30d",
            &new_york,
            "2024-03-01T13:00:00Z",
            true,
        ),
        ("five digits are too many", "10000d", &at_noon, "1996-11-13T12:00:00Z", false),
        ("there are no minutes or seconds", "5s", &at_noon, "2024-03-31T11:59:55Z", false),
    ];
    for (name, filter, terms, expected, holds) in cases {
        let got = passes("is_date_exact", &json!(filter), Some(&json!(expected)), terms);
        assert_eq!(got, holds, "{name}");
    }
    assert!(
        passes("is_date_before", &json!("1d"), Some(&json!("3d")), &at_noon),
        "properties may be relative too"
    );
}

#[test]
fn naive_times_are_read_in_the_projects_zone() {
    let terms = Terms { zone: Tz::America__New_York, ..utc() };
    let cases = [
        ("a date is a local midnight", "2024-07-01", "2024-07-01T04:00:00Z", true),
        ("an offset is honoured", "2024-07-01T00:00:00Z", "2024-07-01T00:00:00Z", true),
        (
            "in an overlap the first instant counts",
            "2024-11-03 01:30",
            "2024-11-03T05:30:00Z",
            true,
        ),
        ("in a gap there is none", "2024-03-10 02:30", "2024-03-10T07:30:00Z", false),
    ];
    for (name, filter, expected, holds) in cases {
        let got = passes("is_date_exact", &json!(filter), Some(&json!(expected)), &terms);
        assert_eq!(got, holds, "{name}");
    }
}

#[test]
fn a_number_reads_the_same_however_it_was_spelled() {
    let cases = [
        ("1", "1"),
        ("1.0", "1.0"),
        ("1e2", "100.0"),
        ("-0", "-0.0"),
        ("18446744073709551615", "18446744073709551615"),
        ("18446744073709551616", "1.8446744073709552e+19"),
        ("[1e2,{\"b\":1.50,\"a\":\"x\"}]", "[100.0,{\"a\":\"x\",\"b\":1.5}]"),
    ];
    for (json, expected) in cases {
        let value: Value = serde_json::from_str(json).expect("JSON");
        assert_eq!(form(&value), expected, "{json}");
    }
}

#[test]
fn patterns_nested_too_deep_are_refused() {
    let deep = format!("{}a{}", "(".repeat(100_000), ")".repeat(100_000));
    let backreferences = r"(?:(a)\1){1000}{1000}{1000}";
    check(
        &[
            ("regex", json!(deep), json!("a"), false),
            ("regex", json!(backreferences), json!("aa"), false),
        ],
        &utc(),
    );
}
