use serde_json::json;

use super::*;

fn found(body: &Value, shape: &Shape) -> Vec<(String, Option<&'static str>)> {
    let found = find(body.as_object().expect("an object"), shape);
    found.into_iter().map(|warning| (warning.path, warning.suggestion)).collect()
}

#[test]
fn misspelled_names_are_found_wherever_they_are() {
    let cases = [
        (json!({"actve": false}), "actve", Some("active")),
        (json!({"enabled": true}), "enabled", Some("active")),
        (json!({"rollout_percentage": 10}), "rollout_percentage", None),
        (json!({"filters": {"grups": []}}), "filters.grups", Some("groups")),
        (
            json!({"filters": {"groups": [{}, {"rolout_percentage": 10}]}}),
            "filters.groups[1].rolout_percentage",
            Some("rollout_percentage"),
        ),
        (
            json!({"filters": {"groups": [{"properties": [{"key": "a", "opertor": "exact"}]}]}}),
            "filters.groups[0].properties[0].opertor",
            Some("operator"),
        ),
        (
            json!({"filters": {"multivariate": {"variant": []}}}),
            "filters.multivariate.variant",
            Some("variants"),
        ),
        (
            json!({"filters": {"multivariate": {"variants": [{"key": "a", "keys": 1}]}}}),
            "filters.multivariate.variants[0].keys",
            Some("key"),
        ),
        (
            json!({"filters": {"holdout": {"id": 1, "exclusion_percent": 1}}}),
            "filters.holdout.exclusion_percent",
            Some("exclusion_percentage"),
        ),
        (
            json!({"filters": {"super_groups": [{"propertys": []}]}}),
            "filters.super_groups[0].propertys",
            Some("properties"),
        ),
    ];
    for (body, path, suggestion) in cases {
        assert_eq!(found(&body, &FLAG), [(path.to_owned(), suggestion)], "{body}");
    }
    let tree = json!({"filters": {"properties": {"type": "AND", "values": [
        {"type": "OR", "values": [{"key": "a", "vale": 1}]}]}}});
    let path = "filters.properties.values[0].values[0].vale";
    assert_eq!(found(&tree, &COHORT), [(path.to_owned(), Some("value"))]);
    let settings = json!({"strict_write": true, "name": "x"});
    assert_eq!(found(&settings, &PROJECT), [("strict_write".to_owned(), Some("strict_writes"))]);
}

#[test]
fn what_answers_and_clients_hold_is_known() {
    let property = json!({"key": "a", "type": "person", "operator": "exact", "value": {"any": 1},
        "group_type_index": null, "negation": false, "label": "l", "cohort_name": "c",
        "group_key_names": {"k": "n"}});
    let condition = json!({"properties": [property], "rollout_percentage": 5, "variant": null,
        "aggregation_group_type_index": null, "description": "d", "sort_key": "s"});
    let flag = json!({"key": "k", "creation_context": "surveys", "_create_in_folder": "f",
        "_should_create_usage_dashboard": false, "rollout_percentage": null, "is_simple_flag": false,
        "original_flag": {"anything": 1}, "rollback_conditions": [{"anything": 1}],
        "filters": {"groups": [condition], "payloads": {"anything": 1}, "super_groups": [condition],
            "holdout_groups": null, "multivariate": {"variants": [
                {"key": "a", "name": "n", "rollout_percentage": 100, "description": "d"}]},
            "holdout": {"id": 1, "exclusion_percentage": 10}, "aggregation_group_type_index": null,
            "feature_enrollment": null, "early_exit": null}});
    assert_eq!(found(&flag, &FLAG), []);
}

#[test]
fn everything_said_is_bounded() {
    let many: Object = (0..10_000).map(|at| (format!("{at:0>200}"), Value::Null)).collect();
    let warnings = find(&many, &FLAG);
    assert_eq!(warnings.len(), MAX_WARNINGS);
    assert!(warnings.iter().all(|warning| warning.path.len() <= MAX_NAME_LENGTH));
}

#[test]
fn a_strict_write_is_refused_at_its_first_unknown_field() {
    let body = json!({"key": "k", "filters": {"groups": [{"varient": "a"}]}, "actve": true});
    let body = body.as_object().expect("an object");
    let check = |header: Option<&str>, project| {
        Strictness::parse(header).expect("a header").check(body, &FLAG, project)
    };
    assert_eq!(check(None, false).expect("lenient").len(), 2);
    assert_eq!(check(Some("False"), true).expect("lenient").len(), 2);
    for (header, project) in [(Some("true"), false), (None, true), (Some("TRUE"), true)] {
        let error = check(header, project).expect_err("strict");
        let detail = "Unknown field \"filters.groups[0].varient\". Did you mean \"variant\"?";
        assert_eq!((error.detail.as_str(), &*error.reason), (detail, "unknown_field"));
        assert_eq!(error.attr.as_deref(), Some("filters"));
    }
    assert!(Strictness::parse(Some("yes")).is_err());
}
