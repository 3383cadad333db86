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
///
/// Each part of either is looked at once: comparing in both directions at every level would double
/// the work with each level of nesting.
#[must_use]
pub fn same_meaning(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => same_fields(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_meaning(a, b))
        }
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => a == b,
    }
}

fn same_fields(a: &Object, b: &Object) -> bool {
    let is_in_b = |(key, value): (&String, &Value)| {
        says_nothing(key, value) || b.get(key).is_some_and(|other| same_meaning(value, other))
    };
    // What says something in both was compared above.
    let is_in_a = |(key, value): (&String, &Value)| {
        says_nothing(key, value)
            || a.get(key)
                .is_some_and(|other| !says_nothing(key, other) || same_meaning(other, value))
    };
    a.iter().all(is_in_b) && b.iter().all(is_in_a)
}

fn says_nothing(key: &str, value: &Value) -> bool {
    value.is_null() || (EMPTY_IS_ABSENT.contains(&key) && is_empty(value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_work_does_not_double_with_each_level() {
        // Doubled at each of these levels, no machine would finish.
        let nested = |inner: i32| (0..60).fold(json!(inner), |inner, _| json!({"x": inner}));
        assert!(same_meaning(&nested(1), &nested(1)));
        assert!(!same_meaning(&nested(1), &nested(2)));
    }

    #[test]
    fn what_says_something_on_either_side_counts() {
        let cases = [
            (json!({"a": null}), json!({}), true),
            (json!({"groups": []}), json!({"groups": null}), true),
            (json!({"a": 1}), json!({"a": 1.0, "variants": []}), true),
            (json!({}), json!({"a": 1}), false),
            (json!({"a": null}), json!({"a": 1}), false),
            (json!({"groups": []}), json!({"groups": [1]}), false),
            (json!({"a": [{"b": 1}]}), json!({"a": [{"b": 2}]}), false),
        ];
        for (a, b, same) in cases {
            assert_eq!((same_meaning(&a, &b), same_meaning(&b, &a)), (same, same), "{a} {b}");
        }
    }
}
