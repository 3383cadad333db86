use std::{collections::HashMap, sync::LazyLock};

use super::*;
use crate::{model::error::Error, rules_format::RulesFormat};

static OWN: LazyLock<Own> = LazyLock::new(|| Own {
    id: Some(1),
    key: "own".into(),
    filters: json!({"groups": [{"properties": [{"operator": "regex", "value": "(stored"}]}]}),
    has_early_access: false,
});

/// Flags 2 (reads 3), 3 (reads 1), 4 (off), 5; cohorts 7 and 8 (decided by events).
static KNOWN: LazyLock<Known> = LazyLock::new(|| {
    let flag =
        |key: &str, active| KnownFlag { key: key.into(), active, format: RulesFormat::Conditions };
    let cohort = |name: &str, is_behavioural| KnownCohort { name: name.into(), is_behavioural };
    Known {
        flags: HashMap::from([
            (2, flag("two", true)),
            (3, flag("three", true)),
            (4, flag("four", false)),
            (5, flag("five", true)),
        ]),
        dependencies: HashMap::from([(2, vec![3]), (3, vec![1]), (4, vec![]), (5, vec![])]),
        cohorts: HashMap::from([(7, cohort("Plain", false)), (8, cohort("Busy", true))]),
        grammar: Grammar {
            is_date: |value| {
                value.as_str().is_some_and(|text| text.starts_with("-") || text.starts_with("20"))
            },
            is_version: |value| value.as_str().is_some_and(|text| text.starts_with('1')),
            problem: |_| None,
            is_cohort: |_| true,
        },
    }
});

fn context(creating: bool, is_remote_configuration: bool) -> Context<'static> {
    Context { creating, origin: Origin::Request, is_remote_configuration, own: &OWN, known: &KNOWN }
}

fn accepted(sent: &Value, context: Context<'_>) -> Result<Value> {
    let prepared = PreparedFilters::new(sent, context.fills_rollout(), &context.known.grammar);
    accept(sent, &prepared, context)
}

fn update(sent: &Value) -> Result<Value> {
    accepted(sent, context(false, false))
}

fn create(sent: &Value) -> Result<Value> {
    accepted(sent, context(true, false))
}

fn refusal(outcome: Result<Value>) -> Error {
    let error = outcome.expect_err("a refusal");
    assert_eq!(error.attr.as_deref(), Some("filters"));
    error
}

/// Filters of one condition set with these properties.
fn with(properties: Value) -> Value {
    json!({"groups": [{"properties": properties}]})
}

#[test]
fn each_broken_shape_is_refused_with_its_message() {
    let group = |body: Value| json!({"groups": [body]});
    let variants = |list: Value| json!({"groups": [{}], "multivariate": {"variants": list}});
    let cases = [
        (json!([]), "Expected a dictionary of items but got type \"list\"."),
        (json!(null), "This field may not be null."),
        (json!({"groups": {}}), "groups must be a list, got dict"),
        (json!({"groups": [1]}), "groups[0] must be an object, got int"),
        (
            json!({"groups": [], "aggregation_group_type_index": true}),
            "aggregation_group_type_index must be an integer or null, got bool",
        ),
        (json!({"early_exit": 1}), "early_exit must be a boolean or null, got int"),
        (group(json!({"variant": 1})), "groups[0].variant must be a string or null, got int"),
        (
            group(json!({"rollout_percentage": "50"})),
            "groups[0].rollout_percentage must be a number or null, got str",
        ),
        (
            group(json!({"rollout_percentage": 100.5})),
            "groups[0].rollout_percentage must be between 0 and 100, got 100.5",
        ),
        (
            group(json!({"rollout_percentage": -1})),
            "groups[0].rollout_percentage must be between 0 and 100, got -1",
        ),
        (
            group(json!({"aggregation_group_type_index": "0"})),
            "groups[0].aggregation_group_type_index must be an integer or null, got str",
        ),
        (
            group(json!({"properties": [{"group_type_index": 1.5}]})),
            "groups[0].properties[0].group_type_index must be an integer or null, got float",
        ),
        (group(json!({"properties": {}})), "groups[0].properties must be a list, got dict"),
        (json!({"multivariate": []}), "multivariate must be an object or null, got list"),
        (
            variants(json!([{"key": "a"}])),
            "multivariate.variants[0].rollout_percentage must be a number, got null",
        ),
        (
            variants(json!([{"key": "a", "rollout_percentage": 90}])),
            "Invalid variant definitions: Variant rollout percentages must sum to 100.",
        ),
        (group(json!({"variant": "a"})), "Filters are not valid (variant override does not exist)"),
        (json!({"payloads": []}), "Payloads must be passed as a dictionary"),
        (json!({"payloads": {"true": "{"}}), "Payload value is not valid JSON"),
        (json!({"payloads": {"on": "1"}}), "Payload keys must be 'true' for boolean flags"),
        (
            json!({
                "payloads": {"true": "1"},
                "multivariate": {"variants": [{"key": "a", "rollout_percentage": 100}]},
            }),
            "Payload keys must match a variant key for multivariate flags",
        ),
        (json!({"groups": [{"description": "a\u{0}b"}]}), "Null characters are not allowed."),
    ];
    for (sent, expected) in cases {
        assert_eq!(refusal(update(&sent)).detail, expected, "{sent}");
    }
}

