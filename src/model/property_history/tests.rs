use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;

fn at(second: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(second)
}

fn change(kind: ChangeKind, properties: Value, second: i64) -> Change {
    Change { kind, properties, occurred_at: at(second), event_uuid: None }
}

fn set(second: i64, value: &str) -> Change {
    change(ChangeKind::Set, json!({"p": value}), second)
}

fn set_once(second: i64, value: &str) -> Change {
    change(ChangeKind::SetOnce, json!({"p": value}), second)
}

fn unset(second: i64) -> Change {
    change(ChangeKind::Unset, json!(["p"]), second)
}

/// The rule in its plainest form, over changes in the order in which they arrived.
fn by_the_rule(arrived: &[Change]) -> Object {
    let mut changes: Vec<&Change> = arrived.iter().collect();
    changes.sort_by_key(|change| change.occurred_at);
    let mut values = Object::new();
    for change in changes {
        match (&change.kind, &change.properties) {
            (ChangeKind::Set, Value::Object(fields)) => values.extend(fields.clone()),
            (ChangeKind::SetOnce, Value::Object(fields)) => {
                for (name, value) in fields {
                    values.entry(name.clone()).or_insert_with(|| value.clone());
                }
            }
            (_, names) => {
                for name in names.as_array().unwrap() {
                    values.shift_remove(name.as_str().unwrap());
                }
            }
        }
    }
    values
}

fn in_order(arrived: &[Change]) -> Properties {
    let mut changes: Vec<&Change> = arrived.iter().collect();
    changes.sort_by_key(|change| change.occurred_at);
    replay(changes)
}

/// As the service goes about it: one by one, from the history where it must.
fn live(arrived: &[Change]) -> Properties {
    let mut properties = Properties::default();
    for (n, change) in arrived.iter().enumerate() {
        if properties.apply(change) == Verdict::NeedsReplay {
            properties = in_order(&arrived[..=n]);
        }
        // As it would come back from the database.
        properties = Properties::stored(properties.values().clone(), &properties.times());
    }
    properties
}

#[test]
fn each_rule_by_name() {
    let cases: [(&str, &[Change], Option<&str>); 15] = [
        ("a newer set wins", &[set(1, "a"), set(2, "b")], Some("b")),
        ("an older set never overwrites a newer one", &[set(2, "b"), set(1, "a")], Some("b")),
        ("of two at one moment the later arrival wins", &[set(1, "a"), set(1, "b")], Some("b")),
        ("set_once gives what is missing", &[set_once(1, "a")], Some("a")),
        ("set_once never overwrites", &[set(1, "a"), set_once(2, "b")], Some("a")),
        ("the first set_once stands", &[set_once(1, "a"), set_once(2, "b")], Some("a")),
        ("an older set_once comes before", &[set_once(2, "b"), set_once(1, "a")], Some("a")),
        ("an older set comes before a set_once", &[set_once(2, "b"), set(1, "a")], Some("a")),
        ("unset removes", &[set(1, "a"), unset(2)], None),
        ("unset spares a newer set", &[set(3, "a"), unset(2)], Some("a")),
        ("an older set stays removed", &[unset(3), set(2, "a")], None),
        ("set_once works again after unset", &[set(1, "a"), unset(2), set_once(3, "b")], Some("b")),
        ("an old set_once stays removed", &[unset(3), set_once(2, "b")], None),
        (
            "a late unset uncovers a set_once that had no effect",
            &[set(1, "a"), set_once(9, "b"), unset(5)],
            Some("b"),
        ),
        (
            "an older set below an unset below a set_once changes nothing",
            &[unset(5), set_once(9, "b"), set(3, "a")],
            Some("b"),
        ),
    ];
    for (name, changes, expected) in cases {
        let expected = expected.map(|value| json!(value));
        assert_eq!(live(changes).values().get("p").cloned(), expected, "{name}");
        assert_eq!(by_the_rule(changes).get("p").cloned(), expected, "{name}, by the rule");
    }
}

#[test]
fn only_a_late_unset_needs_the_history() {
    let mut properties = Properties::default();
    for change in [set(1, "a"), set_once(9, "b")] {
        assert_eq!(properties.apply(&change), Verdict::Exact);
    }
    assert_eq!(properties.clone().apply(&unset(9)), Verdict::Exact);
    assert_eq!(properties.apply(&unset(5)), Verdict::NeedsReplay);
}

#[test]
fn what_was_stored_without_times_is_older_than_everything() {
    let values = || Object::from_iter([("p".to_owned(), json!("old"))]);
    let mut properties = Properties::stored(values(), &json!({}));
    assert_eq!(properties.apply(&set_once(1, "a")), Verdict::Exact);
    assert_eq!(properties.values(), &values());
    assert_eq!(properties.apply(&set(1, "a")), Verdict::Exact);
    assert_eq!(properties.values()["p"], "a");
}

