//! Random projects and people: every operator, cohort, dependency, holdout,
//! group and continuity, close enough together that many conditions match.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use chrono_tz::Tz;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use crate::engine::fixtures::source;
use crate::engine::{
    Cohort, CohortSource, Facts, Flag, FlagSet, FlagSource, HashKeys, Matching, Properties,
    Settings, Subject,
};

pub(super) const OPERATORS: [&str; 35] = [
    "exact",
    "is_not",
    "icontains",
    "not_icontains",
    "icontains_multi",
    "not_icontains_multi",
    "starts_with",
    "not_starts_with",
    "ends_with",
    "not_ends_with",
    "regex",
    "not_regex",
    "gt",
    "lt",
    "gte",
    "lte",
    "between",
    "not_between",
    "semver_gt",
    "semver_gte",
    "semver_lt",
    "semver_lte",
    "semver_eq",
    "semver_neq",
    "semver_tilde",
    "semver_caret",
    "semver_wildcard",
    "is_set",
    "is_not_set",
    "is_date_exact",
    "is_date_after",
    "is_date_before",
    "in",
    "not_in",
    "flag_evaluates_to",
];

const KEYS: [&str; 6] = ["plan", "email", "age", "distinct_id", "$os", "$initial_os"];
const PEOPLE: [&str; 6] = ["", "ann", "bob", "user-17", "user-61", "été"];
const COHORTS: i64 = 4;
const FLAGS: i64 = 7;

/// A project in its stored form.
#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) flags: Vec<Stored>,
    /// Ids and filters; none for a static cohort.
    pub(super) cohorts: Vec<(i64, Option<Value>)>,
    pub(super) explicit: bool,
}

/// A flag in its stored form.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    id: i64,
    pub(super) filters: Value,
    active: bool,
    continuity: bool,
    runtime: Option<&'static str>,
    by_device: bool,
    contexts: Vec<String>,
}

/// Someone asked about, with what is known of them.
#[derive(Debug)]
pub(super) struct Person {
    distinct_id: &'static str,
    anon_distinct_id: Option<&'static str>,
    device_id: Option<&'static str>,
    sent: Properties,
    stored: Properties,
    stored_unavailable: bool,
    groups: Properties,
    group_properties: Properties,
    hash_keys: Option<Option<HashMap<String, String>>>,
    static_cohorts: HashSet<i64>,
}

impl Project {
    pub(super) fn set(&self) -> FlagSet {
        let cohorts = self.cohorts.iter().map(|(id, filters)| {
            let is_static = filters.is_none();
            let filters = filters.as_ref();
            Arc::new(Cohort::compile(&CohortSource { id: *id, is_static, filters, groups: None }))
        });
        let flags = self.flags.iter().map(|flag| Arc::new(flag.compile()));
        FlagSet::new(settings(self.explicit), flags.collect(), cohorts.collect())
    }
}

impl Stored {
    fn compile(&self) -> Flag {
        Flag::compile(&FlagSource {
            active: self.active,
            ensure_experience_continuity: self.continuity,
            evaluation_runtime: self.runtime,
            bucketing_identifier: self.by_device.then_some("device_id"),
            evaluation_contexts: &self.contexts,
            ..source(self.id, &key(self.id), &self.filters)
        })
    }
}

impl Person {
    pub(super) fn subject(&self) -> Subject<'_> {
        let hash_keys = match &self.hash_keys {
            None => HashKeys::Absent,
            Some(None) => HashKeys::Unavailable,
            Some(Some(keys)) => HashKeys::Read(keys),
        };
        Subject::new(
            self.distinct_id,
            Facts {
                device_id: self.device_id,
                anon_distinct_id: self.anon_distinct_id,
                sent: Some(&self.sent),
                stored: Some(&self.stored),
                stored_unavailable: self.stored_unavailable,
                groups: Some(&self.groups),
                sent_groups: Some(&self.group_properties),
                hash_keys,
                static_cohorts: Some(&self.static_cohorts),
                ..Facts::default()
            },
        )
    }
}

/// The key of the flag with this id.
pub(super) fn key(id: i64) -> String {
    if id == 0 { "survey-targeting-0".to_owned() } else { format!("flag-{id}") }
}

