//! What arbitrary JSON means here: when two values are equal, how deep one may
//! be, and what its types are called in messages.
//!
//! Numbers keep the text they came with (`arbitrary_precision` of `serde_json`),
//! so a stored `65` is never shown as `65.0`. Comparing is by value: `50` and
//! `50.0` are one percentage, and echoing one for the other changes nothing.
//!
//! All JSON text, received or stored, is parsed by the functions of `read`:
//! `serde_json`'s own reading of a `Value` misunderstands some texts.

mod read;
mod surrogates;

use serde_json::{Map, Number, Value};

pub use read::{
    Limits, MAX_ELEMENTS, MAX_PARSER_DEPTH, ReadError, deserialize_value, parse, parse_bytes,
    parse_json5, parse_lenient, parse_marked, parse_stored, parse_typed,
};
pub use surrogates::contains_char;

/// The deepest nesting of objects and lists that a request may bring (architecture 9).
pub const MAX_DEPTH: usize = 32;

/// A JSON object, in the order of its keys.
pub type Object = Map<String, Value>;

/// The name of a value's type in messages (management-api 1.3).
#[must_use]
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Number(number) if is_integer(number) => "int",
        Value::Number(_) => "float",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    }
}

/// Whether a number is written as a whole number: `1` is, `1.0` and `1e0` are not.
#[must_use]
pub fn is_integer(number: &Number) -> bool {
    !number.as_str().contains(['.', 'e', 'E'])
}

/// Whether two values mean the same: numbers by value, objects in any order of keys.
#[must_use]
pub fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => same_number(a, b),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| same(value, other)))
        }
        _ => a == b,
    }
}

fn same_number(a: &Number, b: &Number) -> bool {
    if is_integer(a) && is_integer(b) {
        return a.as_str() == b.as_str();
    }
    a.as_f64().is_some() && a.as_f64() == b.as_f64()
}

/// As [`same`], for values that came as messages, whose numbers are all doubles.
#[must_use]
pub fn same_double(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_double(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let same = |(key, value)| b.get(key).is_some_and(|other| same_double(value, other));
            a.len() == b.len() && a.iter().all(same)
        }
        _ => a == b,
    }
}

/// Whether nesting goes beyond [`MAX_DEPTH`].
#[must_use]
pub fn too_deep(value: &Value) -> bool {
    deeper_than(value, MAX_DEPTH)
}

fn deeper_than(value: &Value, allowed: usize) -> bool {
    match value {
        Value::Array(items) => {
            allowed == 0 || items.iter().any(|item| deeper_than(item, allowed - 1))
        }
        Value::Object(fields) => {
            allowed == 0 || fields.values().any(|field| deeper_than(field, allowed - 1))
        }
        _ => false,
    }
}

/// Whether a NUL character hides anywhere in it; PostgreSQL cannot store one.
#[must_use]
pub fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => {
            fields.iter().any(|(key, field)| key.contains('\0') || has_nul(field))
        }
        _ => false,
    }
}

/// "Empty" as diffs understand it (management-api 4.6): `false` and `0` are not.
#[must_use]
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A value as Python prints it, which some documented messages do.
#[must_use]
pub fn python(value: &Value) -> String {
    match value {
        Value::Null => "None".into(),
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => python_text(text),
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(python).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(fields) => {
            let field = |(key, field): (&String, &Value)| {
                format!("{}: {}", python_text(key), python(field))
            };
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(", "))
        }
    }
}

/// In single quotes, unless the text holds one and no double quote.
fn python_text(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::from(quote);
    for character in text.chars() {
        match character {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            quoted if quoted == quote => out.extend(['\\', quoted]),
            control if control.is_ascii_control() => {
                out.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            other => out.push(other),
        }
    }
    out.push(quote);
    out
}

/// Compact text with the keys of every object sorted: what sizes are measured on.
#[must_use]
pub fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Array(items) => items.iter().map(sorted).collect(),
            Value::Object(fields) => {
                let mut entries: Vec<_> =
                    fields.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                Value::Object(entries.into_iter().collect())
            }
            other => other.clone(),
        }
    }
    sorted(value).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn equality_is_by_value_and_not_by_spelling() {
        let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        let cases = [
            ("50", "50.0", true),
            ("1e2", "100", true),
            ("9007199254740993", "9007199254740992", false),
            ("true", "1", false),
            (r#"{"a":1,"b":[2]}"#, r#"{"b":[2.0],"a":1}"#, true),
            (r#"{"a":null}"#, "{}", false),
            ("[1,2]", "[2,1]", false),
        ];
        for (a, b, expected) in cases {
            assert_eq!(same(&parse(a), &parse(b)), expected, "{a} and {b}");
        }
    }

    #[test]
    fn numbers_keep_the_text_they_came_with() {
        for text in ["65", "65.0", "1.50", "123456789012345678901234567890", "-0.10"] {
            assert_eq!(serde_json::from_str::<Value>(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn types_have_the_names_that_messages_use() {
        let cases = [
            (json!(null), "NoneType"),
            (json!(true), "bool"),
            (json!(1), "int"),
            (json!(1.5), "float"),
            (json!("x"), "str"),
            (json!([]), "list"),
            (json!({}), "dict"),
        ];
        for (value, name) in cases {
            assert_eq!(type_name(&value), name);
        }
    }

    #[test]
    fn depth_counts_objects_and_lists() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(!too_deep(&nested(MAX_DEPTH)));
        assert!(too_deep(&nested(MAX_DEPTH + 1)));
    }
    #[test]
    fn values_are_printed_as_python_prints_them() {
        let cases = [
            (json!(null), "None"),
            (json!([true, false, 1, 1.5]), "[True, False, 1, 1.5]"),
            (json!("x"), "'x'"),
            (json!("it's"), "\"it's\""),
            (json!("it's \"so\""), "'it\\'s \"so\"'"),
            (json!("a\\b\n\u{1}"), "'a\\\\b\\n\\x01'"),
            (json!({"a": ["é"]}), "{'a': ['é']}"),
        ];
        for (value, expected) in cases {
            assert_eq!(python(&value), expected);
        }
    }
}