#[test]
fn joined_properties_tell_what_was_overruled() {
    let mut own = live(&[change(ChangeKind::Set, json!({"plan": "pro", "own": 1, "new": 1}), 5)]);
    let theirs = live(&[
        change(ChangeKind::Set, json!({"plan": "free", "other": 2}), 9),
        change(ChangeKind::Set, json!({"new": 0}), 3),
    ]);
    let (verdict, overruled) = own.absorb(theirs);
    assert_eq!(verdict, Verdict::Exact);
    assert_eq!(Value::Object(overruled), json!({"plan": "pro"}), "theirs is newer");
    let expected = json!({"plan": "free", "own": 1, "other": 2, "new": 1});
    assert!(same(&Value::Object(own.values().clone()), &expected), "{own:?}");
}

#[test]
fn whose_came_first_at_one_moment_only_the_history_tells() {
    let cases = [
        (vec![unset(4)], vec![set_once(4, "a")]),
        (vec![set_once(4, "a")], vec![unset(4)]),
        (vec![set(4, "a")], vec![set(4, "b")]),
        (vec![set_once(4, "a")], vec![set_once(4, "b")]),
    ];
    for (own, theirs) in cases {
        let verdict = live(&own).absorb(live(&theirs)).0;
        assert_eq!(verdict, Verdict::NeedsReplay, "{own:?} {theirs:?}");
    }
}

fn any_change() -> impl Strategy<Value = Change> {
    (0..3, 0..2_usize, 0..12_i64, 0..4).prop_map(|(kind, name, second, value)| {
        let name: &str = ["p", "q"][name];
        match kind {
            0 => change(ChangeKind::Set, json!({name: value}), second),
            1 => change(ChangeKind::SetOnce, json!({name: value}), second),
            _ => change(ChangeKind::Unset, json!([name]), second),
        }
    })
}

fn sorted(values: &Object) -> BTreeMap<String, Value> {
    values.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn the_oldest_removals_are_forgotten_first() {
    let mut properties = Properties::default();
    for n in 0..1_500 {
        let _ = properties.apply(&change(ChangeKind::Unset, json!([format!("p{n}")]), n));
    }
    let _ = properties.apply(&change(ChangeKind::Set, json!({"stays": 1}), 0));
    properties.forget_oldest_unsets();
    let times = properties.times();
    assert_eq!(times.as_object().unwrap().len(), 1_001);
    assert!(times.get("p499").is_none() && times.get("p500").is_some(), "{times}");
}

#[test]
fn times_that_a_wrong_clock_gave_do_not_stay_in_the_future() {
    let mut properties = live(&[set(1_000, "ahead")]);
    properties.cap_times(at(500), at(400));
    assert_eq!(properties.apply(&set(450, "now")), Verdict::Exact);
    assert_eq!(properties.values()["p"], "now");
    let mut properties = live(&[set(450, "right")]);
    properties.cap_times(at(500), at(400));
    assert_eq!(properties.apply(&set(449, "older")), Verdict::Exact);
    assert_eq!(properties.values()["p"], "right");
}

proptest! {
    #[test]
    fn changes_that_are_refused_leave_no_trace(
        before in prop::collection::vec(any_change(), 0..8),
        refused in prop::collection::vec(any_change(), 0..5),
    ) {
        let mut properties = live(&before);
        let large = change(ChangeKind::Set, json!({"z": "x".repeat(MAX_STORED_BYTES)}), 20);
        let expected = (sorted(properties.values()), properties.times(), properties.bytes());
        prop_assert!(properties.apply_within_bounds(&[refused, vec![large]].concat()).is_err());
        let after = (sorted(properties.values()), properties.times(), properties.bytes());
        prop_assert_eq!(after, expected);
    }

    #[test]
    fn the_size_is_what_is_written(changes in prop::collection::vec(any_change(), 0..14)) {
        let properties = live(&changes);
        let written = Value::Object(properties.values().clone()).to_string().len();
        prop_assert_eq!(properties.bytes(), (written - 1).max(2) - if written > 2 { 0 } else { 2 });
    }

    #[test]
    fn live_properties_are_what_a_replay_gives(
        changes in prop::collection::vec(any_change(), 0..14),
    ) {
        let expected = sorted(&by_the_rule(&changes));
        prop_assert_eq!(sorted(live(&changes).values()), expected.clone());
        prop_assert_eq!(sorted(in_order(&changes).values()), expected);
    }

    #[test]
    fn joined_properties_are_what_a_replay_of_both_histories_gives(
        own in prop::collection::vec(any_change(), 0..8),
        theirs in prop::collection::vec(any_change(), 0..8),
        later in prop::collection::vec(any_change(), 0..5),
    ) {
        let mut all = [own.clone(), theirs.clone()].concat();
        let mut joined = live(&own);
        if joined.absorb(live(&theirs)).0 == Verdict::NeedsReplay {
            joined = in_order(&all);
        }
        prop_assert_eq!(sorted(joined.values()), sorted(&by_the_rule(&all)));
        for change in later {
            all.push(change.clone());
            if joined.apply(&change) == Verdict::NeedsReplay {
                joined = in_order(&all);
            }
            prop_assert_eq!(sorted(joined.values()), sorted(&by_the_rule(&all)));
        }
    }
}
