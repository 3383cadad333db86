use serde_json::json;

use super::*;

const GRAMMAR: Grammar = Grammar {
    is_date: |value| value == "2026-01-01" || value == "-7d",
    is_version: |value| value == "1.2.3",
    problem: |_| None,
    is_cohort: |_| true,
};

fn outcome(filters: &Value) -> Option<String> {
    accept(filters, &GRAMMAR).err().map(|error| {
        assert_eq!(error.attr.as_deref(), Some("filters"), "{filters}");
        error.detail.clone()
    })
}

fn of(leaf: Value) -> Value {
    json!({"properties": {"type": "AND", "values": [leaf]}})
}

fn person(operator: &str, value: Value) -> Value {
    of(json!({"type": "person", "key": "k", "operator": operator, "value": value}))
}

#[test]
fn trees_have_their_shape() {
    let cases = [
        (json!(null), Some("This field may not be null.")),
        (json!([]), Some("Expected a dictionary of items but got type \"list\".")),
        (json!({}), Some("properties must be an object, got NoneType")),
        (json!({"properties": null}), Some("properties must be an object, got NoneType")),
        (json!({"properties": []}), Some("properties must be an object, got list")),
        (json!({"properties": {}}), Some("properties.type must be AND or OR, got null")),
        (
            json!({"properties": {"type": "XOR", "values": []}}),
            Some("properties.type must be AND or OR, got XOR"),
        ),
        (
            json!({"properties": {"type": "AND"}}),
            Some("properties.values must be a list, got NoneType"),
        ),
        (
            json!({"properties": {"type": "OR", "values": {}}}),
            Some("properties.values must be a list, got dict"),
        ),
        (of(json!(1)), Some("properties.values[0] must be an object, got int")),
        (
            of(json!({"type": "OR"})),
            Some("properties.values[0].values must be a list, got NoneType"),
        ),
        (of(json!({"values": []})), Some("properties.values[0].type must be AND or OR, got null")),
        (json!({"properties": {"type": "AND", "values": []}}), None),
        (of(json!({"type": "property", "values": [], "label": "kept"})), None),
        (of(json!({"key": "a\0"})), Some("Null characters are not allowed.")),
    ];
    for (filters, refused) in cases {
        assert_eq!(outcome(&filters).as_deref(), refused, "{filters}");
    }
}

#[test]
fn nesting_is_bounded() {
    let leaf = json!({"key": "k", "value": "v"});
    let nested = |groups| {
        let tree =
            (0..groups).fold(leaf.clone(), |tree, _| json!({"type": "OR", "values": [tree]}));
        json!({ "properties": tree })
    };
    assert_eq!(outcome(&nested(DEEPEST)), None);
    assert!(!crate::model::json::too_deep(&json!({"filters": nested(DEEPEST)})));
    let error = outcome(&nested(DEEPEST + 1)).unwrap();
    assert!(error.ends_with("is nested deeper than 14 groups"), "{error}");
}

