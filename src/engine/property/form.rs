//! The string form of a JSON value, which most operators compare.

use std::borrow::Cow;

use serde_json::{Number, Value};

use crate::engine::work::{BYTES, Work};

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

/// About the bytes that making the string form takes.
///
/// Lists and objects have to be walked, which is work too; the walk ends where
/// there is none left, with more than anything could cost.
pub(super) fn extent(value: &Value, work: &Work) -> u64 {
    match value {
        Value::String(text) => text.len() as u64,
        Value::Null | Value::Bool(_) => 0,
        Value::Number(number) => number.as_str().len() as u64,
        Value::Array(_) | Value::Object(_) => {
            let mut walk = Walk { bytes: 0, most: work.left().saturating_mul(BYTES) };
            let is_whole = walk.visit(value);
            work.charge(walk.bytes / WALKED_BYTES);
            if is_whole { walk.bytes } else { u64::MAX }
        }
    }
}

/// What making the form of one value takes beside its own text, in bytes.
const ENTRY_BYTES: u64 = 64;

/// Bytes walked over, not made, for one unit of work.
const WALKED_BYTES: u64 = 1_024;

struct Walk {
    bytes: u64,
    most: u64,
}

impl Walk {
    /// Adds up a value; false where the walk ends early.
    fn visit(&mut self, value: &Value) -> bool {
        self.bytes += ENTRY_BYTES;
        self.bytes <= self.most
            && match value {
                Value::String(text) => self.add(text),
                Value::Number(number) => self.add(number.as_str()),
                Value::Array(items) => items.iter().all(|item| self.visit(item)),
                Value::Object(entries) => {
                    entries.iter().all(|(key, value)| self.add(key) && self.visit(value))
                }
                Value::Null | Value::Bool(_) => true,
            }
    }

    fn add(&mut self, text: &str) -> bool {
        self.bytes += text.len() as u64;
        self.bytes <= self.most
    }
}

/// Hands on the text lower-cased as `exact` does: all of Unicode.
pub(super) fn lowered<T>(text: Cow<'_, str>, use_it: impl FnOnce(&str) -> T) -> T {
    if text.is_ascii() { ascii_lowered(text, use_it) } else { use_it(&text.to_lowercase()) }
}

/// Hands on the text lower-cased as the contains family does: ASCII only.
///
/// What is short is lower-cased on the stack, since every filter does it.
pub(super) fn ascii_lowered<T>(text: Cow<'_, str>, use_it: impl FnOnce(&str) -> T) -> T {
    let mut short = [0; 128];
    if !text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return use_it(&text);
    }
    if let Some(place) = short.get_mut(..text.len()) {
        place.copy_from_slice(text.as_bytes());
        place.make_ascii_lowercase();
        if let Ok(lower) = str::from_utf8(place) {
            return use_it(lower);
        }
    }
    use_it(&text.to_ascii_lowercase())
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_walk_ends_where_no_work_is_left() {
        let work = Work::default();
        let wide = json!(vec![1; 10_000]);
        assert_eq!(extent(&wide, &work), 64 + 10_000 * 65);
        work.charge(work.left() - 10);
        assert_eq!(extent(&wide, &work), u64::MAX);
        assert_eq!(work.left(), 10, "the little that was walked cost next to nothing");
    }
}
