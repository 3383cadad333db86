//! When two spellings of filters mean the same.
//!
//! A typed write cannot say whether an absent field was left out or null, and
//! its numbers are doubles. So it is held against what is stored by meaning,
//! and where that is equal the stored text stays (architecture 3): reading a
//! flag through gRPC and writing it back never shows a change of `filters`.

use serde_json::Value;

use crate::model::json::{Object, is_empty};

/// Collections that a typed message cannot tell absent from empty.
///
/// Not every empty list is nothing: as the `value` of a filter it matches.
const EMPTY_IS_ABSENT: [&str; 4] = ["groups", "properties", "variants", "payloads"];

/// Whether both say the same, leaving aside nulls, absent collections, and how numbers are spelled.
#[must_use]
pub fn same_meaning(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => includes(a, b) && includes(b, a),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_meaning(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

/// Whether each field that says something in `a` says the same in `b`.
fn includes(a: &Object, b: &Object) -> bool {
    a.iter()
        .filter(|(key, value)| !says_nothing(key, value))
        .all(|(key, value)| b.get(key).is_some_and(|other| same_meaning(value, other)))
}

fn says_nothing(key: &str, value: &Value) -> bool {
    value.is_null() || (EMPTY_IS_ABSENT.contains(&key) && is_empty(value))
}
