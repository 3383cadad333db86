use serde_json::{Value, json};

use super::*;
use crate::model::{event::Sent, json::same};

fn event(second: i64, raw: Value) -> Event {
    let mut raw = raw;
    let at = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(second);
    raw["timestamp"] = json!(at.to_rfc3339());
    let sent = Sent { at: None, arrived_at: at + chrono::TimeDelta::days(1) };
    Event::parse(raw, &sent, None).unwrap()
}

fn set(id: &str, second: i64, values: Value) -> Event {
    event(second, json!({"event": "$set", "distinct_id": id, "$set": values}))
}

fn identify(id: &str, anon: &str, second: i64) -> Event {
    let properties = json!({"$anon_distinct_id": anon});
    event(second, json!({"event": "$identify", "distinct_id": id, "properties": properties}))
}

fn alias(name: &str, id: &str, alias: &str, second: i64) -> Event {
    event(second, json!({"event": name, "distinct_id": id, "properties": {"alias": alias}}))
}

/// Takes events in, where nothing is in store.
fn after(events: &[Event]) -> Persons {
    let mut persons = Persons::default();
    for event in events {
        persons.apply(event).unwrap();
    }
    let waiting: Vec<usize> = persons.awaiting_history().collect();
    for place in waiting {
        persons.replay(place, Vec::new());
    }
    persons
}

/// The ids of each person, sorted, and their properties.
fn told(persons: Persons) -> Vec<(Vec<String>, Value)> {
    let told = |mut person: Person| {
        person.gained_ids.sort();
        (person.gained_ids, Value::Object(person.properties.values().clone()))
    };
    let mut told: Vec<_> = persons.into_changed().map(told).collect();
    told.sort_by(|a, b| a.0.cmp(&b.0));
    told
}

#[test]
fn each_way_to_become_one_person() {
    /// What it shows, the events, and the ids of each person.
    type Case<'c> = (&'c str, &'c [Event], &'c [&'c [&'c str]]);
    let cases: [Case<'_>; 8] = [
        ("two ids that nobody had", &[identify("u", "anon", 1)], &[&["anon", "u"]]),
        (
            "an id joins a person",
            &[set("u", 1, json!({"a": 1})), identify("u", "anon", 2)],
            &[&["anon", "u"]],
        ),
        (
            "a new id joins the anonymous one",
            &[set("anon", 1, json!({"a": 1})), identify("u", "anon", 2)],
            &[&["anon", "u"]],
        ),
        (
            "two persons are merged",
            &[
                set("u", 1, json!({"a": 1})),
                set("anon", 2, json!({"b": 1})),
                identify("u", "anon", 3),
            ],
            &[&["anon", "u"]],
        ),
        (
            "an alias is the same",
            &[set("u", 1, json!({"a": 1})), alias("$create_alias", "u", "v", 2)],
            &[&["u", "v"]],
        ),
        (
            "an identified person stays apart",
            &[identify("u", "anon", 1), set("v", 2, json!({"a": 1})), identify("v", "anon", 3)],
            &[&["anon", "u"], &["v"]],
        ),
        (
            "unless it is asked for, dangerously",
            &[
                identify("u", "anon", 1),
                identify("v", "other", 2),
                alias("$merge_dangerously", "v", "u", 3),
            ],
            &[&["anon", "other", "u", "v"]],
        ),
        (
            "merges that cross meet in one person",
            &[
                set("a", 1, json!({"x": 1})),
                set("b", 2, json!({"y": 1})),
                alias("$create_alias", "a", "b", 3),
                alias("$create_alias", "b", "a", 3),
            ],
            &[&["a", "b"]],
        ),
    ];
    for (name, events, expected) in cases {
        let got: Vec<_> = told(after(events)).into_iter().map(|(ids, _)| ids).collect();
        assert_eq!(got, expected, "{name}");
    }
}

#[test]
fn of_merged_persons_the_survivors_values_stand() {
    let events = [
        set("u", 1, json!({"plan": "pro", "own": 1})),
        set("anon", 5, json!({"plan": "free", "other": 2})),
        identify("u", "anon", 9),
    ];
    let (ids, properties) = told(after(&events)).remove(0);
    assert_eq!(ids, ["anon", "u"]);
    assert!(same(&properties, &json!({"plan": "pro", "own": 1, "other": 2})), "{properties}");
    let later = [&events[..], &[set("u", 7, json!({"plan": "older than the merge"}))]].concat();
    assert_eq!(told(after(&later))[0].1["plan"], "pro");
    let later = [&events[..], &[set("anon", 10, json!({"plan": "newer"}))]].concat();
    assert_eq!(told(after(&later))[0].1["plan"], "newer");
}

