use chrono::DateTime;
use serde_json::json;

use super::*;
use crate::model::{
    history_point::{HistoryPoint, HistoryToken},
    project::Project,
};

/// A state of the one history that these tests know.
pub(crate) fn at(revision: i64) -> HistoryPoint {
    HistoryPoint::new(revision, HistoryToken::from_stored(revision))
}

pub(crate) fn flag(id: i64, key: &str, filters: Value) -> FeatureFlag {
    let fresh = FeatureFlag::fresh(1, key.into(), DateTime::UNIX_EPOCH);
    FeatureFlag { id, filters, ..fresh }
}

fn project() -> Project {
    Project {
        id: 1,
        organization_id: 1,
        name: "One".into(),
        api_token: "phc_1".into(),
        timezone: "UTC".into(),
        property_matching_version: 1,
        feature_flag_limit: 2000,
        require_evaluation_contexts: false,
        strict_writes: false,
        created_at: DateTime::UNIX_EPOCH,
        revision: 3,
        history_token: at(3).token,
        definitions_token: at(3).token,
        flag_count: 0,
        activity_count: 0,
    }
}

/// Definitions at revision 3.
pub(crate) fn definitions(flags: Vec<FeatureFlag>, cohorts: &[(i64, Value)]) -> Definitions {
    let group_types = BTreeMap::from([(0, "company".to_owned())]);
    Definitions {
        project: project(),
        flags,
        cohorts: cohorts.iter().cloned().collect(),
        group_types,
    }
}

fn written(definitions: &Definitions, form: Form) -> Value {
    serde_json::from_slice(&write(definitions, form).unwrap()).unwrap()
}

pub(crate) fn on(properties: Value) -> Value {
    json!({"groups": [{"properties": properties, "rollout_percentage": 50, "variant": "a"}]})
}

pub(super) fn reads(keys: &[&str]) -> Value {
    let property = |key: &&str| json!({"type": "flag", "key": key, "operator": "flag_evaluates_to", "value": true});
    on(keys.iter().map(property).collect())
}

pub(super) fn plan(value: &str) -> Value {
    json!({"key": "plan", "type": "person", "operator": "exact", "value": value})
}

pub(super) fn member(id: i64) -> Value {
    json!({"key": "id", "type": "cohort", "value": id, "operator": "in"})
}

#[test]
fn a_feed_says_of_each_flag_what_an_evaluator_needs() {
    let filters = json!({"groups": [{"rollout_percentage": 33.30}], "payloads": {"true": "1"}});
    let encrypted = FeatureFlag { version: None, ..flag(9, "a", filters.clone()) };
    let feed = written(&definitions(vec![encrypted], &[]), Form::WithCohorts);
    let expected = json!({
        "flags": [{
            "id": 9, "team_id": 1, "name": "", "key": "a", "filters": filters, "deleted": false,
            "active": true, "ensure_experience_continuity": false, "has_encrypted_payloads": false,
            "version": null, "evaluation_runtime": "all", "evaluation_contexts": [],
            "bucketing_identifier": "distinct_id", "has_experiment": false
        }],
        "group_type_mapping": {"0": "company"},
        "cohorts": {},
        "minimal_flag_called_events": false,
        "property_matching_version": 1
    });
    assert_eq!(feed, expected);
}

#[test]
fn dependencies_are_named_by_key_in_the_order_of_deciding() {
    let flags = vec![
        flag(1, "base", json!({"groups": []})),
        flag(2, "left", reads(&["1"])),
        flag(3, "right", reads(&["1"])),
        flag(4, "top", reads(&["2", "3"])),
        flag(5, "roof", reads(&["4", "1"])),
        flag(6, "self", reads(&["6"])),
        flag(7, "egg", reads(&["8"])),
        flag(8, "hen", reads(&["7"])),
        flag(9, "reads-hen", reads(&["8", "1"])),
        flag(10, "orphan", reads(&["99"])),
        flag(11, "reads-orphan", reads(&["10"])),
        flag(12, "nonsense", reads(&["base"])),
    ];
    let feed = written(&definitions(flags, &[]), Form::WithCohorts);
    let told = |at: usize, of: usize| {
        let property = &feed["flags"][at]["filters"]["groups"][0]["properties"][of];
        (property["key"].clone(), property["dependency_chain"].clone())
    };
    let cases = [
        (1, 0, "base", json!(["base"])),
        (3, 0, "left", json!(["base", "left"])),
        (3, 1, "right", json!(["base", "right"])),
        (4, 0, "top", json!(["base", "left", "right", "top"])),
        (4, 1, "base", json!(["base"])),
        (5, 0, "self", json!([])),
        (6, 0, "hen", json!([])),
        (8, 0, "hen", json!([])),
        (8, 1, "base", json!(["base"])),
        (9, 0, "99", json!([])),
        (10, 0, "orphan", json!([])),
        (11, 0, "base", json!([])),
    ];
    for (at, of, key, chain) in cases {
        assert_eq!(told(at, of), (json!(key), chain), "{at}.{of}");
    }
}

