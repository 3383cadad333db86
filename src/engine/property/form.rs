//! The string form of a JSON value, which most operators compare.

use std::borrow::Cow;

use serde_json::{Number, Value};

/// A string itself, anything else its compact JSON with sorted keys.
///
/// Numbers keep the distinction `1` and `1.0` but not their spelling: `1e2`
/// reads `100.0`, as it does for a service that parses numbers eagerly.
pub(in crate::engine) fn form(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        Value::Null => Cow::Borrowed("null"),
        Value::Bool(true) => Cow::Borrowed("true"),
        Value::Bool(false) => Cow::Borrowed("false"),
        Value::Number(number) => number_form(number),
        Value::Array(_) | Value::Object(_) => Cow::Owned(canonical(value).to_string()),
    }
}

/// Lower-cases as `exact` does: all of Unicode, copying only when needed.
pub(super) fn lower(text: Cow<'_, str>) -> Cow<'_, str> {
    let lower_ascii = |byte: u8| byte.is_ascii() && !byte.is_ascii_uppercase();
    if text.bytes().all(lower_ascii) { text } else { Cow::Owned(text.to_lowercase()) }
}

/// Lower-cases as the contains family does: ASCII only.
pub(super) fn lower_ascii(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        text
    }
}

fn number_form(number: &Number) -> Cow<'_, str> {
    match respelled(number) {
        Some(float) => Cow::Owned(float.to_string()),
        None => Cow::Borrowed(number.as_str()),
    }
}

/// The number as a float, unless it is an integer (or too large for one).
fn respelled(number: &Number) -> Option<Number> {
    let text = number.as_str();
    // JSON's `-0` is the float -0.0: no integer is.
    let integer = text != "-0" && (text.parse::<u64>().is_ok() || text.parse::<i64>().is_ok());
    if integer { None } else { text.parse().ok().and_then(Number::from_f64) }
}

/// The value with keys sorted and numbers respelled, at every depth.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => Value::Number(respelled(number).unwrap_or_else(|| number.clone())),
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(entries) => {
            let mut entries: Vec<_> =
                entries.iter().map(|(key, value)| (key.clone(), canonical(value))).collect();
            entries.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
            entries.into_iter().collect()
        }
        plain => plain.clone(),
    }
}