pub(super) fn settings(explicit: bool) -> Settings {
    Settings {
        time_zone: Tz::America__New_York,
        matching: if explicit { Matching::Explicit } else { Matching::Classic },
        group_types: HashMap::from([(0, "company".to_owned()), (1, "team".to_owned())]),
    }
}

/// A project of up to seven flags, of which every id may read every other.
pub(super) fn project() -> BoxedStrategy<Project> {
    let flags = vec(flag(), 1..=FLAGS as usize).prop_map(|mut flags| {
        for (flag, id) in flags.iter_mut().zip(0..) {
            flag.id = id;
        }
        flags
    });
    let cohorts = vec(option::weighted(0.8, cohort()), 0..=COHORTS as usize)
        .prop_map(|cohorts| (1..).zip(cohorts).collect());
    (flags, cohorts, any::<bool>())
        .prop_map(|(flags, cohorts, explicit)| Project { flags, cohorts, explicit })
        .boxed()
}

pub(super) fn context() -> BoxedStrategy<String> {
    select(vec!["app", "site"]).prop_map(str::to_owned).boxed()
}

fn flag() -> BoxedStrategy<Stored> {
    let rest = (
        prop::bool::weighted(0.9),
        any::<bool>(),
        select(vec![None, Some("all"), Some("client"), Some("server")]),
        prop::bool::weighted(0.2),
        vec(context(), 0..2),
    );
    (filters(), rest)
        .prop_map(|(filters, (active, continuity, runtime, by_device, contexts))| Stored {
            id: 0,
            filters,
            active,
            continuity,
            runtime,
            by_device,
            contexts,
        })
        .boxed()
}

fn filters() -> BoxedStrategy<Value> {
    let variants = vec(select(vec![0.0, 10.5, 50.0]), 0..3).prop_map(|shares| {
        let variants = shares.iter().zip(["a", "b", "c"]);
        let variants =
            variants.map(|(share, key)| json!({"key": key, "rollout_percentage": share}));
        json!({"variants": variants.collect::<Vec<_>>()})
    });
    let holdout = option::weighted(
        0.2,
        select(vec![0.0, 50.0, 100.0])
            .prop_map(|share| json!({"id": 7, "exclusion_percentage": share})),
    );
    let aggregation = option::weighted(0.2, 0..3_i64);
    (
        vec(condition(), 0..4),
        variants,
        holdout,
        aggregation,
        any::<bool>(),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(groups, multivariate, holdout, aggregation, early_exit, enrollment)| {
            json!({
                "groups": groups, "multivariate": multivariate, "holdout": holdout,
                "aggregation_group_type_index": aggregation, "early_exit": early_exit,
                "feature_enrollment": enrollment,
                "payloads": {"true": "1", "a": "\"A\"", "holdout-7": "{}"},
            })
        })
        .boxed()
}

fn condition() -> BoxedStrategy<Value> {
    let rollout = select(vec![json!(null), json!(0), json!(33.3), json!(70), json!(100)]);
    let aggregation = option::weighted(0.3, option::of(0..3_i64));
    let variant = option::weighted(0.3, select(vec!["a", "b", "nobody"]));
    (vec(filter(), 0..3), rollout, aggregation, variant)
        .prop_map(|(properties, rollout, aggregation, variant)| {
            let mut condition = json!({"properties": properties, "rollout_percentage": rollout,
                "variant": variant});
            if let Some(index) = aggregation {
                condition["aggregation_group_type_index"] = json!(index);
            }
            condition
        })
        .boxed()
}

fn filter() -> BoxedStrategy<Value> {
    let property = |kind: &'static str| {
        (property(), option::of(0..3_i64)).prop_map(move |(mut filter, index)| {
            filter["type"] = json!(kind);
            filter["group_type_index"] = json!(index);
            filter
        })
    };
    let flag = (0..=FLAGS, select(vec![json!(true), json!(false), json!("a"), json!(1)]))
        .prop_map(|(id, value)| {
            json!({"type": "flag", "key": id.to_string(), "operator": "flag_evaluates_to", "value": value})
        });
    prop_oneof![5 => property("person"), 2 => property("group"), 1 => property("person_metadata"),
        2 => in_cohort(), 1 => flag]
    .boxed()
}

fn property() -> BoxedStrategy<Value> {
    (select(KEYS.to_vec()), select(OPERATORS.to_vec()), value())
        .prop_map(
            |(key, operator, value)| json!({"key": key, "operator": operator, "value": value}),
        )
        .boxed()
}

