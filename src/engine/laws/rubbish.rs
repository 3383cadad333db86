//! JSON of no use, but with the words of definitions in it, so that it gets far.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::projects::{self, OPERATORS};
use crate::engine::Properties;

const WORDS: [&str; 24] = [
    "groups",
    "properties",
    "multivariate",
    "variants",
    "payloads",
    "holdout",
    "id",
    "exclusion_percentage",
    "rollout_percentage",
    "variant",
    "aggregation_group_type_index",
    "key",
    "type",
    "value",
    "values",
    "operator",
    "negation",
    "group_type_index",
    "feature_enrollment",
    "early_exit",
    "version",
    "true",
    "plan",
    "company",
];

const KINDS: [&str; 9] =
    ["person", "group", "cohort", "flag", "person_metadata", "AND", "OR", "behavioral", "event"];

const NUMBERS: [&str; 12] = [
    "0",
    "-0",
    "1",
    "-1",
    "100",
    "1e400",
    "-1e400",
    "1e-400",
    "0.1e1",
    "9223372036854775808",
    "123456789012345678901234567890",
    "1e999999999",
];

const PATTERNS: [&str; 10] = [
    "(((((((((((((((((((((((a",
    "(a{1000}){1000}",
    "(?=",
    "(?<=a*)b",
    "(a*)*b",
    "(?:(?=a)){99999}",
    "[[[[[[[[",
    "\\9\\8",
    "(?P<n>a)(?P=n)",
    "a{99999999999999999999}",
];

/// Something where filters are expected: of the right outer shape, mostly.
pub(super) fn filters() -> BoxedStrategy<Value> {
    let filter = vec((select(WORDS.to_vec()), json_value()), 0..4).prop_map(object);
    let named = (filter, select(OPERATORS.to_vec()), select(KINDS.to_vec()), json_value())
        .prop_map(|(mut filter, operator, kind, value)| {
            filter["operator"] = json!(operator);
            filter["type"] = json!(kind);
            filter["value"] = value;
            filter["key"] = json!("plan");
            filter
        });
    let shaped = (vec(named, 0..3), json_value(), json_value()).prop_map(|(values, odd, other)| {
        json!({
            "groups": [{"properties": values, "rollout_percentage": odd}, {"variant": other}],
            "properties": {"type": "OR", "values": values},
        })
    });
    prop_oneof![1 => json_value(), 3 => shaped].boxed()
}

pub(super) fn properties() -> BoxedStrategy<Properties> {
    let keys = select(vec!["plan", "company", "distinct_id", "$device_id", "$os", ""]);
    vec((keys, json_value()), 0..5)
        .prop_map(|entries| {
            entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
        })
        .boxed()
}

fn json_value() -> BoxedStrategy<Value> {
    let number = select(NUMBERS.to_vec())
        .prop_map(|text| serde_json::from_str(text).expect("a JSON number"));
    let text = prop_oneof![
        "\\PC{0,12}".prop_map(Value::from),
        select([&WORDS[..], &OPERATORS, &KINDS, &NUMBERS, &PATTERNS].concat())
            .prop_map(Value::from),
    ];
    let leaf = prop_oneof![
        3 => projects::value(), 3 => text, 2 => number, 1 => Just(json!({})), 1 => Just(json!([])),
    ];
    leaf.prop_recursive(6, 24, 4, |inner| {
        let entries = vec((select(WORDS.to_vec()), inner.clone()), 0..4).prop_map(object);
        prop_oneof![vec(inner, 0..4).prop_map(Value::Array), entries]
    })
    .boxed()
}

fn object(entries: Vec<(&str, Value)>) -> Value {
    Value::Object(
        entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>(),
    )
}
