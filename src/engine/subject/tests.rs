use serde_json::json;

use super::*;

fn object(value: Value) -> Properties {
    value.as_object().expect("an object").clone()
}

#[test]
fn person_properties_are_layered_as_documented() {
    let sent = object(
        json!({"plan": "pro", "utm_source": "news", "_kx": "k", "$initial_browser": "Opera", "none": null}),
    );
    let stored = object(
        json!({"plan": "free", "age": 7, "none": 1, "distinct_id": "old", "$os_name": "Linux",
                               "$browser": "Firefox", "$initial_utm_source": "ad", "$device_id": "d"}),
    );
    let facts = Facts { sent: Some(&sent), stored: Some(&stored), ..Facts::default() };
    let subject = Subject::new("ann", facts);
    let cases = [
        ("what is sent wins", "plan", Some(json!("pro"))),
        ("a sent null wins too", "none", Some(json!(null))),
        ("what is stored shows through", "age", Some(json!(7))),
        ("the distinct id wins over a stored one", "distinct_id", Some(json!("ann"))),
        ("the system's name stands in for its other name", "$os", Some(json!("Linux"))),
        ("and for its initial", "$initial_os", Some(json!("Linux"))),
        ("a sent initial stays", "$initial_browser", Some(json!("Opera"))),
        ("a stored initial stays", "$initial_utm_source", Some(json!("ad"))),
        ("a campaign key keeps its whole name", "$initial__kx", Some(json!("k"))),
        ("other properties have no initial", "$initial_age", None),
        ("nor have dollar properties off the list", "$initial_device_id", None),
        ("what is nowhere is missing", "email", None),
    ];
    for (name, key, expected) in cases {
        assert_eq!(subject.person_property(key), expected.as_ref(), "{name}");
    }
}

#[test]
fn a_sent_distinct_id_property_replaces_the_requests() {
    let sent = object(json!({"distinct_id": "other"}));
    let subject = Subject::new("ann", Facts { sent: Some(&sent), ..Facts::default() });
    assert_eq!(subject.person_property("distinct_id"), Some(&json!("other")));
    assert_eq!(subject.distinct_id(), "ann");
}

#[test]
fn group_properties_are_layered_and_the_group_key_is_the_given_one() {
    let groups = object(json!({"company": 42}));
    let sent = object(
        json!({"company": {"$group_key": "forged", "tier": "gold"}, "team": {"$group_key": "t"}}),
    );
    let stored = Arc::new(object(json!({"tier": "tin", "size": 9})));
    let facts = Facts {
        groups: Some(&groups),
        sent_groups: Some(&sent),
        stored_groups: &[("company".into(), stored)],
        ..Facts::default()
    };
    let subject = Subject::new("ann", facts);
    let cases = [
        ("the given key", "company", "$group_key", Some(json!(42))),
        ("what is sent wins", "company", "tier", Some(json!("gold"))),
        ("what is stored shows through", "company", "size", Some(json!(9))),
        ("a type without a given key keeps what is sent", "team", "$group_key", Some(json!("t"))),
        ("a type nobody knows", "club", "tier", None),
    ];
    for (name, group_type, key, expected) in cases {
        assert_eq!(subject.group_property(group_type, key), expected.as_ref(), "{name}");
    }
}

#[test]
fn ids_come_from_the_request_or_from_its_properties_but_are_never_empty() {
    let sent = object(json!({"$device_id": "from-properties", "$anon_distinct_id": ""}));
    let cases = [
        ("its own", Some("own"), Some("own")),
        ("an empty one counts as none", Some(""), Some("from-properties")),
        ("none", None, Some("from-properties")),
    ];
    for (name, device_id, expected) in cases {
        let subject =
            Subject::new("ann", Facts { device_id, sent: Some(&sent), ..Facts::default() });
        assert_eq!(subject.device_id(), expected, "{name}");
        assert_eq!(subject.anon_distinct_id(), None, "{name}");
    }
}

#[test]
fn a_long_distinct_id_is_cut_wherever_it_shows() {
    let long = "x".repeat(300);
    let subject = Subject::new(&long, Facts::default());
    assert_eq!(subject.distinct_id().len(), 200);
    assert_eq!(subject.person_property("distinct_id"), Some(&json!("x".repeat(200))));
}