fn in_cohort() -> BoxedStrategy<Value> {
    (1..=COHORTS + 1, select(vec!["in", "not_in", "exact"])).prop_map(
        |(id, operator)| json!({"type": "cohort", "key": "id", "value": id, "operator": operator}),
    )
.boxed()
}

fn cohort() -> BoxedStrategy<Value> {
    let person = property().prop_map(|mut filter| {
        filter["type"] = json!("person");
        filter
    });
    let behavior = Just(json!({"type": "behavioral", "key": "seen"}));
    let leaf = prop_oneof![6 => person, 2 => in_cohort(), 1 => behavior];
    let leaf = (leaf, any::<bool>()).prop_map(|(mut leaf, negation)| {
        leaf["negation"] = json!(negation);
        leaf
    });
    let tree = leaf.prop_recursive(3, 8, 3, |node| {
        (select(vec!["AND", "OR", "property"]), vec(node, 0..3))
            .prop_map(|(kind, values)| json!({"type": kind, "values": values}))
    });
    vec(tree, 0..3)
        .prop_map(|values| json!({"properties": {"type": "OR", "values": values}}))
        .boxed()
}

/// Values that filters and properties share, so that they often meet.
pub(super) fn value() -> BoxedStrategy<Value> {
    let texts = [
        "",
        "pro",
        "PRO",
        "true",
        "False",
        "10",
        "9.5",
        "1e3",
        "NaN",
        "1.2.3",
        "v1.02",
        "1.3.0-beta",
        "1.2.*",
        "2024-01-01",
        "2024-03-31T12:00:00Z",
        "7d",
        "2m",
        "linux",
        "ann",
        "^p.*o$",
        "(?<!x)r",
        "[",
        "Straße",
        "İ",
    ];
    let text = select(texts.to_vec()).prop_map(Value::from);
    let plain = prop_oneof![
        4 => text,
        1 => select(vec![json!(null), json!(true), json!(false), json!(10), json!(9.5), json!(-0.0),
            json!(1_711_886_400), json!({"b": 1, "a": [2.0]})]),
    ];
    prop_oneof![3 => plain.clone(), 1 => vec(plain, 0..3).prop_map(Value::Array)].boxed()
}

fn properties() -> BoxedStrategy<Properties> {
    let keys = [
        KEYS.as_slice(),
        &[
            "created_at",
            "$device_id",
            "$feature_enrollment/flag-1",
            "__posthog_person_metadata__plan",
        ],
    ]
    .concat();
    vec((select(keys), value()), 0..6)
        .prop_map(|entries| {
            entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
        })
        .boxed()
}

pub(super) fn person() -> BoxedStrategy<Person> {
    let ids = (
        select(PEOPLE.to_vec()),
        option::of(select(PEOPLE.to_vec())),
        option::of(select(vec!["", "d-1"])),
    );
    let known = (properties(), properties(), prop::bool::weighted(0.1));
    let group = select(vec![json!("acme"), json!(""), json!(42), json!(null), json!([1])]);
    let groups = (option::of(group.clone()), option::of(group), properties()).prop_map(
        |(company, team, of_company)| {
            let given = [("company", company), ("team", team)];
            let given = given.into_iter().filter_map(|(name, key)| Some((name.to_owned(), key?)));
            let properties =
                Properties::from_iter([("company".to_owned(), Value::Object(of_company))]);
            (given.collect::<Properties>(), properties)
        },
    );
    let hash_keys = prop_oneof![
        Just(None),
        Just(Some(None)),
        (0..FLAGS, select(PEOPLE.to_vec()))
            .prop_map(|(id, kept)| Some(Some(HashMap::from([(key(id), kept.to_owned())])))),
    ];
    let cohorts = prop::collection::hash_set(1..=COHORTS, 0..3);
    (ids, known, groups, hash_keys, cohorts)
        .prop_map(|(ids, known, groups, hash_keys, cohorts)| {
            let (distinct_id, anon_distinct_id, device_id) = ids;
            let (sent, stored, stored_unavailable) = known;
            let (groups, group_properties) = groups;
            Person {
                distinct_id,
                anon_distinct_id,
                device_id,
                sent,
                stored,
                stored_unavailable,
                groups,
                group_properties,
                hash_keys,
                static_cohorts: cohorts,
            }
        })
        .boxed()
}
