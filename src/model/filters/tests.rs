use super::*;

const UPDATE: Context = Context { creating: false, is_remote_configuration: false };
const CREATE: Context = Context { creating: true, is_remote_configuration: false };

fn refusal(sent: &Value, context: Context) -> String {
    let error = accept(sent, context).expect_err(&sent.to_string());
    assert_eq!(error.attr.as_deref(), Some("filters"), "{sent}");
    error.detail
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
        assert_eq!(refusal(&sent, UPDATE), expected, "{sent}");
    }
}

#[test]
fn an_infinite_percentage_is_named_as_such() {
    let sent = serde_json::from_str(r#"{"groups": [{"rollout_percentage": 1e999}]}"#).unwrap();
    assert_eq!(refusal(&sent, UPDATE), "groups[0].rollout_percentage must be finite, got inf");
}

#[test]
fn only_a_creation_must_bring_a_condition() {
    let empty = json!({"groups": []});
    let expected = "Feature flags must have at least one condition set (group).";
    assert_eq!(refusal(&empty, CREATE), expected);
    assert_eq!(refusal(&json!({}), CREATE), expected);
    assert!(accept(&empty, UPDATE).is_ok());
}

#[test]
fn shares_are_added_as_decimals() {
    let with = |shares: [f64; 3]| {
        let variants: Vec<_> = shares
            .iter()
            .enumerate()
            .map(|(index, share)| json!({"key": index.to_string(), "rollout_percentage": share}))
            .collect();
        accept(&json!({"multivariate": {"variants": variants}}), UPDATE)
    };
    assert!(with([70.1, 15.3, 14.6]).is_ok());
    assert!(with([70.1, 15.3, 14.600_000_1]).is_err());
}

#[test]
fn filters_over_the_limit_are_refused_with_both_sizes() {
    let sent = json!({"groups": [{"description": "x".repeat(MAX_BYTES)}]});
    let detail = refusal(&sent, UPDATE);
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
        assert_eq!(accept(&sent, UPDATE).unwrap(), stored, "{name}");
    }
}

#[test]
fn operators_and_flag_references_have_one_spelling() {
    let sent = json!({"groups": [{"properties": [
        {"key": "age", "operator": "min", "value": "3", "type": "person"},
        {"key": 12, "operator": "flag_evaluates_to", "value": true, "type": "flag"},
    ]}]});
    let stored = accept(&sent, UPDATE).unwrap();
    let properties = &stored["groups"][0]["properties"];
    assert_eq!(properties[0]["operator"], "gte");
    assert_eq!(properties[1]["key"], "12");
}

#[test]
fn a_new_remote_configuration_is_for_everybody() {
    let context = Context { creating: true, is_remote_configuration: true };
    let group = json!({"properties": [], "rollout_percentage": 100, "variant": null, "aggregation_group_type_index": null});
    assert_eq!(initial(context)["groups"], json!([group]));
    let sent = json!({"groups": [{"rollout_percentage": 0}, {"rollout_percentage": 30}]});
    let stored = accept(&sent, context).unwrap();
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
