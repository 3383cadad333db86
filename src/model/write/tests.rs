use std::collections::HashMap;

use serde_json::json;

use super::*;

fn body(value: Value) -> Object {
    value.as_object().expect("an object").clone()
}

fn facts(key_taken: bool) -> Facts {
    let grammar = filters::Grammar {
        is_date: |_| true,
        is_version: |_| true,
        problem: |_| None,
        is_cohort: |_| true,
    };
    let known = Known {
        flags: HashMap::new(),
        dependencies: HashMap::new(),
        cohorts: HashMap::new(),
        grammar,
    };
    Facts {
        key_taken,
        known,
        dashboards: HashSet::from([3]),
        origin: Origin::Request,
        prepared: None,
    }
}

fn write(sent: Value, method: Method) -> Result<FeatureFlag> {
    let current = FeatureFlag::example();
    FlagWrite::parse(&body(sent), method, &current, &facts(false))?.apply(&current, method)
}

#[test]
fn the_first_wrong_field_is_reported_with_its_code() {
    let long = "k".repeat(MAX_KEY_LENGTH + 1);
    let cases = [
        (json!({}), "key", "required"),
        (json!({"key": ""}), "key", "blank"),
        (json!({"key": null}), "key", "null"),
        (json!({"key": ["a"]}), "key", "invalid_input"),
        (json!({"key": long}), "key", "max_length"),
        (json!({"key": "a b"}), "key", "invalid_key"),
        (json!({"key": "k", "name": null}), "name", "null"),
        (json!({"key": "k", "filters": null}), "filters", "null"),
        (json!({"key": "k", "filters": []}), "filters", "not_a_dict"),
        (json!({"key": "k", "deleted": "perhaps"}), "deleted", "invalid_input"),
        (json!({"key": "k", "active": null}), "active", "null"),
        (json!({"key": "k", "created_at": "soon"}), "created_at", "invalid_input"),
        (json!({"key": "k", "version": "two"}), "version", "invalid_input"),
        (json!({"key": "k", "tags": null}), "tags", "null"),
        (json!({"key": "k", "tags": "a"}), "tags", "not_a_list"),
        (json!({"key": "k", "tags": [1]}), "tags", "invalid_input"),
        (json!({"key": "k", "evaluation_contexts": {}}), "evaluation_contexts", "not_a_list"),
        (
            json!({"key": "k", "analytics_dashboards": [3, 4]}),
            "analytics_dashboards",
            "does_not_exist",
        ),
        (
            json!({"key": "k", "_should_create_usage_dashboard": 7}),
            "_should_create_usage_dashboard",
            "invalid_input",
        ),
        (json!({"key": "k", "creation_context": "x"}), "creation_context", "invalid_choice"),
        (json!({"key": "k", "evaluation_runtime": "both"}), "evaluation_runtime", "invalid_choice"),
        (
            json!({"key": "k", "bucketing_identifier": "id"}),
            "bucketing_identifier",
            "invalid_choice",
        ),
        (json!({"key": "k", "last_called_at": 5}), "last_called_at", "invalid_input"),
        (json!({"key": "a b", "name": null, "active": null}), "key", "invalid_key"),
    ];
    for (sent, attr, code) in cases {
        let error = write(sent.clone(), Method::Create).expect_err(&sent.to_string());
        assert_eq!((error.attr.as_deref(), error.reason.as_ref()), (Some(attr), code), "{sent}");
    }
}

#[test]
fn a_taken_key_is_reported_before_a_misspelt_one() {
    let current = FeatureFlag::example();
    let sent = body(json!({"key": "a b"}));
    let error = FlagWrite::parse(&sent, Method::Create, &current, &facts(true)).unwrap_err();
    assert_eq!(error.reason, "unique");
}

#[test]
fn a_put_needs_the_key_and_a_patch_does_not() {
    assert_eq!(write(json!({}), Method::Put).unwrap_err().reason, "required");
    assert_eq!(write(json!({}), Method::Patch).unwrap(), FeatureFlag::example());
}

#[test]
fn rules_over_the_whole_flag_look_at_its_effective_state() {
    let cases = [
        json!({"bucketing_identifier": "device_id", "ensure_experience_continuity": true}),
        json!({"has_encrypted_payloads": true}),
    ];
    for sent in cases {
        let error = write(sent.clone(), Method::Patch).expect_err(&sent.to_string());
        assert_eq!(
            (error.attr.as_deref(), error.reason.as_ref()),
            (None, "invalid_input"),
            "{sent}"
        );
    }
    let both = json!({"has_encrypted_payloads": true, "is_remote_configuration": true});
    assert!(write(both, Method::Patch).is_ok());
}

#[test]
fn a_combination_that_is_already_stored_may_stay() {
    let current = FeatureFlag {
        bucketing_identifier: Some("device_id".into()),
        ensure_experience_continuity: Some(true),
        ..FeatureFlag::example()
    };
    let parsed =
        FlagWrite::parse(&body(json!({"name": "x"})), Method::Patch, &current, &facts(false));
    assert!(parsed.unwrap().apply(&current, Method::Patch).is_ok());
}

#[test]
fn labels_are_trimmed_lowered_sorted_and_kept_once() {
    let flag = write(
        json!({"tags": ["b", " A ", "a"], "evaluation_contexts": ["Prod", "prod "]}),
        Method::Patch,
    );
    let flag = flag.unwrap();
    assert_eq!(flag.tags, ["a", "b"]);
    assert_eq!(flag.evaluation_contexts, ["prod"]);
}

#[test]
fn too_many_or_odd_contexts_are_refused_without_a_field() {
    let many: Vec<_> = (0..51).map(|n| n.to_string()).collect();
    for (contexts, detail) in [
        (json!(many), "evaluation_contexts must be a list of at most 50 items."),
        (json!([1]), "Invalid evaluation context name."),
        (json!(["x".repeat(256)]), "Invalid evaluation context name."),
    ] {
        let error = write(json!({"evaluation_contexts": contexts}), Method::Patch).unwrap_err();
        assert_eq!((error.detail.as_str(), error.attr.as_deref()), (detail, None));
    }
}

#[test]
fn switching_on_forgets_a_rollback() {
    let flag = write(json!({"active": true, "performed_rollback": true}), Method::Patch).unwrap();
    assert_eq!(flag.performed_rollback, Some(false));
}

#[test]
fn creation_time_is_taken_once_only() {
    let sent = json!({"key": "k", "created_at": "2026-01-02T03:04:05Z"});
    let created = write(sent.clone(), Method::Create).unwrap();
    assert_eq!(fields::timestamp(created.created_at), "2026-01-02T03:04:05Z");
    let patched = write(sent, Method::Patch).unwrap();
    assert_eq!(patched.created_at, FeatureFlag::example().created_at);
}

#[test]
fn a_patch_of_filters_without_groups_changes_nothing() {
    let flag = write(json!({"filters": {"payloads": {"true": "1"}}}), Method::Patch).unwrap();
    assert_eq!(flag.filters, json!({"groups": []}));
    let put =
        write(json!({"key": "k", "filters": {"payloads": {"true": "1"}}}), Method::Put).unwrap();
    assert_eq!(put.filters, json!({"payloads": {"true": "1"}, "groups": []}));
}
