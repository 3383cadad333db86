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
    assert!(Arc::ptr_eq(&before.index.links, &after.index.links));
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

fn reading(id: i64) -> serde_json::Value {
    json!({"groups": [{"properties": [{"type": "flag", "key": id.to_string(),
        "operator": "flag_evaluates_to", "value": true}]}]})
}

#[test]
fn who_reads_whom_is_found_out_anew_only_when_it_changes() {
    let before = set([
        flag(1, "one", json!({})),
        flag(2, "two", reading(9)),
        flag(5, "five", json!({})),
        flag(6, "six", reading(5)),
        flag(7, "seven", json!({})),
    ]);
    let shares = |changed: Vec<Arc<Flag>>, removed: &[i64]| {
        Arc::ptr_eq(&before.index.links, &before.with_changes(changed, removed).index.links)
    };
    let cases = [
        ("other rules", vec![flag(1, "one", json!({"groups": [{}]}))], &[][..], true),
        ("another key", vec![flag(1, "un", json!({}))], &[], true),
        ("another dependency", vec![flag(2, "two", reading(1))], &[], false),
        ("a new flag", vec![flag(3, "three", json!({}))], &[], true),
        ("a new flag that reads one", vec![flag(3, "three", reading(1))], &[], false),
        ("a new flag that one reads", vec![flag(9, "nine", json!({}))], &[], false),
        ("a flag less", vec![], &[1], true),
        ("the last flag less", vec![], &[7], true),
        ("a flag less that one reads", vec![], &[5], false),
        ("a flag less that reads one", vec![], &[2], false),
        ("a flag less that was not there", vec![], &[4], true),
        ("a flag less for which one moves that reads one", vec![], &[7, 1], false),
    ];
    for (name, changed, removed, expected) in cases {
        assert_eq!(shares(changed, removed), expected, "{name}");
    }
}

/// All that a set says of where flags are and how they hang together, without positions.
fn told(set: &FlagSet) -> Vec<(i64, String, bool, Vec<i64>, bool)> {
    let ids = |positions: &[usize]| -> Vec<i64> {
        positions.iter().map(|&at| set.flags()[at].id()).collect()
    };
    let mut settled: Vec<usize> = set.links().order().collect();
    settled.sort_unstable();
    let linked: Vec<usize> = (0..set.flags().len()).filter(|&at| set.links().holds(at)).collect();
    assert_eq!(settled, linked, "each linked flag is settled once");
    let mut all: Vec<i64> = set.flags().iter().map(|flag| flag.id()).collect();
    all.sort_unstable();
    let about = |id: i64| {
        let at = set.position_by_id(id).expect("it is there");
        let flag = &set.flags()[at];
        assert_eq!(flag.id(), id);
        let mut required = ids(&set.links().required([at].into_iter()));
        required.sort_unstable();
        let holds_key = set.position(flag.key()) == Some(at);
        (id, flag.key().to_owned(), holds_key, required, set.links().is_cyclic(at))
    };
    all.into_iter().map(about).collect()
}

#[test]
fn a_changed_set_is_as_if_all_were_read_anew() {
    let gone = |id| {
        let filters = json!({});
        Arc::new(Flag::compile(&FlagSource { deleted: true, ..source(id, "one", &filters) }))
    };
    type Change = (Vec<Arc<Flag>>, &'static [i64]);
    let changes: [Change; 12] = [
        (vec![flag(11, "a", json!({})), flag(12, "b", json!({}))], &[]),
        (vec![flag(13, "c", json!({}))], &[11]),
        (vec![], &[12, 13]),
        (vec![flag(3, "three", json!({}))], &[]),
        (vec![flag(4, "four", reading(3)), flag(5, "five", json!({}))], &[]),
        (vec![], &[1]),
        (vec![flag(6, "one", json!({}))], &[]),
        (vec![flag(3, "four", json!({})), flag(4, "three", reading(3))], &[]),
        (vec![flag(3, "four", reading(4))], &[]),
        (vec![gone(6), flag(7, "one", json!({}))], &[]),
        (vec![], &[5, 7, 99]),
        (vec![flag(3, "four", json!({})), flag(8, "eight", reading(2))], &[6]),
    ];
    let mut held = vec![flag(1, "one", json!({})), flag(2, "two", reading(1))];
    let mut changed = set(held.clone());
    for (step, (flags, removed)) in changes.into_iter().enumerate() {
        changed = changed.with_changes(flags.clone(), removed);
        let stays = |id: i64| !removed.contains(&id) && flags.iter().all(|flag| flag.id() != id);
        held.retain(|flag| stays(flag.id()));
        held.extend(flags);
        assert_eq!(told(&changed), told(&set(held.clone())), "step {step}");
    }
}
