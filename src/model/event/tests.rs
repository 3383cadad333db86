use chrono::TimeDelta;
use serde_json::json;

use super::*;

fn now() -> DateTime<Utc> {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn sent() -> Sent {
    Sent { at: None, arrived_at: now() }
}

fn read(raw: Value) -> Result<Event, String> {
    Event::parse(raw, &sent(), None)
}

fn named(name: &str, properties: Value) -> Result<Event, String> {
    read(json!({"event": name, "distinct_id": "u", "properties": properties}))
}

#[test]
fn what_cannot_be_used_is_said() {
    let cases = [
        (json!(5), "it is a int, not an object"),
        (json!({"distinct_id": "u"}), "`event` is missing"),
        (json!({"event": " ", "distinct_id": "u"}), "`event` is missing"),
        (json!({"event": 7, "distinct_id": "u"}), "`event` is a int, not text"),
        (json!({"event": "x"}), "`distinct_id` is missing"),
        (json!({"event": "x", "distinct_id": ""}), "`distinct_id` is missing"),
        (json!({"event": "x", "distinct_id": {}}), "`distinct_id` is a dict, not text"),
        (
            json!({"event": "x", "distinct_id": "u".repeat(401)}),
            "`distinct_id` is longer than 400 characters",
        ),
        (
            json!({"event": "x", "distinct_id": "u", "properties": []}),
            "`properties` is a list, not an object",
        ),
        (json!({"event": "x", "distinct_id": "u", "uuid": "seven"}), "`uuid` is not a UUID"),
        (json!({"event": "x", "distinct_id": "u", "$set": 1}), "`$set` is a int, not an object"),
        (
            json!({"event": "x", "distinct_id": "u", "$unset": "a"}),
            "`$unset` is not a list of names",
        ),
        (
            json!({"event": "x", "distinct_id": "u", "timestamp": "soon"}),
            "`timestamp` is not a date and time",
        ),
        (
            json!({"event": "x", "distinct_id": "u", "timestamp": "1969-12-31T23:59:59Z"}),
            "`timestamp` is before 1970",
        ),
        (json!({"event": "$create_alias", "distinct_id": "u"}), "`alias` is missing"),
        (json!({"event": "$groupidentify", "distinct_id": "u"}), "`$group_type` is missing"),
        (
            json!({"event": "$feature_flag_called", "distinct_id": "u"}),
            "`$feature_flag` is missing",
        ),
        (
            json!({"event": "$feature_view", "distinct_id": "u", "properties": {"feature_flag": "a b"}}),
            "`feature_flag` is not the key of a flag",
        ),
        (
            json!({"event": "$create_alias", "distinct_id": "u", "properties": {"alias": "Guest"}}),
            "`alias` is `Guest`, which is nobody in particular",
        ),
    ];
    for (raw, expected) in cases {
        assert_eq!(read(raw.clone()).unwrap_err(), expected, "{raw}");
    }
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    assert!(named("x", json!({"deep": deep})).unwrap_err().contains("nested deeper"));
    let large = json!({"$set": {"a": "x".repeat(MAX_STORED_BYTES)}});
    assert!(named("x", large).unwrap_err().contains("larger than"));
}

#[test]
fn an_event_gives_a_bounded_number_of_properties() {
    let values = |count: usize| -> Value { (0..count).map(|n| (n.to_string(), n)).collect() };
    let event = named("x", json!({"$set": values(2_500), "$set_once": values(2_500)})).unwrap();
    assert_eq!(event.property_count(), 5_000);
    assert!(event.bytes > 20_000);
    let more = named("x", json!({"$set": values(2_500), "$set_once": values(2_501)}));
    assert_eq!(more.unwrap_err(), "it has more than 5000 person properties");
    let group = json!({"$group_type": "company", "$group_key": "a", "$group_set": values(5_001)});
    let refused = named("$groupidentify", group).unwrap_err();
    assert_eq!(refused, "`$group_set` has more than 5000 properties");
}

#[test]
fn an_event_without_an_id_gets_one() {
    let uuid = Uuid::from_u128(7);
    let mut event = named("$set", json!({"$set": {"a": 1}})).unwrap();
    event.identify(|| uuid);
    assert_eq!((event.uuid, event.changes[0].event_uuid), (Some(uuid), Some(uuid)));
    event.identify(Uuid::nil);
    assert_eq!(event.uuid, Some(uuid), "its own is kept");
}

#[test]
fn person_properties_are_found_wherever_clients_put_them() {
    let raw = json!({"event": "x", "distinct_id": 7, "$set": {"a": 1, "b": 2},
        "$unset": ["y"], "properties": {"$set": {"a": 0, "c": 3}, "$set_once": {"d": 4}, "$unset": {"z": ""}}});
    let event = read(raw).unwrap();
    let said: Vec<_> =
        event.changes.iter().map(|c| (c.kind.as_str(), c.properties.clone())).collect();
    let expected = [
        ("set", json!({"a": 1, "c": 3, "b": 2})),
        ("set_once", json!({"d": 4})),
        ("unset", json!(["z", "y"])),
    ];
    assert_eq!(said, expected);
    assert_eq!((event.distinct_id.as_str(), event.kind), ("7", EventKind::Properties));
    let plain = named("$pageview", json!({"$set": {}, "$set_once": null})).unwrap();
    assert_eq!((plain.kind, plain.is_about_person()), (EventKind::Other, false));
}

#[test]
fn nobody_is_meant_where_a_client_says_so() {
    let personless = |mut properties: Value| {
        properties["$process_person_profile"] = json!(false);
        properties
    };
    let event = named("bought", personless(json!({"$set": {"a": 1}}))).unwrap();
    assert_eq!((event.changes.len(), event.kind), (0, EventKind::Other));
    assert!(named("$identify", personless(json!({}))).is_err());
    assert!(named("$create_alias", personless(json!({"alias": "v"}))).is_err());
    let option = json!({"event": "x", "distinct_id": "u", "$set": {"a": 1},
        "options": {"process_person_profile": false}});
    assert!(!read(option).unwrap().is_about_person());
    let called = personless(json!({"$feature_flag": "beta", "$feature_flag_response": true}));
    assert_eq!(named("$feature_flag_called", called).unwrap().kind, EventKind::Usage);
}

#[test]
fn the_use_of_a_flag_is_counted_by_its_answer() {
    let cases = [
        (json!({"$feature_flag_response": "blue"}), "blue"),
        (json!({"$feature_flag_response": true}), "true"),
        (json!({"$feature_flag_response": false}), "false"),
        (json!({"$feature_flag_response": 1.5}), "1.5"),
        (json!({}), "null"),
        (json!({"$feature_flag_response": null}), "null"),
    ];
    for (mut properties, variant) in cases {
        properties["$feature_flag"] = json!("beta");
        let usage = named("$feature_flag_called", properties).unwrap().usage.unwrap();
        assert_eq!((usage.flag_key.as_str(), usage.variant.as_str()), ("beta", variant));
        assert!(!usage.is_enriched());
    }
    let viewed = json!({"feature_flag": "beta", "feature_flag_variant": "b", "$set": {"$feature_view/beta": "b"}});
    let event = named("$feature_view", viewed).unwrap();
    assert!(event.usage.as_ref().unwrap().is_enriched() && event.is_about_person());
}

#[test]
fn nul_characters_are_removed() {
    let raw = json!({"event": "$set", "distinct_id": "u\0", "$set": {"a\0": ["b\0c"]}});
    let event = read(raw).unwrap();
    assert_eq!(event.distinct_id, "u");
    assert_eq!(event.changes[0].properties, json!({"a": ["bc"]}));
}

#[test]
fn an_event_happened_when_it_says_by_a_clock_that_is_right() {
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let late = Some(now() + TimeDelta::hours(1));
    let near = Some(now() - TimeDelta::seconds(3));
    let cases = [
        (
            "as stated",
            json!({"timestamp": "2026-11-23T10:00:00+01:00"}),
            None,
            "2026-11-23T09:00:00Z",
        ),
        (
            "without an offset it is UTC",
            json!({"timestamp": "2026-11-23 10:00:00"}),
            None,
            "2026-11-23T10:00:00Z",
        ),
        ("without any, on arrival", json!({}), None, "2026-11-23T12:00:00Z"),
        ("an offset counts back", json!({"offset": 1500}), None, "2026-11-23T11:59:58.5Z"),
        (
            "nothing is from the far future",
            json!({"timestamp": "2026-11-24T11:00:01Z"}),
            None,
            "2026-11-23T12:00:00Z",
        ),
        (
            "23 hours ahead may be a time zone",
            json!({"timestamp": "2026-11-24T11:00:00Z"}),
            None,
            "2026-11-24T11:00:00Z",
        ),
        (
            "a fast clock is corrected",
            json!({"timestamp": "2026-11-23T12:59:00Z"}),
            late,
            "2026-11-23T11:59:00Z",
        ),
        (
            "the journey is not",
            json!({"timestamp": "2026-11-23T11:00:00Z"}),
            near,
            "2026-11-23T11:00:00Z",
        ),
        (
            "unless asked not to",
            json!({"timestamp": "2026-11-23T11:59:00Z", "properties": {"$ignore_sent_at": true}}),
            late,
            "2026-11-23T11:59:00Z",
        ),
    ];
    for (name, mut raw, sent_at, expected) in cases {
        raw["event"] = json!("x");
        raw["distinct_id"] = json!("u");
        let sent = Sent { at: sent_at, arrived_at: now() };
        assert_eq!(Event::parse(raw, &sent, None).unwrap().occurred_at, at(expected), "{name}");
    }
}