#[test]
fn a_long_chain_does_not_need_a_deep_stack() {
    let link = |id: i64| flag(id, &format!("f{id}"), reads(&[&(id - 1).to_string()]));
    let flags: Vec<_> = (1..3000).map(link).collect();
    let mut filters = reads(&["2999"]);
    dependencies::Chains::of(&flags).rewrite(3000, &mut filters);
    assert_eq!(filters["groups"][0]["properties"][0]["dependency_chain"], json!([]));

    let mut filters = reads(&["2999"]);
    let flags: Vec<_> = std::iter::once(flag(0, "f0", json!({}))).chain(flags).collect();
    dependencies::Chains::of(&flags).rewrite(3000, &mut filters);
    let key = &filters["groups"][0]["properties"][0]["key"];
    assert_eq!(key, "f2999");
    let chain = filters["groups"][0]["properties"][0]["dependency_chain"].as_array().unwrap();
    assert_eq!((chain.len(), &chain[0], &chain[2999]), (3000, &json!("f0"), &json!("f2999")));
}

#[test]
fn cohorts_come_with_those_they_refer_to_and_no_others() {
    let tree = |values: Value| json!({"type": "OR", "values": [{"type": "AND", "values": values}]});
    let cohorts = [
        (1, tree(json!([member(2)]))),
        (2, tree(json!([plan("pro"), member(1)]))),
        (3, tree(json!([plan("free")]))),
    ];
    let by_text = json!({"key": "id", "type": "cohort", "value": "1"});
    let flags = vec![flag(1, "a", on(json!([by_text, member(77)])))];
    let feed = written(&definitions(flags.clone(), &cohorts), Form::WithCohorts);
    assert_eq!(feed["cohorts"], json!({"1": cohorts[0].1, "2": cohorts[1].1}));
    assert_eq!(feed["flags"][0]["filters"], flags[0].filters, "they are named as before");
    let expanded = written(&definitions(flags, &cohorts), Form::Expanded);
    assert_eq!(expanded["cohorts"], json!({}));
}

#[test]
fn simple_cohorts_are_written_out() {
    let any = |values: Value| json!({"type": "OR", "values": values});
    let all = |values: Value| json!({"type": "AND", "values": values});
    let property = |values: Value| json!({"type": "property", "values": values});
    let negated = json!({"key": "a", "type": "person", "value": 1, "negation": true});
    let many: Value = (0..21).map(|n| plan(&n.to_string())).collect();
    let cases: [(&str, Value, Option<Value>); 9] = [
        ("all", all(json!([plan("a"), plan("b")])), Some(json!([[plan("a"), plan("b")]]))),
        ("any", any(json!([plan("a"), plan("b")])), Some(json!([[plan("a")], [plan("b")]]))),
        (
            "any of all",
            any(json!([all(json!([plan("a"), plan("b")])), property(json!([plan("c")]))])),
            Some(json!([[plan("a"), plan("b")], [plan("c")]])),
        ),
        (
            "all of any",
            all(json!([plan("a"), any(json!([plan("b"), plan("c")]))])),
            Some(json!([[plan("a"), plan("b")], [plan("a"), plan("c")]])),
        ),
        ("a negated filter", all(json!([negated])), None),
        ("behaviour", all(json!([{"type": "behavioral", "key": "$pageview"}])), None),
        ("another cohort", all(json!([member(2)])), None),
        ("nothing", any(json!([])), None),
        ("too many", any(many), None),
    ];
    let country = json!({"key": "country", "type": "person", "operator": "is_set"});
    for (name, tree, expected) in cases {
        let before = on(json!([country, member(1)]));
        let mut filters = before.clone();
        cohorts::expand(&mut filters, &BTreeMap::from([(1, tree)]));
        let Some(expected) = expected else {
            assert_eq!(filters, before, "{name}");
            continue;
        };
        let groups = filters["groups"].as_array().unwrap();
        let written: Vec<Value> = groups.iter().map(|g| g["properties"].clone()).collect();
        let with_country = |own: &Value| -> Value {
            std::iter::once(&country).chain(own.as_array().unwrap()).cloned().collect()
        };
        let expected: Vec<Value> = expected.as_array().unwrap().iter().map(with_country).collect();
        assert_eq!(written, expected, "{name}");
        let alike = groups.iter().all(|g| g["rollout_percentage"] == 50 && g["variant"] == "a");
        assert!(alike, "{name}: {groups:?}");
    }
}