#[test]
fn an_infinite_percentage_is_named_as_such() {
    let sent = serde_json::from_str(r#"{"groups": [{"rollout_percentage": 1e999}]}"#).unwrap();
    assert_eq!(
        refusal(update(&sent)).detail,
        "groups[0].rollout_percentage must be finite, got inf"
    );
}

#[test]
fn only_a_creation_must_bring_a_condition() {
    let empty = json!({"groups": []});
    let expected = "Feature flags must have at least one condition set (group).";
    assert_eq!(refusal(create(&empty)).detail, expected);
    assert_eq!(refusal(create(&json!({}))).detail, expected);
    assert!(update(&empty).is_ok());
}

#[test]
fn shares_are_added_as_decimals() {
    let shared = |shares: [f64; 3]| {
        let variants: Vec<_> = shares
            .iter()
            .enumerate()
            .map(|(index, share)| json!({"key": index.to_string(), "rollout_percentage": share}))
            .collect();
        update(&json!({"multivariate": {"variants": variants}}))
    };
    assert!(shared([70.1, 15.3, 14.6]).is_ok());
    assert!(shared([70.1, 15.3, 14.600_000_1]).is_err());
}

#[test]
fn filters_over_the_limit_are_refused_with_both_sizes() {
    let sent = json!({"groups": [{"description": "x".repeat(MAX_BYTES)}]});
    let detail = refusal(update(&sent)).detail.clone();
    assert!(detail.starts_with("Feature flag filters exceed maximum size of 524288."), "{detail}");
}

#[test]
fn what_is_stored_is_normalised() {
    let cases = [
        (
            "an aggregation is named on each group and on the flag",
            json!({"groups": [{"rollout_percentage": 50}]}),
            json!({
                "groups": [{"rollout_percentage": 50, "aggregation_group_type_index": null}],
                "aggregation_group_type_index": null,
            }),
        ),
        (
            "a shared aggregation moves up",
            json!({"groups": [{"aggregation_group_type_index": 1}]}),
            json!({"groups": [{"aggregation_group_type_index": 1}], "aggregation_group_type_index": 1}),
        ),
        (
            "differing aggregations leave the flag without one",
            json!({"groups": [{"aggregation_group_type_index": 1}, {}], "aggregation_group_type_index": 0}),
            json!({
                "groups": [{"aggregation_group_type_index": 1}, {"aggregation_group_type_index": 0}],
                "aggregation_group_type_index": null,
            }),
        ),
        (
            "payload values become text, and text stays",
            json!({"groups": [], "payloads": {"true": {"a": 1}}}),
            json!({"groups": [], "payloads": {"true": "{\"a\":1}"}}),
        ),
        (
            "a null payload becomes its text",
            json!({"groups": [], "payloads": {"true": null}}),
            json!({"groups": [], "payloads": {"true": "null"}}),
        ),
        (
            "unknown keys stay",
            json!({"groups": [], "x": {"y": [1.0]}}),
            json!({"groups": [], "x": {"y": [1.0]}}),
        ),
    ];
    for (name, sent, stored) in cases {
        assert_eq!(update(&sent).unwrap(), stored, "{name}");
    }
}

#[test]
fn operators_and_flag_references_have_one_spelling() {
    let sent = json!({"groups": [{"properties": [
        {"key": "age", "operator": "min", "value": "3", "type": "person"},
        {"key": 5, "operator": "flag_evaluates_to", "value": true, "type": "flag"},
    ]}]});
    let stored = update(&sent).unwrap();
    let properties = &stored["groups"][0]["properties"];
    assert_eq!(properties[0]["operator"], "gte");
    assert_eq!(properties[1]["key"], "5");
}

#[test]
fn a_new_remote_configuration_is_for_everybody() {
    let context = context(true, true);
    let group = json!({"properties": [], "rollout_percentage": 100, "variant": null, "aggregation_group_type_index": null});
    assert_eq!(initial(context)["groups"], json!([group]));
    let sent = json!({"groups": [{"rollout_percentage": 0}, {"rollout_percentage": 30}]});
    let stored = accepted(&sent, context).unwrap();
    assert_eq!(stored["groups"][0]["rollout_percentage"], 100);
    assert_eq!(stored["groups"][1]["rollout_percentage"], 30);
}

#[test]
fn meaning_leaves_spelling_aside() {
    let stored = json!({"groups": [{"properties": [], "rollout_percentage": 50, "variant": null}]});
    assert!(same_meaning(&stored, &json!({"groups": [{"rollout_percentage": 50.0}]})));
    assert!(!same_meaning(&stored, &json!({"groups": [{"rollout_percentage": 51}]})));
    assert!(!same_meaning(&stored, &json!({"groups": []})));
    assert!(!same_meaning(&json!({"value": []}), &json!({})), "an empty value list matches people");
}

#[test]
fn each_property_that_flags_cannot_use_is_refused_with_its_code() {
    let person = |operator: &str, value: Value| json!([{"key": "k", "type": "person", "operator": operator, "value": value}]);
    let cohort =
        |value: Value| json!([{"key": "id", "type": "cohort", "operator": "in", "value": value}]);
    let reads = |key: Value| json!([{"key": key, "type": "flag", "operator": "flag_evaluates_to", "value": true}]);
    let cases = [
        (
            person("regex", json!("(")),
            "invalid_input",
            "groups[0].properties[0].value: invalid regex pattern",
        ),
        (
            json!([{"key": "k", "type": "group", "group_type_index": 0}]),
            "invalid_input",
            "Filters are not valid (person-aggregated conditions can only use person, cohort, and flag properties)",
        ),
        (
            json!([{"key": "k", "value": "x"}]),
            "invalid_input",
            "Filters are not valid (person-aggregated conditions can only use person, cohort, and flag properties)",
        ),
        (
            json!([{"key": "2", "type": "flag", "operator": "exact", "value": true}]),
            "invalid_input",
            "Flag properties must use the 'flag_evaluates_to' operator",
        ),
        (
            reads(json!("beta")),
            "invalid_input",
            "Flag dependencies must reference flag IDs (integers), not flag keys. Invalid reference: 'beta'",
        ),
        (
            reads(json!(99)),
            "invalid_input",
            "Flag dependency references non-existent flag with ID 99",
        ),
        (
            reads(json!("4")),
            "invalid_input",
            "Cannot create dependency on disabled flag 'four' (ID: 4). Flag dependencies must reference active flags only.",
        ),
        (reads(json!("1")), "invalid_input", "Feature flag 'own' cannot depend on itself"),
        (
            reads(json!("2")),
            "invalid_input",
            "Circular dependency detected: own → two → three → own",
        ),
        (person("nearly", json!("x")), "invalid_operator", "Invalid operator: nearly"),
        (
            person("between", json!([1, 2])),
            "unsupported_operator",
            "Unsupported operator for feature flags: between",
        ),
        (cohort(json!(9)), "cohort_does_not_exist", "Cohort with id 9 does not exist"),
        (
            cohort(json!("8")),
            "behavioral_cohort_found",
            "Cohort 'Busy' with filters on events cannot be used in feature flags.",
        ),
        (person("is_date_after", json!("soon")), "invalid_date", "Invalid date value: soon"),
        (person("gt", json!([5])), "invalid_value", "Invalid value for operator gt: [5]"),
        (person("min", json!(true)), "invalid_value", "Invalid value for operator gte: true"),
        (person("regex", json!(5)), "invalid_value", "Invalid value for operator regex: 5"),
        (
            person("icontains", json!(["a"])),
            "invalid_value",
            "Invalid value for operator icontains: [\"a\"]",
        ),
        (
            person("in", json!([1])),
            "invalid_operator",
            "The 'in' operator is only valid for cohort properties, not 'person' properties.",
        ),
        (
            person("semver_gt", json!(1)),
            "invalid_value",
            "Invalid value for operator semver_gt: expected a semver string",
        ),
        (
            person("semver_gt", json!("x")),
            "invalid_value",
            "Invalid semver value for operator semver_gt: x",
        ),
        (
            person("icontains_multi", json!("a")),
            "invalid_value",
            "icontains_multi operator requires a list of values",
        ),
    ];
    for (properties, code, detail) in cases {
        let error = refusal(update(&with(properties.clone())));
        assert_eq!((error.reason.as_ref(), error.detail.as_str()), (code, detail), "{properties}");
    }
}

#[test]
fn what_flags_can_use_is_accepted() {
    let cases = [
        json!([{"key": "k", "type": "person", "operator": "regex", "value": "v{x}"}]),
        json!([{"key": "k", "type": "person", "operator": "regex", "value": "(stored"}]),
        json!([{"key": "k", "type": "person", "operator": "gt", "value": "5"}]),
        json!([{"key": "k", "type": "person", "operator": "semver_wildcard", "value": "1.2.*"}]),
        json!([{"key": "k", "type": "person", "operator": null, "value": 5}]),
        json!([{"key": "id", "type": "cohort", "value": 7}]),
        json!([{"key": 5, "type": "flag", "operator": "flag_evaluates_to", "value": false}]),
    ];
    for properties in cases {
        assert!(update(&with(properties.clone())).is_ok(), "{properties}");
    }
}

#[test]
fn groups_use_properties_of_their_own_type_alone() {
    let grouped = |properties: Value| json!({"groups": [{"aggregation_group_type_index": 1, "properties": properties}]});
    let detail = |sent: &Value| refusal(update(sent)).detail.clone();
    assert_eq!(
        detail(&grouped(json!([{"key": "k", "type": "person", "value": "x"}]))),
        "Filters are not valid (group-aggregated conditions can only use group properties)"
    );
    assert_eq!(
        detail(&grouped(
            json!([{"key": "k", "type": "group", "group_type_index": 0, "value": "x"}])
        )),
        "Filters are not valid (group properties must match the condition set's group type)"
    );
    let fitting = json!([{"key": "k", "type": "group", "group_type_index": 1, "value": "x"}]);
    assert!(update(&grouped(fitting)).is_ok());
}

#[test]
fn early_access_knows_no_groups() {
    let own = Own { has_early_access: true, ..OWN.clone() };
    let context = Context { own: &own, ..context(false, false) };
    let sent = json!({"groups": [{"aggregation_group_type_index": 0, "properties": []}]});
    let detail = refusal(accepted(&sent, context)).detail.clone();
    assert!(detail.starts_with("Cannot use group aggregation in any condition set"), "{detail}");
}

#[test]
fn comparisons_of_numbers_take_texts_and_numbers() {
    for operator in ["gt", "gte", "lt", "lte", "min", "max"] {
        for value in [json!("5"), json!(5), json!(-1.5), json!(0)] {
            let property =
                json!({"key": "k", "type": "person", "operator": operator, "value": value});
            let sent = json!({"groups": [{"properties": [property]}]});
            let stored = update(&sent).unwrap();
            assert_eq!(stored["groups"][0]["properties"][0]["value"], value, "{operator}");
        }
    }
}

#[test]
fn an_import_takes_variants_as_they_are_served() {
    let variants = json!([{"key": "a", "rollout_percentage": 50},
        {"key": "b", "rollout_percentage": 30}]);
    let sent = json!({"groups": [{}], "multivariate": {"variants": variants}});
    let from = |origin| accepted(&sent, Context { origin, ..context(false, false) });
    for origin in [Origin::Request, Origin::Operation] {
        let detail = refusal(from(origin)).detail.clone();
        let text = "Invalid variant definitions: Variant rollout percentages must sum to 100.";
        assert_eq!(detail, text);
    }
    assert_eq!(from(Origin::Import).unwrap()["multivariate"]["variants"], variants);
}
