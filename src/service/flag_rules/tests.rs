//! Whatever the checks of a write accept, evaluation can read: the writer's rules are no narrower
//! than the parser's.

use std::{cell::Cell, collections::HashMap};

use proptest::{collection::vec, option, prelude::*, sample::select, test_runner::TestRunner};
use serde_json::{Value, json};

use super::GRAMMAR;
use crate::{
    engine::{Flag, FlagSource, grammar},
    model::{
        filters::{Context, Grammar, Known, Origin, Own, PreparedFilters, accept},
        json::Object,
    },
};

const NUMBERS: [&str; 14] = [
    "0",
    "-0",
    "0.0",
    "1",
    "-1",
    "50",
    "100",
    "100.5",
    "1e400",
    "-1e400",
    "1e-400",
    "2147483648",
    "9223372036854775808",
    "123456789012345678901234567890",
];

fn number() -> impl Strategy<Value = Value> {
    select(&NUMBERS[..]).prop_map(|text| serde_json::from_str(text).expect("a number"))
}

/// A value of any type, as a client may send where another belongs.
fn odd() -> BoxedStrategy<Value> {
    prop_oneof![
        number(),
        select(vec![
            json!(null),
            json!(true),
            json!(""),
            json!("x"),
            json!("7"),
            json!([]),
            json!({})
        ]),
        Just(json!(["a", null, {"b": [1]}])),
    ]
    .boxed()
}

/// The value that belongs there, or now and then an odd one, or none.
fn mostly(usual: Value) -> BoxedStrategy<Option<Value>> {
    prop_oneof![12 => Just(Some(usual)), 2 => odd().prop_map(Some), 1 => Just(None)].boxed()
}

fn object(members: Vec<(&'static str, Option<Value>)>) -> Value {
    let members = members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    Value::Object(members.collect::<Object>())
}

fn property() -> impl Strategy<Value = Value> {
    let operators = select(vec![
        "exact",
        "is_not",
        "gt",
        "regex",
        "is_set",
        "is_date_after",
        "in",
        "semver_eq",
        "icontains_multi",
        "flag_evaluates_to",
        "min",
        "strange",
    ]);
    let value = prop_oneof![3 => Just(json!("2")), 1 => Just(json!(["a"])), 1 => odd()];
    (
        mostly(json!("plan")),
        mostly(json!("person")),
        option::weighted(0.8, operators),
        value,
        mostly(Value::Null),
    )
        .prop_map(|(key, kind, operator, value, index)| {
            object(vec![
                ("key", key),
                ("type", kind),
                ("operator", operator.map(Value::from)),
                ("value", Some(value)),
                ("group_type_index", index),
            ])
        })
}

fn condition() -> impl Strategy<Value = Value> {
    let properties = vec(property(), 0..3).prop_map(Value::Array);
    let properties = prop_oneof![9 => properties, 1 => odd()];
    (properties, mostly(json!(33.3)), mostly(Value::Null), mostly(Value::Null)).prop_map(
        |(properties, share, variant, index)| {
            object(vec![
                ("properties", Some(properties)),
                ("rollout_percentage", share),
                ("variant", variant),
                ("aggregation_group_type_index", index),
            ])
        },
    )
}

fn multivariate() -> impl Strategy<Value = Value> {
    let variant = (mostly(json!("a")), mostly(json!(100)))
        .prop_map(|(key, share)| object(vec![("key", key), ("rollout_percentage", share)]));
    let variants = vec(variant, 0..3).prop_map(|variants| json!({"variants": variants}));
    prop_oneof![6 => variants, 3 => Just(Value::Null), 1 => odd()]
}

fn filters() -> impl Strategy<Value = Value> {
    let holdout = (mostly(json!(7)), mostly(json!(10)))
        .prop_map(|(id, share)| object(vec![("id", id), ("exclusion_percentage", share)]));
    let holdout = prop_oneof![4 => holdout, 4 => Just(Value::Null), 1 => odd()];
    let groups = vec(condition(), 1..3).prop_map(Value::Array);
    (
        groups,
        multivariate(),
        holdout,
        mostly(Value::Null),
        mostly(json!(false)),
        mostly(json!({})),
        option::weighted(0.05, odd()),
    )
        .prop_map(|(groups, multivariate, holdout, index, early, payloads, version)| {
            object(vec![
                ("groups", Some(groups)),
                ("multivariate", Some(multivariate)),
                ("holdout", Some(holdout)),
                ("aggregation_group_type_index", index),
                ("early_exit", early.clone()),
                ("feature_enrollment", early),
                ("payloads", payloads),
                ("version", version),
            ])
        })
}

/// The checks alone, without the parser that stands behind them.
fn accepted(sent: &Value) -> Option<Value> {
    let grammar = Grammar { problem: |_| None, ..GRAMMAR };
    let known = Known {
        flags: HashMap::new(),
        dependencies: HashMap::new(),
        cohorts: HashMap::new(),
        grammar,
    };
    let own = Own { id: None, key: "own".into(), filters: Value::Null, has_early_access: false };
    let context = Context {
        creating: true,
        origin: Origin::Request,
        is_remote_configuration: false,
        own: &own,
        known: &known,
    };
    accept(sent, &PreparedFilters::new(sent, false, &grammar), context).ok()
}

#[test]
fn what_a_write_accepts_evaluation_can_read() {
    let (judged, taken) = (Cell::new(0), Cell::new(0));
    let mut runner = TestRunner::new(ProptestConfig { cases: 4_000, ..ProptestConfig::default() });
    let outcome = runner.run(&filters(), |sent| {
        judged.set(judged.get() + 1);
        if let Some(stored) = accepted(&sent) {
            taken.set(taken.get() + 1);
            // The newer rules format is refused by the parser behind the checks.
            let problem = Flag::compile(&FlagSource::new(1, "own", &stored)).problem();
            let is_newer = problem.is_some_and(|problem| problem.contains("newer rules format"));
            prop_assert!(problem.is_none() || is_newer, "{problem:?}: {stored}");
        }
        Ok(())
    });
    outcome.expect("every accepted write compiles");
    assert!(taken.get() * 20 > judged.get(), "too few are accepted: {}", taken.get());
}

#[test]
fn the_parser_stands_behind_the_checks() {
    assert_eq!(grammar::problem(&json!({"groups": [{}]})), None);
    let newer = json!({"groups": [{}], "version": 2});
    assert_eq!(grammar::problem(&newer), Some("the filters are in the newer rules format"));
    assert!(grammar::problem(&json!({"holdout": 5})).is_some());
    assert!(grammar::is_cohort(&json!({"properties": {"type": "AND", "values": []}})));
    assert!(!grammar::is_cohort(&json!({"properties": {"type": "AND"}})));
}
