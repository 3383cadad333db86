use std::collections::HashMap;
use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::engine::fixtures::{flag, source};
use crate::engine::{
    Audience, Cohort, CohortSource, Facts, FlagSource, Properties, RequestRuntime, Settings,
};

fn object(value: Value) -> Properties {
    value.as_object().expect("an object").clone()
}

fn reads(filter: Value) -> Value {
    json!({"groups": [{"properties": [filter], "rollout_percentage": 50}]})
}

fn cohort(id: i64, is_static: bool, leaf: Value) -> Arc<Cohort> {
    let filters = json!({"properties": {"type": "AND", "values": [leaf]}});
    Arc::new(Cohort::compile(&CohortSource {
        id,
        is_static,
        filters: (!is_static).then_some(&filters),
        groups: None,
    }))
}

/// A project of two group types and three cohorts: 9 and 8 are static, 7 reads 9.
fn project(flags: Vec<Arc<Flag>>) -> FlagSet {
    let group_types = HashMap::from([(0, "company".to_owned()), (1, "team".to_owned())]);
    let nested = json!({"type": "cohort", "key": "id", "value": 9});
    let cohorts =
        vec![cohort(7, false, nested), cohort(9, true, json!(0)), cohort(8, true, json!(0))];
    FlagSet::new(Settings { group_types, ..Settings::default() }, flags, cohorts)
}

fn needs_of(filters: Value) -> Needs {
    let groups = object(json!({"company": 42, "team": ""}));
    let sent = object(json!({"plan": null, "$os_name": "Linux", "$browser": "Opera"}));
    let sent_groups = object(json!({"company": {"tier": "gold"}, "team": 7}));
    let facts = Facts {
        sent: Some(&sent),
        groups: Some(&groups),
        sent_groups: Some(&sent_groups),
        ..Facts::default()
    };
    let set = project(vec![flag(1, "one", filters)]);
    needs(&set, &Subject::new("ann", facts), &Selection::default())
}

fn person() -> Needs {
    Needs { properties: true, ..Needs::default() }
}

fn company() -> Needs {
    Needs { groups: BTreeSet::from([(0, "42".to_owned())]), ..Needs::default() }
}

fn member(ids: &[i64]) -> Needs {
    Needs { static_cohorts: ids.iter().copied().collect(), ..person() }
}

#[test]
fn only_what_was_not_sent_is_read() {
    let property = |key: &str| json!({"key": key, "type": "person", "value": "x"});
    let group = |key: &str, index: i64| json!({"key": key, "type": "group", "value": "x", "group_type_index": index});
    let cohort = |id: i64| json!({"key": "id", "type": "cohort", "value": id});
    let cases = [
        ("a property that was sent, if as null", property("plan"), Needs::default()),
        ("one that was not", property("email"), person()),
        ("the distinct id", property("distinct_id"), Needs::default()),
        ("one that another stands in for", property("$os"), person()),
        ("one that another fills", property("$initial_browser"), person()),
        (
            "a column of the person's row",
            json!({"key": "created_at", "type": "person_metadata", "value": "1d", "operator": "is_date_after"}),
            person(),
        ),
        ("a group property that was sent", group("tier", 0), Needs::default()),
        ("the group's key", group("$group_key", 0), Needs::default()),
        ("a group property that was not sent", group("size", 0), company()),
        ("one of a type without a key", group("size", 1), Needs::default()),
        ("one of a type nobody knows", group("size", 4), Needs::default()),
        ("a static cohort", cohort(8), member(&[8])),
        ("a cohort that reads a static one", cohort(7), member(&[9])),
        ("a cohort that is not there", cohort(1), person()),
        (
            "another flag",
            json!({"key": "5", "type": "flag", "value": true, "operator": "flag_evaluates_to"}),
            Needs::default(),
        ),
    ];
    for (name, filter, expected) in cases {
        assert_eq!(needs_of(reads(filter)), expected, "{name}");
    }
    assert_eq!(needs_of(json!({"feature_enrollment": true, "groups": []})), person());
    assert!(needs_of(json!({"groups": [{"rollout_percentage": 50}]})).is_empty());
}

#[test]
fn hash_keys_are_needed_where_a_hash_decides_for_a_continued_person() {
    let needs_of = |filters: Value| {
        let continued =
            FlagSource { ensure_experience_continuity: true, ..source(1, "one", &filters) };
        let set = project(vec![Arc::new(Flag::compile(&continued))]);
        needs(&set, &Subject::new("ann", Facts::default()), &Selection::default())
    };
    let needed = needs_of(json!({"groups": [{"rollout_percentage": 50}]}));
    assert_eq!(needed, Needs { hash_keys: true, ..Needs::default() });
    assert!(needed.is_about_person());
    assert!(needs_of(json!({"groups": [{"rollout_percentage": 100}]})).is_empty());
}

#[test]
fn flags_that_are_not_evaluated_need_nothing() {
    let filters = reads(json!({"key": "email", "type": "person", "value": "x"}));
    let off = FlagSource { active: false, ..source(1, "off", &filters) };
    let server = FlagSource { evaluation_runtime: Some("server"), ..source(2, "server", &filters) };
    let reader =
        json!({"key": "2", "type": "flag", "value": true, "operator": "flag_evaluates_to"});
    let set = project(vec![
        Arc::new(Flag::compile(&off)),
        Arc::new(Flag::compile(&server)),
        flag(3, "plain", json!({"groups": [{}]})),
        flag(4, "reader", reads(reader)),
    ]);
    let needed = |keys: Option<&[String]>, runtime: &str| {
        let audience = Audience { runtime: RequestRuntime::stated(runtime), ..Audience::default() };
        let selection = Selection { flag_keys: keys, audience };
        needs(&set, &Subject::new("ann", Facts::default()), &selection)
    };
    let (plain, reader) = (["plain".to_owned()], ["reader".to_owned()]);
    assert_eq!(needed(None, "all"), person());
    assert_eq!(needed(None, "client"), Needs::default(), "not for this runtime");
    assert_eq!(needed(Some(&plain), "all"), Needs::default(), "not asked for");
    assert_eq!(needed(Some(&reader), "all"), person(), "read by the one asked for");
}
