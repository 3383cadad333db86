use std::collections::HashSet;
use std::sync::Arc;

use serde_json::json;

use super::set::Membership;
use super::*;
use crate::engine::fixtures::{now, set};
use crate::engine::{Facts, Failure, Properties, Subject};

fn dynamic(id: i64, properties: Value) -> Arc<Cohort> {
    let filters = json!({ "properties": properties });
    Arc::new(Cohort::compile(&CohortSource {
        id,
        is_static: false,
        filters: Some(&filters),
        groups: None,
    }))
}

/// Whether someone with these properties, in the static cohort 9, is in the
/// cohort 1.
fn membership(cohorts: Vec<Arc<Cohort>>, person: &Value) -> Result<Option<Membership>, Failure> {
    let stored: Properties = person.as_object().expect("an object").clone();
    let listed = HashSet::from([9]);
    let facts = Facts { stored: Some(&stored), static_cohorts: Some(&listed), ..Facts::default() };
    let subject = Subject::new("ann", facts);
    let terms = set([]).terms(now());
    CohortSet::new(cohorts).membership(1, &subject, &terms, &Memberships::default())
}

fn is_member(cohorts: Vec<Arc<Cohort>>, person: &Value) -> bool {
    membership(cohorts, person).expect("no failure").expect("some cohort").is_member
}

fn and(values: Value) -> Value {
    json!({"type": "AND", "values": values})
}

fn or(values: Value) -> Value {
    json!({"type": "OR", "values": values})
}

fn plan_is(plan: &str) -> Value {
    json!({"type": "person", "key": "plan", "operator": "exact", "value": plan})
}

fn in_cohort(id: i64) -> Value {
    json!({"type": "cohort", "key": "id", "value": id})
}

#[test]
fn a_tree_holds_as_its_groups_and_leaves_do() {
    let negated = json!({"type": "person", "key": "plan", "operator": "exact", "value": "pro", "negation": true});
    let erring = json!({"type": "person", "key": "plan", "operator": "regex", "value": "(", "negation": true});
    let unknown = json!({"type": "hogql", "key": "1 = 1", "negation": true});
    let cases = [
        ("all of one", and(json!([plan_is("pro")])), true),
        ("all of two", and(json!([plan_is("pro"), plan_is("free")])), false),
        ("any of two", or(json!([plan_is("pro"), plan_is("free")])), true),
        ("`property` is all", json!({"type": "property", "values": [plan_is("free")]}), false),
        (
            "nested groups",
            or(json!([and(json!([plan_is("free")])), and(json!([plan_is("pro")]))])),
            true,
        ),
        ("all of nothing", and(json!([])), true),
        ("any of nothing", or(json!([])), false),
        ("a negated leaf", and(json!([negated])), false),
        ("a negated leaf that errs", and(json!([erring])), true),
        ("a negated leaf nobody knows", and(json!([unknown])), true),
        ("no description", json!({}), false),
    ];
    for (name, tree, expected) in cases {
        assert_eq!(is_member(vec![dynamic(1, tree)], &json!({"plan": "pro"})), expected, "{name}");
    }
}

#[test]
fn a_missing_property_counts_as_it_does_in_filters() {
    let is_not = json!({"type": "person", "key": "plan", "operator": "is_not", "value": "pro"});
    assert!(is_member(vec![dynamic(1, and(json!([is_not])))], &json!({})));
}

#[test]
fn cohorts_read_cohorts() {
    let listed = |id| {
        Arc::new(Cohort::compile(&CohortSource {
            id,
            is_static: true,
            filters: None,
            groups: None,
        }))
    };
    let negated = json!({"type": "cohort", "key": "id", "value": "2", "negation": true});
    let not_in = json!({"type": "cohort", "key": "id", "value": 2, "operator": "not_in"});
    let exact = json!({"type": "cohort", "key": "id", "value": 2, "operator": "exact"});
    let cases = [
        ("a described one", and(json!([in_cohort(2)])), true),
        ("one through another", and(json!([in_cohort(3)])), true),
        ("a list with the person", and(json!([in_cohort(9)])), true),
        ("a list without", and(json!([in_cohort(8)])), false),
        ("negated", and(json!([negated])), false),
        ("not in", and(json!([not_in])), false),
        ("an operator that makes no sense", and(json!([exact])), false),
    ];
    for (name, tree, expected) in cases {
        let (two, three) =
            (dynamic(2, and(json!([plan_is("pro")]))), dynamic(3, or(json!([in_cohort(2)]))));
        let cohorts = vec![dynamic(1, tree), two, three, listed(8), listed(9)];
        assert_eq!(is_member(cohorts, &json!({"plan": "pro"})), expected, "{name}");
    }
}

