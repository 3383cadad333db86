use super::*;
use crate::model::error::Result;

/// Tokens are texts read backwards.
struct Mirror;

impl Cipher for Mirror {
    fn encrypt(&self, text: &str) -> Result<String> {
        Ok(text.chars().rev().collect())
    }

    fn decrypt(&self, token: &str) -> Option<String> {
        Some(token.chars().rev().collect())
    }
}

fn read(value: Value) -> ForeignFlag {
    ForeignFlag::read(&value).unwrap().unwrap()
}

fn wanted(value: Value) -> Object {
    let flag = read(value);
    flag.wanted(flag.filters())
}

#[test]
fn a_flag_is_read_by_its_number_and_key() {
    let flag = read(json!({"id": 3, "key": "a", "filters": {"payloads": {}}, "active": false}));
    assert_eq!((flag.id, flag.key.as_str(), flag.is_active()), (3, "a", false));
    assert_eq!(flag.filters(), json!({"payloads": {}, "groups": []}));
    assert_eq!(ForeignFlag::read(&json!({"id": 3, "key": "a", "deleted": true})), Ok(None));
    for broken in [json!({"id": 3}), json!({"key": "a"}), json!([]), json!({"id": "x", "key": "a"})]
    {
        assert!(ForeignFlag::read(&broken).is_err(), "{broken}");
    }
}

#[test]
fn what_it_is_comes_along_and_what_others_made_of_it_does_not() {
    let flag = read(json!({
        "id": 3, "key": "a", "name": null, "filters": {"groups": [{}]}, "tags": ["x"],
        "evaluation_tags": ["web"], "evaluation_runtime": null, "version": 9, "created_by": {},
        "created_at": "2024-01-02T03:04:05Z", "last_called_at": null, "usage_dashboard": 5,
        "experiment_set": [1], "features": [], "ensure_experience_continuity": true,
        "is_used_in_replay_settings": true, "status": "ACTIVE",
    }));
    let wanted = flag.wanted(flag.filters());
    let expected = json!({
        "key": "a", "name": "", "ensure_experience_continuity": true, "tags": ["x"],
        "evaluation_contexts": ["web"], "evaluation_runtime": "all", "filters": {"groups": [{}]},
    });
    assert_eq!(Value::Object(wanted.clone()), expected);
    let body = flag.creation(&wanted);
    assert_eq!(body["created_at"], "2024-01-02T03:04:05Z");
    assert_eq!(body["_should_create_usage_dashboard"], true);
    assert!(!body.contains_key("last_called_at") && !body.contains_key("version"));
    let left = flag.left_behind();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(left[0].contains("experiments") && left[1].contains("replay"), "{left:?}");
}

#[test]
fn a_flag_without_conditions_is_made_without_filters() {
    let flag = read(json!({"id": 3, "key": "a", "filters": {"groups": []}}));
    let body = flag.creation(&flag.wanted(flag.filters()));
    assert!(!body.contains_key("filters") && body["_should_create_usage_dashboard"] == false);
}

#[test]
fn what_cannot_be_read_stays_behind() {
    let flag = |payload: &str, encrypted: bool| {
        let filters = json!({"groups": [{}], "payloads": {"true": payload}});
        read(json!({"id": 3, "key": "a", "filters": filters, "has_encrypted_payloads": encrypted}))
    };
    assert!(flag(REDACTED, true).unreadable().is_some());
    assert_eq!(flag("\"clear\"", true).unreadable(), None);
    assert_eq!(flag(REDACTED, false).unreadable(), None);
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    let deep = read(json!({"id": 3, "key": "a", "rollback_conditions": deep}));
    assert!(deep.unreadable().unwrap().contains("nested"));
}

#[test]
fn only_what_means_something_else_differs() {
    let here = FeatureFlag {
        tags: vec!["a".into(), "b".into()],
        evaluation_runtime: None,
        filters: json!({"groups": [{"properties": [], "rollout_percentage": 50.0,
            "aggregation_group_type_index": null}], "aggregation_group_type_index": null}),
        ..FeatureFlag::example()
    };
    let same = json!({"id": 1, "key": "new-checkout", "name": " ", "tags": ["B", "a"],
        "evaluation_runtime": "all", "active": true, "rollback_conditions": null,
        "filters": {"groups": [{"rollout_percentage": 50}]}});
    assert_eq!(differing(&wanted(same), &here, &Mirror), Object::new());
    let other = json!({"id": 1, "key": "new-checkout", "name": "x", "active": false,
        "filters": {"groups": [{"rollout_percentage": 51}]}});
    let fields: Vec<_> = differing(&wanted(other), &here, &Mirror).into_iter().collect();
    let names: Vec<_> = fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["name", "active", "filters"]);
}

#[test]
fn an_encrypted_payload_is_compared_in_clear() {
    let here = FeatureFlag {
        has_encrypted_payloads: Some(true),
        is_remote_configuration: Some(true),
        filters: json!({"groups": [{}], "payloads": {"true": "raelc"}}),
        ..FeatureFlag::example()
    };
    let payload = |text: &str| {
        let filters = json!({"groups": [{}], "payloads": {"true": text}});
        wanted(json!({"id": 1, "key": "new-checkout", "filters": filters,
            "has_encrypted_payloads": true, "is_remote_configuration": true}))
    };
    assert!(differing(&payload("clear"), &here, &Mirror).is_empty());
    assert!(differing(&payload("other"), &here, &Mirror).contains_key("filters"));
}