#[test]
fn what_would_change_its_meaning_stays_a_cohort() {
    let trees = BTreeMap::from([(1, json!({"type": "AND", "values": [plan("a")]}))]);
    let not_in = json!({"key": "id", "type": "cohort", "value": 1, "operator": "not_in"});
    let cases = [
        ("the lack of membership", on(json!([not_in]))),
        (
            "a condition on groups",
            json!({"groups": [{"properties": [member(1)], "aggregation_group_type_index": 0}]}),
        ),
        (
            "a flag on groups",
            json!({"aggregation_group_type_index": 0, "groups": [{"properties": [member(1)]}]}),
        ),
        ("a cohort that is not there", on(json!([member(2)]))),
        ("filters of another shape", json!({"groups": "?"})),
    ];
    for (name, before) in cases {
        let mut filters = before.clone();
        cohorts::expand(&mut filters, &trees);
        assert_eq!(filters, before, "{name}");
    }
    let mut people = json!({"aggregation_group_type_index": 0, "groups": [
        {"properties": [member(1)], "aggregation_group_type_index": null}]});
    cohorts::expand(&mut people, &trees);
    assert_eq!(people["groups"][0]["properties"], json!([plan("a")]));
}

#[test]
fn the_same_definitions_give_the_same_bytes() {
    let flags = || vec![flag(1, "a", reads(&["2"])), flag(2, "b", on(json!([member(1)])))];
    let cohorts = [(1, json!({"type": "AND", "values": [plan("a")]}))];
    let bytes = |definitions: Definitions| write(&definitions, Form::WithCohorts).unwrap();
    let one = bytes(definitions(flags(), &cohorts));
    assert_eq!(one, bytes(definitions(flags(), &cohorts)));
    let mut strict = definitions(flags(), &cohorts);
    strict.project.property_matching_version = 2;
    assert_ne!(one, bytes(strict));
}

#[test]
fn a_flag_of_another_rules_format_is_left_out_with_its_dependents_and_their_cohorts() {
    let with = |mut filters: Value, property: Value| {
        filters["groups"][0]["properties"].as_array_mut().unwrap().push(property);
        filters
    };
    for version in [json!(2), json!(2.0), json!(3), json!("2"), json!("1"), json!(null)] {
        let flags = vec![
            flag(1, "a", json!({"version": version, "rules": []})),
            flag(2, "b", with(reads(&["1"]), member(1))),
            flag(3, "c", reads(&["2"])),
            flag(4, "d", json!({"version": 1, "groups": []})),
            flag(5, "e", with(reads(&["4"]), member(2))),
        ];
        let tree = |value| json!({"type": "AND", "values": [plan(value)]});
        let all = definitions(flags, &[(1, tree("a")), (2, tree("b"))]);
        for (form, cohorts) in [(Form::WithCohorts, vec!["2"]), (Form::Expanded, vec![])] {
            let feed = written(&all, form);
            let flags = feed["flags"].as_array().unwrap();
            let keys: Vec<_> = flags.iter().map(|flag| flag["key"].as_str().unwrap()).collect();
            assert_eq!(keys, ["d", "e"], "{version}");
            let given: Vec<_> = feed["cohorts"].as_object().unwrap().keys().collect();
            assert_eq!(given, cohorts, "{version}");
        }
    }
}