#[test]
fn a_cohort_that_cannot_be_evaluated_fails_whoever_reads_it() {
    let deep = (0..40).fold(plan_is("pro"), |tree, _| and(json!([tree])));
    let unparsable = json!({"type": "cohort", "key": "id", "value": "two"});
    let cases = [
        ("it is not there", vec![dynamic(2, json!({}))], Failure::CohortNotFound),
        (
            "it reads one that is not there",
            vec![dynamic(1, or(json!([in_cohort(7)])))],
            Failure::CohortNotFound,
        ),
        ("it reads itself", vec![dynamic(1, or(json!([in_cohort(1)])))], Failure::CohortCycle),
        (
            "it reads one that reads itself",
            vec![dynamic(1, or(json!([in_cohort(2)]))), dynamic(2, or(json!([in_cohort(2)])))],
            Failure::CohortCycle,
        ),
        (
            "a group of an unknown type",
            vec![dynamic(1, json!({"type": "XOR", "values": []}))],
            Failure::CohortFiltersParsing,
        ),
        ("too deep a tree", vec![dynamic(1, deep)], Failure::CohortFiltersParsing),
        (
            "an id that is none",
            vec![dynamic(1, or(json!([unparsable])))],
            Failure::CohortFiltersParsing,
        ),
    ];
    for (name, cohorts, failure) in cases {
        assert_eq!(membership(cohorts, &json!({})), Err(failure), "{name}");
    }
}

#[test]
fn behavior_never_matches_and_makes_whoever_reads_it_uncertain() {
    let behavior =
        or(json!([{"type": "behavioral", "key": "$pageview", "value": "performed_event"}]));
    let cohorts = vec![dynamic(1, or(json!([in_cohort(2)]))), dynamic(2, behavior)];
    let expected = Membership { is_member: false, is_uncertain: true };
    assert_eq!(membership(cohorts, &json!({})), Ok(Some(expected)));
}

#[test]
fn a_project_without_cohorts_has_no_memberships() {
    assert_eq!(membership(Vec::new(), &json!({})), Ok(None));
}

#[test]
fn a_diamond_of_cohorts_asks_each_of_them_once() {
    let width = 200;
    let twice = |id| dynamic(id, or(json!([in_cohort(id + 1), in_cohort(id + 1)])));
    let cohorts =
        (1..width).map(twice).chain([dynamic(width, and(json!([plan_is("pro")])))]).collect();
    assert!(!is_member(cohorts, &json!({"plan": "free"})));
}

#[test]
fn older_cohorts_are_any_of_their_groups() {
    let cases = [
        (
            "a list of properties",
            json!([{"properties": [{"key": "plan", "value": "pro", "type": "event"}]}]),
            true,
        ),
        (
            "all of a group's",
            json!([{"properties": [{"key": "plan", "value": "pro"}, {"key": "a", "value": 1}]}]),
            false,
        ),
        ("a map of equal values", json!([{"properties": {"plan": "pro"}}]), true),
        ("a count of events", json!([{"event_id": "$pageview", "days": 7}]), false),
        ("any of the groups", json!([{"days": 7}, {"properties": {"plan": "pro"}}]), true),
        ("no groups", json!([]), false),
    ];
    for (name, groups, expected) in cases {
        let source = CohortSource { id: 1, is_static: false, filters: None, groups: Some(&groups) };
        let cohort = Arc::new(Cohort::compile(&source));
        assert_eq!(is_member(vec![cohort], &json!({"plan": "pro"})), expected, "{name}");
    }
}
