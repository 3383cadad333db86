use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::engine::fixtures::{flag, now, set, source};
use crate::engine::{Facts, FlagSource, Properties};

fn subject(properties: &Properties) -> Subject<'_> {
    Subject::new("user-61", Facts { sent: Some(properties), ..Facts::default() })
}

fn person() -> Properties {
    json!({"plan": "pro"}).as_object().expect("an object").clone()
}

#[test]
fn conditions_after_the_one_that_decided_are_told_too() {
    let pro = json!([{"key": "plan", "value": "pro"}, {"key": "email", "type": "person", "operator": "is_set"}]);
    let set = set([flag(
        1,
        "beta-search",
        json!({"groups": [
            {"properties": pro},
            {"properties": [{"key": "plan", "value": "pro"}], "rollout_percentage": 0},
            {"variant": "b"},
            {"rollout_percentage": 100}
        ]}),
    )]);
    let person = person();
    let explanation = explain(&set, &set.flags()[0], &subject(&person), now());
    let got: Vec<_> = explanation
        .conditions
        .iter()
        .map(|report| {
            (
                report.matched,
                report.properties_matched,
                report.rollout_excluded,
                report.rollout_percentage,
            )
        })
        .collect();
    let expected = [
        (false, false, false, 100.0),
        (false, true, true, 0.0),
        (true, true, false, 100.0),
        (false, true, false, 100.0),
    ];
    assert_eq!(got, expected);
    assert_eq!(explanation.outcome.condition_index, Some(2));
    assert_eq!(explanation.conditions[2].variant, Some("b"));
}

#[test]
fn filters_are_told_with_what_they_found() {
    let filters = json!({"groups": [{"properties": [
        {"key": "plan", "value": ["pro", "team"], "operator": "exact", "type": "person"},
        {"key": "email", "operator": "icontains", "value": "@", "type": "person"},
        {"key": "2", "type": "flag", "operator": "flag_evaluates_to", "value": true},
        {"key": "id", "type": "cohort", "value": "x"}
    ]}]});
    let set = set([flag(1, "flag", filters), flag(2, "read", json!({"groups": [{}]}))]);
    let person = person();
    let explanation = explain(&set, &set.flags()[0], &subject(&person), now());
    let properties = &explanation.conditions[0].properties;
    let got: Vec<_> = properties
        .iter()
        .map(|report| {
            (report.key, report.operator, report.kind, report.actual_value.clone(), report.matched)
        })
        .collect();
    let expected = [
        ("plan", "exact", "person", Some(json!("pro")), true),
        ("email", "icontains", "person", None, false),
        ("2", "flag_evaluates_to", "flag", Some(json!(true)), true),
        ("id", "in", "cohort", None, false),
    ];
    assert_eq!(got, expected);
    assert_eq!(properties[0].value, &json!(["pro", "team"]));
    assert!(properties.iter().all(|report| !report.explanation.is_empty()));
}

#[test]
fn a_flag_that_is_off_or_not_of_the_set_is_explained() {
    let filters = json!({"groups": [{"properties": [
        {"key": "2", "type": "flag", "operator": "flag_evaluates_to", "value": false}]}]});
    let inactive = Flag::compile(&FlagSource { active: false, ..source(1, "flag", &filters) });
    let older = Flag::compile(&source(1, "flag", &filters));
    let broken = flag(1, "flag", json!([]));
    let off = Flag::compile(&FlagSource { active: false, ..source(2, "read", &json!({})) });
    let set = set([Arc::new(off)]);
    let cases = [
        ("switched off", &inactive, "flag_disabled", 1),
        ("an older version", &older, "condition_match", 1),
        ("not understood", &*broken, "flag_data_parsing_error", 0),
    ];
    let person = person();
    for (name, flag, code, conditions) in cases {
        let explanation = explain(&set, flag, &subject(&person), now());
        assert_eq!(explanation.outcome.reason.code(), code, "{name}");
        assert_eq!(explanation.conditions.len(), conditions, "{name}");
    }
}