#[test]
fn leaves_are_judged_as_evaluation_reads_them() {
    let cases = [
        (person("exact", json!(["a", 1])), None),
        (person("is_set", json!(null)), None),
        (person("gt", json!(30)), None),
        (person("gt", json!("30")), None),
        (person("gt", json!([30])), Some("Invalid value for operator gt: [30]")),
        (person("icontains", json!(3)), Some("Invalid value for operator icontains: 3")),
        (person("starts_with", json!("x")), None),
        (person("between", json!([1, "2.5"])), None),
        (person("between", json!([3, 2])), Some("between operator requires a list of two numbers")),
        (
            person("not_between", json!(3)),
            Some("not_between operator requires a list of two numbers"),
        ),
        (
            person("icontains_multi", json!("x")),
            Some("icontains_multi operator requires a list of values"),
        ),
        (person("is_date_after", json!("-7d")), None),
        (person("is_date_after", json!("soon")), Some("Invalid date value: soon")),
        (person("semver_gt", json!("1.2.3")), None),
        (
            person("semver_gt", json!("one")),
            Some("Invalid semver value for operator semver_gt: one"),
        ),
        (person("regex", json!("a+")), None),
        (person("regex", json!("(")), Some("properties.values[0].value: invalid regex pattern")),
        (person("like", json!("x")), Some("Invalid operator: like")),
        (person("flag_evaluates_to", json!(true)), Some("Invalid operator: flag_evaluates_to")),
        (
            person("in", json!(1)),
            Some("The 'in' operator is only valid for cohort properties, not 'person' properties."),
        ),
        (
            of(json!({"type": "person"})),
            Some("properties.values[0].key must be a string, got NoneType"),
        ),
        (of(json!({"key": ""})), Some("properties.values[0].key may not be blank")),
        (of(json!({"key": "k", "value": 1, "negation": true})), None),
        (
            of(json!({"key": "k", "negation": "yes"})),
            Some("properties.values[0].negation must be a boolean or null, got str"),
        ),
        (
            of(json!({"type": "event", "key": "k"})),
            Some("Cohorts can only use person, cohort and behavioral properties, not event"),
        ),
        (of(json!({"type": 1})), Some("properties.values[0].type must be a string, got int")),
        (of(json!({"type": "behavioral", "key": "$pageview", "time_value": 3})), None),
        (of(json!({"type": "person_metadata", "key": "created_at", "operator": "is_set"})), None),
        (of(json!({"type": "cohort", "key": "id", "value": "7"})), None),
        (of(json!({"type": "cohort", "value": "x"})), Some("Cohort with id x does not exist")),
        (of(json!({"type": "cohort"})), Some("Cohort with id null does not exist")),
        (
            of(json!({"type": "cohort", "value": 7, "operator": "exact"})),
            Some("Invalid operator: exact"),
        ),
    ];
    for (filters, refused) in cases {
        assert_eq!(outcome(&filters).as_deref(), refused, "{filters}");
    }
}

#[test]
fn older_cohorts_are_taken_as_they_are() {
    let taken = json!({"groups": [
        {"properties": [{"key": "k", "value": "v", "type": "event"}, {"key": "k", "value": "v"}]},
        {"properties": {"plan": "pro"}},
        {"event_id": "$pageview", "days": 7},
    ], "kept": 1});
    assert_eq!(accept(&taken, &GRAMMAR).unwrap(), taken);
    let cases = [
        (json!({"groups": {}}), "groups must be a list, got dict"),
        (json!({"groups": [1]}), "groups[0] must be an object, got int"),
        (json!({"groups": [{"properties": 1}]}), "groups[0].properties must be a list, got int"),
        (
            json!({"groups": [{"properties": [1]}]}),
            "groups[0].properties[0] must be an object, got int",
        ),
    ];
    for (filters, refused) in cases {
        assert_eq!(outcome(&filters).as_deref(), Some(refused), "{filters}");
    }
}

#[test]
fn operators_lose_their_aliases_and_all_else_is_kept() {
    let sent = r#"{"properties":{"values":[{"key":"age","operator":"min","value":1.50,"x":[]}],"type":"OR"}}"#;
    let sent: Value = serde_json::from_str(sent).unwrap();
    let expected = sent.to_string().replace("min", "gte");
    assert_eq!(accept(&sent, &GRAMMAR).unwrap().to_string(), expected);
}

#[test]
fn size_patterns_and_references_are_bounded() {
    let many =
        |leaf: Value, count| json!({"properties": {"type": "OR", "values": vec![leaf; count]}});
    let pattern = json!({"key": "k", "operator": "regex", "value": "a"});
    assert_eq!(outcome(&many(pattern.clone(), MOST_PATTERNS)), None);
    assert!(outcome(&many(pattern, MOST_PATTERNS + 1)).unwrap().contains("at most 100 regex"));
    let cohort = json!({"type": "cohort", "value": 1});
    assert!(outcome(&many(cohort, MOST_REFERENCES + 1)).unwrap().contains("at most 1000 cohorts"));
    let long = person("exact", json!("x".repeat(MAX_BYTES)));
    assert!(outcome(&long).unwrap().starts_with("Cohort filters exceed maximum size of 524288."));
}
