use serde_json::json;

use super::*;
use crate::engine::fixtures::{flag, set, source};
use crate::engine::{CohortSource, FlagSource};

#[test]
fn a_change_shares_the_flags_that_stay() {
    let before =
        set([flag(1, "one", json!({})), flag(2, "two", json!({})), flag(3, "three", json!({}))]);
    let after =
        before.with_changes(vec![flag(2, "deux", json!({})), flag(4, "four", json!({}))], &[3]);
    let keys: Vec<&str> = after.flags().iter().map(|flag| flag.key()).collect();
    assert_eq!(keys, ["one", "deux", "four"]);
    assert!(Arc::ptr_eq(&before.flags()[0], &after.flags()[0]));
    assert!(after.flag("two").is_none() && after.flag_by_id(3).is_none());
    assert_eq!(after.flag("four").map(|flag| flag.id()), Some(4));
    assert_eq!(before.flags().len(), 3, "the old set is as it was");
}

fn cohort(id: i64) -> Arc<Cohort> {
    Arc::new(Cohort::compile(&CohortSource { id, is_static: true, filters: None, groups: None }))
}

#[test]
fn a_change_of_cohorts_shares_flags_and_the_other_cohorts() {
    let flags = vec![flag(1, "one", json!({}))];
    let before = FlagSet::new(Settings::default(), flags, vec![cohort(1), cohort(2), cohort(3)]);
    let after = before.with_cohorts(vec![cohort(2), cohort(4)], &[3, 9]);
    let ids: Vec<i64> = after.cohorts().map(|cohort| cohort.id()).collect();
    assert_eq!(ids, [1, 2, 4]);
    let shared = |id| Arc::ptr_eq(before.cohort(id).unwrap(), after.cohort(id).unwrap());
    assert!(shared(1) && !shared(2) && after.cohort(3).is_none());
    assert!(Arc::ptr_eq(&before.flags()[0], &after.flags()[0]));
    assert!(Arc::ptr_eq(&before.index, &after.index));
    assert_eq!(before.cohorts().count(), 3, "the old set is as it was");
}

#[test]
fn a_flag_can_be_removed_and_added_in_one_change() {
    let before = set([flag(1, "one", json!({}))]);
    let after = before.with_changes(vec![flag(2, "one", json!({}))], &[1]);
    assert_eq!(after.flag("one").map(|flag| flag.id()), Some(2));
    assert_eq!(after.flags().len(), 1);
}

#[test]
fn a_deleted_flag_keeps_its_id_but_not_its_key() {
    let filters = json!({});
    let deleted =
        Arc::new(Flag::compile(&FlagSource { deleted: true, ..source(2, "one", &filters) }));
    let set = set([flag(1, "one", json!({})), deleted]);
    assert_eq!(set.flag("one").map(|flag| flag.id()), Some(1));
    assert_eq!(set.flag_by_id(2).map(|flag| flag.is_deleted()), Some(true));
}

#[test]
fn the_index_is_shared_until_something_moves() {
    let reads_one = json!({"groups": [{"properties": [
        {"type": "flag", "key": "1", "operator": "flag_evaluates_to", "value": true}]}]});
    let before = set([flag(1, "one", json!({})), flag(2, "two", json!({}))]);
    let shares = |changed: Vec<Arc<Flag>>, removed: &[i64]| {
        Arc::ptr_eq(&before.index, &before.with_changes(changed, removed).index)
    };
    let cases = [
        ("other rules", vec![flag(2, "two", json!({"groups": [{}]}))], &[][..], true),
        ("another key", vec![flag(2, "deux", json!({}))], &[], false),
        ("another dependency", vec![flag(2, "two", reads_one)], &[], false),
        ("a new flag", vec![flag(3, "three", json!({}))], &[], false),
        ("a flag less", vec![], &[1], false),
    ];
    for (name, changed, removed, expected) in cases {
        assert_eq!(shares(changed, removed), expected, "{name}");
    }
}

#[test]
fn a_flag_added_alone_is_found_and_decided_as_if_all_were_read_anew() {
    let reads_one = json!({"groups": [{"properties": [
        {"type": "flag", "key": "1", "operator": "flag_evaluates_to", "value": true}]}]});
    let before = set([flag(1, "one", json!({})), flag(2, "two", reads_one.clone())]);
    let after = before.with_changes(vec![flag(3, "three", json!({}))], &[]);
    let anew =
        set([flag(1, "one", json!({})), flag(2, "two", reads_one), flag(3, "three", json!({}))]);
    assert_eq!(after.position("three"), anew.position("three"));
    assert_eq!(after.position_by_id(3), anew.position_by_id(3));
    let required = |set: &FlagSet| set.graph().required([1, 2]);
    assert_eq!(required(&after).len(), required(&anew).len());
    let again = after.with_changes(vec![flag(4, "four", json!({}))], &[]);
    assert_eq!(again.flag("four").map(|flag| flag.id()), Some(4));
    assert_eq!(again.graph().order().len(), 4);
}
