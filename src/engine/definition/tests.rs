use serde_json::json;

use super::*;
use crate::engine::fixtures::{flag, source};

#[test]
fn a_definition_of_the_wrong_shape_fails_alone() {
    let filter = |filter: Value| json!({"groups": [{"properties": [filter]}]});
    let cases = [
        ("no object", json!([])),
        ("the newer format", json!({"version": 2, "rules": []})),
        ("the newer format, spelled as a fraction", json!({"version": 2.0, "groups": [{}]})),
        ("an unknown format", json!({"version": 3, "groups": [{}]})),
        ("a format as text", json!({"version": "2", "groups": [{}]})),
        ("a format as null", json!({"version": null, "groups": [{}]})),
        ("a format as boolean", json!({"version": true, "groups": [{}]})),
        ("conditions that are no list", json!({"groups": {}})),
        ("a condition that is no object", json!({"groups": [1]})),
        ("filters that are no list", json!({"groups": [{"properties": "x"}]})),
        ("a rollout that is no number", json!({"groups": [{"rollout_percentage": "50"}]})),
        ("a filter without a key", filter(json!({"type": "person", "value": 1}))),
        ("a filter of an unknown type", filter(json!({"type": "event", "key": "a"}))),
        (
            "a filter with an unknown operator",
            filter(json!({"type": "person", "key": "a", "operator": "min"})),
        ),
        (
            "a group type that is no index",
            filter(json!({"type": "group", "key": "a", "group_type_index": "0"})),
        ),
        ("a variant without a percentage", json!({"multivariate": {"variants": [{"key": "a"}]}})),
        ("a holdout without an id", json!({"holdout": {"exclusion_percentage": 10}})),
        ("payloads that are no object", json!({"payloads": []})),
    ];
    for (name, filters) in cases {
        assert!(flag(1, "flag", filters).problem().is_some(), "{name}");
    }
}

#[test]
fn what_is_unknown_or_null_is_passed_over() {
    let cases = [
        ("nothing at all", json!({})),
        (
            "nulls",
            json!({"groups": null, "multivariate": null, "payloads": null, "holdout": null, "super_groups": null}),
        ),
        (
            "unknown members",
            json!({"color": 1, "groups": [{"sort_key": "x", "users_affected": 3, "properties": null}]}),
        ),
        (
            "a filter without type and operator",
            json!({"groups": [{"properties": [{"key": "a", "value": 1}]}]}),
        ),
        (
            "a cohort filter without a key",
            json!({"groups": [{"properties": [{"type": "cohort", "value": 1}]}]}),
        ),
    ];
    for (name, filters) in cases {
        assert_eq!(flag(1, "flag", filters).problem(), None, "{name}");
    }
}

#[test]
fn a_flag_tells_what_it_reads() {
    let flag = flag(
        1,
        "flag",
        json!({"feature_enrollment": true, "groups": [
            {"properties": [
                {"type": "person", "key": "email", "operator": "is_set"},
                {"type": "person_metadata", "key": "created_at", "operator": "is_set"},
                {"type": "cohort", "key": "id", "value": "7"},
                {"type": "flag", "key": "3", "operator": "flag_evaluates_to", "value": true},
                {"type": "flag", "key": "2", "operator": "flag_evaluates_to", "value": true},
                {"type": "flag", "key": "3", "operator": "flag_evaluates_to", "value": false}
            ]},
            {"aggregation_group_type_index": 1, "properties": [
                {"type": "group", "key": "tier", "operator": "is_set"},
                {"type": "group", "key": "tier", "operator": "is_set", "group_type_index": 0}
            ]}
        ]}),
    );
    let properties: Vec<&str> = flag.person_properties().collect();
    assert_eq!(
        properties,
        ["email", "__posthog_person_metadata__created_at", "$feature_enrollment/flag"]
    );
    assert_eq!(flag.cohorts().collect::<Vec<_>>(), [7]);
    assert_eq!(flag.group_properties().map(|(index, _)| index).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(flag.dependencies(), [2, 3]);
}

#[test]
fn hash_keys_matter_only_where_people_are_divided() {
    let variants = |first: i64| {
        json!({"groups": [{}], "multivariate": {"variants": [
            {"key": "a", "rollout_percentage": first}, {"key": "b", "rollout_percentage": 100 - first}]}})
    };
    let half = json!({"groups": [{"rollout_percentage": 50}]});
    let cases = [
        ("a partial rollout", half.clone(), None, true),
        ("everyone alike", json!({"groups": [{}]}), None, false),
        ("two variants", variants(50), None, true),
        ("two variants, one out of reach", variants(100), None, false),
        ("devices", half, Some("device_id"), false),
        (
            "groups",
            json!({"aggregation_group_type_index": 0, "groups": [{"rollout_percentage": 50}]}),
            None,
            false,
        ),
    ];
    for (name, filters, bucketing_identifier, expected) in cases {
        let flag = source(1, "flag", &filters);
        let flag = Flag::compile(&FlagSource {
            ensure_experience_continuity: true,
            bucketing_identifier,
            ..flag
        });
        assert_eq!(flag.needs_hash_keys(), expected, "{name}");
    }
}

#[test]
fn payloads_are_kept_as_stored() {
    let flag = flag(
        1,
        "flag",
        json!({"payloads": {"true": "{\"a\": 1}", "x": {"b": 2}, "y": null},
               "multivariate": {"variants": [
                   {"key": "x", "rollout_percentage": 50}, {"key": "y", "rollout_percentage": 50}]}}),
    );
    let rules = flag.rules().expect("a definition that is understood");
    assert_eq!(rules.payload.as_deref(), Some("{\"a\": 1}"));
    assert_eq!(rules.variants[0].payload.as_deref(), Some("{\"b\":2}"));
    assert_eq!(rules.variants[1].payload, None);
}
