use chrono::TimeDelta;

use super::*;

fn parse(body: Value) -> Result<WantedTest> {
    WantedTest::parse(body.as_object().unwrap())
}

#[test]
fn the_first_wrong_field_is_told_and_then_the_rules() {
    let stock = "Datetime has wrong format. Use one of these formats instead: \
                 YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].";
    let field = |attr, code, detail| (Some(attr), code, detail, BodyKind::Envelope);
    let rule = |detail, body| (None, "invalid_input", detail, body);
    let cases = [
        (
            json!({"distinct_id": " ", "person_id": ""}),
            field("distinct_id", "blank", "This field may not be blank."),
        ),
        (
            json!({"person_id": "", "timestamp": "x"}),
            field("person_id", "blank", "This field may not be blank."),
        ),
        (json!({"distinct_id": null}), field("distinct_id", "null", "This field may not be null.")),
        (json!({"timestamp": "x", "groups": []}), field("timestamp", "invalid_input", stock)),
        (
            json!({"groups": [1]}),
            field("groups", "not_a_dict", "Expected a dictionary of items but got type \"list\"."),
        ),
        (
            json!({"groups": {"company": "a\0"}}),
            field("groups", "null_characters_not_allowed", "Null characters are not allowed."),
        ),
        (json!({}), rule("Either distinct_id or person_id must be provided", BodyKind::Envelope)),
        (
            json!({"distinct_id": "a", "person_id": "b"}),
            rule("Cannot provide both distinct_id and person_id", BodyKind::Envelope),
        ),
        (json!({"person_id": "b"}), rule("Invalid parameters", BodyKind::Error)),
    ];
    for (body, expected) in cases {
        let error = parse(body.clone()).unwrap_err();
        let told =
            (error.attr.as_deref(), error.reason.as_ref(), error.detail.as_str(), error.body);
        assert_eq!(told, expected, "{body}");
        assert_eq!(error.code.http_status(), 400);
    }
}

#[test]
fn what_is_asked_is_kept_as_sent_and_naive_times_are_utc() {
    let wanted = parse(json!({"distinct_id": " ann ", "timestamp": "2026-01-02T03:04"})).unwrap();
    assert_eq!(wanted.who, Who::DistinctId(" ann ".into()));
    assert_eq!(wanted.at.map(fields::timestamp).as_deref(), Some("2026-01-02T03:04:00Z"));
    let wanted = parse(json!({"distinct_id": 7, "timestamp": null, "groups": {"a": 1}})).unwrap();
    assert_eq!((wanted.who, wanted.at), (Who::DistinctId("7".into()), None));
    assert_eq!(wanted.groups["a"], 1);
}

fn flag(version: Option<i64>, updated: Option<i64>) -> FeatureFlag {
    FeatureFlag {
        key: "beta".into(),
        created_at: DateTime::UNIX_EPOCH,
        updated_at: updated.map(at),
        version,
        ..FeatureFlag::example()
    }
}

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

#[test]
fn the_version_in_force_is_told_by_the_newest_row_up_to_then() {
    let standing = |version| Standing { version, is_deleted: false };
    let gone = Standing { version: Some(2), is_deleted: true };
    let changed = || flag(Some(4), Some(40));
    let absent = "Feature flag 'beta' did not exist at the specified timestamp.";
    let gap = "Could not reconstruct flag at timestamp due to incomplete history.";
    let cases = [
        ("before it was made", changed(), -1, standing(None), Err(absent)),
        ("at the moment it was made", changed(), 0, standing(None), Ok(Target::Past(1))),
        ("while it was deleted", changed(), 30, gone, Err(absent)),
        ("after an edit", changed(), 30, standing(Some(3)), Ok(Target::Past(3))),
        ("after the last edit", changed(), 40, standing(Some(4)), Ok(Target::Current)),
        ("after it, with no row left", changed(), 40, standing(None), Ok(Target::Current)),
        ("before it, with no row left", changed(), 39, standing(None), Ok(Target::Past(1))),
        ("never edited", flag(Some(1), None), 5, standing(None), Ok(Target::Current)),
        ("a version yet to come", changed(), 50, standing(Some(9)), Err("Invalid timestamp.")),
        ("no version at all", flag(None, Some(9)), 5, standing(None), Err(gap)),
    ];
    for (name, flag, seconds, standing, expected) in cases {
        let got = in_force(&flag, at(seconds), standing);
        match (got, expected) {
            (Ok(got), Ok(expected)) => assert_eq!(got, expected, "{name}"),
            (Err(error), Err(expected)) => {
                let told = (error.detail.as_str(), error.code.http_status(), error.body);
                assert_eq!(told, (expected, 400, BodyKind::Error), "{name}");
            }
            (got, expected) => panic!("{name}: {got:?}, not {expected:?}"),
        }
    }
}

#[test]
fn failures_of_the_store_have_the_words_of_their_step() {
    let internal = || Error::internal("damaged");
    let away = lookup_failed(Error::unavailable("gone"));
    let cases = [
        (lookup_failed(internal()), 500, "Failed to resolve person", BodyKind::Error),
        (
            away,
            503,
            "Person lookup service temporarily unavailable. Please retry.",
            BodyKind::Error,
        ),
        (failed(internal(), "Failed."), 500, "Failed.", BodyKind::Error),
        (failed(Error::not_found(), "Failed."), 404, "Not found.", BodyKind::Envelope),
    ];
    for (error, status, detail, body) in cases {
        let told = (error.code.http_status(), error.detail.as_str(), error.body);
        assert_eq!(told, (status, detail, body));
    }
}
