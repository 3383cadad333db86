use chrono::DateTime;
use serde_json::{Value, json};

use super::*;
use crate::model::flag_filter::loosened;

const ALL: Part = Part { newest_first: false, offset: 0, limit: usize::MAX };

fn flag(id: i64, key: &str, name: &str) -> ListedFlag {
    ListedFlag {
        id,
        created_at: DateTime::from_timestamp(id, 0).expect("an instant"),
        created_by: (id % 3 != 0).then_some(id % 3),
        active: id % 2 == 0,
        archived: id % 10 == 9,
        has_variants: id % 5 == 0,
        is_remote_configuration: id % 7 == 0,
        has_contexts: id % 4 == 0,
        evaluation_runtime: [None, Some("server"), Some("all")][(id % 3) as usize]
            .map(str::to_owned),
        tags: (0..id % 4).collect(),
        typed: format!("{key}\n{name}"),
        loose: format!("{}\n{}", loosened(key), loosened(name)),
    }
}

fn many(count: i64) -> Vec<ListedFlag> {
    (1..=count).map(|id| flag(id, &format!("key-{id}"), &format!("the {id}th"))).collect()
}

fn filter(sent: Value) -> FlagFilter {
    FlagFilter::parse(sent.as_object().expect("an object")).expect("readable")
}

fn ids(index: &FlagIndex, sent: Value, outside: &Outside) -> Vec<i64> {
    let chosen = index.choose(&filter(sent), outside, ALL).expect("it is known here");
    assert_eq!(chosen.total, chosen.ids.len());
    chosen.ids
}

fn blocks(index: &FlagIndex) -> Vec<Vec<ListedFlag>> {
    index.blocks.iter().map(|block| block.flags().collect()).collect()
}

#[test]
fn flags_come_out_as_they_went_in_oldest_first() {
    let mut flags = many(2_500);
    flags.reverse();
    flags[7].created_at = flags[8].created_at;
    let index = FlagIndex::new(flags.clone());
    flags.sort_by_key(ListedFlag::place);
    assert_eq!(blocks(&index).concat(), flags);
    assert!(index.blocks.len() > 2);
}

#[test]
fn a_part_is_cut_from_either_end() {
    let index = FlagIndex::new(many(2_000));
    let part = |newest_first, offset, limit| {
        let part = Part { newest_first, offset, limit };
        let chosen = index.choose(&FlagFilter::default(), &Outside::default(), part);
        chosen.map(|chosen| (chosen.ids, chosen.total)).expect("it is known here")
    };
    // One in ten is archived.
    assert_eq!(part(true, 0, 3), (vec![2000, 1998, 1997], 1800));
    assert_eq!(part(false, 8, 2), (vec![10, 11], 1800));
    assert_eq!(part(true, 1798, 5), (vec![2, 1], 1800));
    assert_eq!(part(true, 1800, 5), (vec![], 1800));
}

#[test]
fn every_filter_leaves_those_it_names() {
    let flags = many(100);
    let index = FlagIndex::new(flags.clone());
    let outside = Outside {
        experiments: [3, 4].into(),
        excluded: [5].into(),
        tags: vec![2],
        excluded_tags: Vec::new(),
        ..Outside::default()
    };
    let without = Outside { excluded_tags: vec![1, 7], ..Outside::default() };
    let none = Outside::default();
    type Case<'a> = (Value, &'a Outside, fn(&ListedFlag) -> bool);
    let cases: [Case<'_>; 13] = [
        (json!({}), &none, |_| true),
        (json!({"active": true}), &none, |flag| flag.active),
        (json!({"active": false}), &none, |flag| !flag.active),
        (json!({"created_by_id": "2,9"}), &none, |flag| flag.created_by == Some(2)),
        (json!({"type": "boolean"}), &none, |flag| !flag.has_variants),
        (json!({"type": "multivariant"}), &none, |flag| flag.has_variants),
        (json!({"type": "remote_config"}), &none, |flag| flag.is_remote_configuration),
        (json!({"type": "experiment"}), &outside, |flag| [3, 4].contains(&flag.id)),
        (json!({"evaluation_runtime": "server"}), &none, |flag| flag.id % 3 == 1),
        (json!({"evaluation_runtime": "nowhere"}), &none, |_| false),
        (json!({"has_evaluation_contexts": false}), &none, |flag| !flag.has_contexts),
        (json!({"tags": ["b"]}), &outside, |flag| flag.tags.contains(&2) && flag.id != 5),
        (json!({"key": "KEY-7"}), &none, |flag| flag.id == 7),
    ];
    let expected = |archived: bool, admits: &dyn Fn(&ListedFlag) -> bool| -> Vec<i64> {
        let flags = flags.iter().filter(|flag| flag.archived == archived && admits(flag));
        flags.map(|flag| flag.id).collect()
    };
    for (sent, outside, admits) in cases {
        if sent != json!({"type": "experiment"}) {
            let excluded = |flag: &ListedFlag| !outside.excluded.contains(&flag.id);
            let all = |flag: &ListedFlag| admits(flag) && excluded(flag);
            assert_eq!(ids(&index, sent.clone(), outside), expected(false, &all), "{sent}");
        }
        let mut archived = sent.clone();
        archived["archived"] = json!(true);
        let in_archive =
            expected(true, &|flag| admits(flag) && !outside.excluded.contains(&flag.id));
        assert_eq!(ids(&index, archived, outside), in_archive, "{sent}, archived");
    }
    assert_eq!(ids(&index, json!({"type": "experiment"}), &outside), [3, 4]);
    let untagged = expected(false, &|flag| !flag.tags.contains(&1));
    assert_eq!(ids(&index, json!({}), &without), untagged);
    let stale = filter(json!({"active": "STALE"}));
    assert_eq!(index.choose(&stale, &none, ALL), None, "calls raise no revision");
}

