use super::*;

fn numbers() -> Numbers {
    Numbers {
        group_types: [(0, Here::Number(3)), (1, Here::Missing("no room".into()))].into(),
        cohorts: [(7, Here::Number(70)), (8, Here::Missing("cohort 8 is gone".into()))].into(),
        flags: [("12".to_owned(), Here::Number(120)), ("other".to_owned(), Here::Number(121))]
            .into(),
    }
}

fn conditions(property: Value) -> Value {
    json!({"groups": [{"properties": [property]}]})
}

#[test]
fn every_reference_of_a_flag_is_found_and_gets_its_number_here() {
    let filters = json!({
        "aggregation_group_type_index": 0,
        "groups": [
            {"aggregation_group_type_index": 0, "rollout_percentage": 12.50, "properties": [
                {"type": "group", "key": "$group_key", "group_type_index": 0, "value": "acme",
                    "group_key_names": {"acme": "Acme"}}]},
            {"aggregation_group_type_index": null, "properties": [
                {"type": "cohort", "key": "id", "value": 7, "cohort_name": "Payers"},
                {"type": "cohort", "key": "id", "value": "7", "operator": "not_in"},
                {"type": "flag", "key": 12, "operator": "flag_evaluates_to", "value": true},
                {"type": "flag", "key": "other", "operator": "flag_evaluates_to", "value": "a"},
                {"type": "person", "key": "7", "value": "7", "group_type_index": null}]}],
        "super_groups": [{"properties": [{"type": "cohort", "key": "id", "value": 7}]}],
        "holdout_groups": null,
        "payloads": {"true": "7"},
    });
    let referred = Referred::by_flag(&filters);
    assert_eq!(referred.group_types, [0].into());
    assert_eq!(referred.cohorts, [7].into());
    assert_eq!(referred.flags, ["12".to_owned(), "other".to_owned()].into());
    let expected = json!({
        "aggregation_group_type_index": 3,
        "groups": [
            {"aggregation_group_type_index": 3, "rollout_percentage": 12.50, "properties": [
                {"type": "group", "key": "$group_key", "group_type_index": 3, "value": "acme"}]},
            {"aggregation_group_type_index": null, "properties": [
                {"type": "cohort", "key": "id", "value": 70},
                {"type": "cohort", "key": "id", "value": 70, "operator": "not_in"},
                {"type": "flag", "key": "120", "operator": "flag_evaluates_to", "value": true},
                {"type": "flag", "key": "121", "operator": "flag_evaluates_to", "value": "a"},
                {"type": "person", "key": "7", "value": "7", "group_type_index": null}]}],
        "super_groups": [{"properties": [{"type": "cohort", "key": "id", "value": 70}]}],
        "holdout_groups": null,
        "payloads": {"true": "7"},
    });
    assert_eq!(numbers().of_flag(&filters).unwrap(), expected);
}

#[test]
fn every_reference_of_a_cohort_is_found_at_any_depth() {
    let leaf = json!({"type": "cohort", "key": "id", "value": 7, "negation": true});
    let tree = json!({"properties": {"type": "OR", "values": [
        {"type": "AND", "values": [leaf, {"type": "person", "key": "a", "value": 7}]}]}});
    let older = json!({"groups": [{"properties": [leaf]}, {"event_id": "x"}]});
    for filters in [tree, older] {
        assert_eq!(Referred::by_cohort(&filters).cohorts, [7].into(), "{filters}");
        let here = numbers().of_cohort(&filters).unwrap().to_string();
        assert!(here.contains(r#""value":70,"negation":true"#), "{here}");
    }
}

#[test]
fn what_is_not_here_is_told_and_nothing_is_rewritten_to_the_wrong_thing() {
    let cases = [
        (json!({"type": "cohort", "value": 8}), "cohort 8 is gone"),
        (json!({"type": "cohort", "value": 9}), "cohort 9, which the source does not list"),
        (json!({"type": "flag", "key": "13"}), "flag 13, which the source does not list"),
        (json!({"type": "group", "group_type_index": 1}), "no room"),
        (json!({"type": "group", "group_type_index": 2}), "group type 2, whose name"),
    ];
    for (property, expected) in cases {
        let why = numbers().of_flag(&conditions(property.clone())).unwrap_err();
        assert!(why.contains(expected), "{property}: {why}");
    }
    for odd in [json!(null), json!([1]), json!({"groups": 7}), conditions(json!("x"))] {
        assert_eq!(numbers().of_flag(&odd).unwrap(), odd, "left for the rules to judge");
    }
}