#[test]
fn what_lives_is_what_a_replay_gives() {
    let unset = event(6, json!({"event": "$set", "distinct_id": "u", "$unset": ["a"]}));
    let once = |second| {
        event(second, json!({"event": "x", "distinct_id": "anon", "$set_once": {"a": second}}))
    };
    let events = [
        set("u", 1, json!({"a": "first"})),
        once(8),
        identify("u", "anon", 9),
        unset,
        set("anon", 3, json!({"b": 1})),
    ];
    let persons: Vec<_> = after(&events).into_changed().collect();
    let [person] = &persons[..] else { panic!("{persons:?}") };
    let mut changes: Vec<&Change> = person.changes.iter().collect();
    changes.sort_by_key(|change| change.occurred_at);
    let replayed = crate::model::property_history::replay(changes);
    let live = Value::Object(person.properties.values().clone());
    assert!(same(&live, &Value::Object(replayed.values().clone())), "{live} {replayed:?}");
}

#[test]
fn plain_events_make_nobody() {
    let plain = event(1, json!({"event": "$pageview", "distinct_id": "u"}));
    let personless = json!({"$process_person_profile": false, "$set": {"a": 1}});
    let personless =
        event(2, json!({"event": "bought", "distinct_id": "u", "properties": personless}));
    assert_eq!(told(after(&[plain, personless])), []);
}

#[test]
fn a_person_does_not_grow_without_bound() {
    let mut persons = Persons::default();
    let large = |n: i64| set("u", n, json!({ format!("p{n}"): "x".repeat(200 * 1024) }));
    for n in 1..=2 {
        persons.apply(&large(n)).unwrap();
    }
    let refused = persons.apply(&large(3)).unwrap_err();
    assert_eq!(refused, "its person would be larger than 524288 bytes");
    persons.apply(&large(2)).unwrap();
    persons.apply(&set("u", 4, json!({"small": 1}))).unwrap();
    let (_, properties) = told(persons).remove(0);
    assert_eq!(properties.as_object().unwrap().keys().collect::<Vec<_>>(), ["p1", "p2", "small"]);
}

#[test]
fn a_person_has_a_bounded_number_of_properties() {
    let mut persons = Persons::default();
    let some = |from: i64| {
        let values = (from..from + 2_500).map(|n| (n.to_string(), json!(n)));
        set("u", 1, Value::Object(values.collect()))
    };
    persons.apply(&some(0)).unwrap();
    persons.apply(&some(2_500)).unwrap();
    let refused = persons.apply(&set("u", 1, json!({"more": 1}))).unwrap_err();
    assert_eq!(refused, "its person would have more than 5000 properties");
    persons.apply(&set("u", 2, json!({"17": "other"}))).unwrap();
    let unset = event(3, json!({"event": "$set", "distinct_id": "u", "$unset": ["18"]}));
    persons.apply(&unset).unwrap();
    persons.apply(&set("u", 4, json!({"more": 1}))).unwrap();
}

#[test]
fn persons_who_are_too_large_together_stay_apart() {
    let large = |id: &str| set(id, 1, json!({ id: "x".repeat(300 * 1024) }));
    let mut persons = after(&[large("u"), large("v")]);
    let merge = alias("$merge_dangerously", "u", "v", 2);
    assert!(persons.apply(&merge).unwrap_err().contains("larger than"));
    let ids: Vec<_> = told(persons).into_iter().map(|(ids, _)| ids).collect();
    assert_eq!(ids, [["u"], ["v"]]);
}

#[test]
fn a_refused_event_changes_nothing() {
    let large = set("u", 1, json!({"p": "x".repeat(500 * 1024), "q": 1}));
    let mut persons = after(&[large]);
    let raw = json!({"event": "$identify", "distinct_id": "u", "$set": {"q": 2},
        "$set_once": {"r": "x".repeat(30 * 1024)}, "$unset": ["gone"],
        "properties": {"$anon_distinct_id": "anon"}});
    assert!(persons.apply(&event(2, raw)).is_err());
    let (ids, properties) = told(persons).remove(0);
    assert_eq!((ids, &properties["q"]), (vec!["u".to_owned()], &json!(1)));
    assert_eq!(properties.as_object().unwrap().len(), 2);
}

#[test]
fn many_events_for_a_large_person_cost_what_the_events_weigh() {
    let filler = (0..4_000).map(|n| (format!("filler {n}"), json!("x".repeat(100))));
    let mut persons = after(&[set("u", 1, Value::Object(filler.collect()))]);
    for n in 0..3_000 {
        let change = match n % 3 {
            0 => {
                json!({"event": "$set", "distinct_id": "u", "$set": {"large": "x".repeat(10_000)}})
            }
            1 => {
                json!({"event": "$set", "distinct_id": "u", "$unset": [format!("filler {}", n % 4_000)]})
            }
            _ => json!({"event": "$set", "distinct_id": "u", "$set": {"n": n}}),
        };
        let _ = persons.apply(&event(n, change));
    }
    assert_eq!(told(persons).remove(0).1["n"], 2_999);
}