#[test]
fn a_search_finds_what_stands_anywhere_in_one_flag() {
    let texts = [
        ("new-flow", "x"),
        ("new_flow", "aab"),
        ("newflow", "a\nnew \t flow"),
        ("b", "flow-new"),
        ("c", "-new"),
        ("flow", ""),
    ];
    let flags = (1..).zip(texts).map(|(id, (key, name))| flag(id, key, name)).collect();
    let index = FlagIndex::new(flags);
    let none = Outside::default();
    let cases: [(&str, &[i64]); 9] = [
        ("new", &[1, 2, 3, 4, 5]),
        ("new flow", &[1, 2, 3]),
        ("new-flow", &[1]),
        ("new_f", &[2]),
        ("-new flow", &[]),
        ("w-new", &[4]),
        ("flow", &[1, 2, 3, 4, 6]),
        ("aab", &[2]),
        ("x b", &[]),
    ];
    for (term, expected) in cases {
        assert_eq!(ids(&index, json!({"search": term}), &none), expected, "{term}");
    }
    let outside = Outside { linked: [6, 2, 99].into(), ..none };
    assert_eq!(ids(&index, json!({"search": "new-flow"}), &outside), [1, 2, 6]);
}

#[test]
fn a_patched_index_is_as_if_made_anew() {
    let mut held = many(2_100);
    let mut index = FlagIndex::new(held.clone());
    // New ones at the end until blocks split, changes, removals, and one whole block gone.
    let changes = [
        (2_101..=3_300, Vec::new()),
        (1_000..=1_040, Vec::new()),
        (9_999..=9_999, vec![3, 700, 3_300, 5_000]),
        (700..=701, (1..=600).collect()),
    ];
    for (changed, removed) in changes {
        let fresh: Vec<_> = changed.map(|id| flag(id, "changed", "entirely")).collect();
        let gone: Vec<i64> =
            fresh.iter().map(|flag| flag.id).chain(removed.iter().copied()).collect();
        index = index.patched(&gone, fresh.clone());
        held.retain(|flag| !gone.contains(&flag.id));
        held.extend(fresh);
        held.sort_by_key(ListedFlag::place);
        assert_eq!(blocks(&index).concat(), held);
        assert!(blocks(&index).iter().all(|block| (1..=Block::MOST).contains(&block.len())));
        let found = ids(&index, json!({"search": "entire"}), &Outside::default());
        let expected: Vec<_> = held
            .iter()
            .filter(|f| f.typed.contains("entire") && !f.archived)
            .map(|f| f.id)
            .collect();
        assert_eq!(found, expected);
    }
    let empty = index.patched(&held.iter().map(|flag| flag.id).collect::<Vec<_>>(), Vec::new());
    assert!(empty.blocks.is_empty());
    assert_eq!(
        ids(&empty.patched(&[4], vec![flag(4, "k", "")]), json!({}), &Outside::default()),
        [4]
    );
}
