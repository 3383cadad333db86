//! Reads the filters that select flags for deletion (management-api 4.7).
//!
//! A list ignores a value that it cannot read, and shows more flags. A deletion would remove more
//! flags, so every value given here must narrow the selection.

use serde_json::Value;

use super::{
    error::{BodyKind, Error, Result},
    flag_filter::FlagFilter,
    json::{self, Limits, Object, is_integer},
};

/// Whether a value of one filter can be used.
type Check = fn(&Value) -> bool;

/// The filters of a selection, by name.
const FILTERS: [(&str, Check); 10] = [
    ("active", is_activity),
    ("archived", is_truth),
    ("created_by_id", is_users),
    ("evaluation_runtime", is_text),
    ("excluded_properties", is_texts),
    ("excluded_tags", is_texts),
    ("has_evaluation_contexts", is_truth),
    ("search", is_text),
    ("tags", is_texts),
    ("type", is_flag_type),
];

/// Reads the filters of a selection.
///
/// # Errors
///
/// `Invalid` with the body `{"error"}` for names that are no filters, and for the first value, in
/// the order of names, that cannot be used; and what [`FlagFilter::parse`] refuses.
pub fn parse(filters: &Object) -> Result<FlagFilter> {
    let mut names: Vec<&str> = filters.keys().map(String::as_str).collect();
    names.sort_unstable();
    let unknown: Vec<&str> =
        names.iter().copied().filter(|name| check_of(name).is_none()).collect();
    if !unknown.is_empty() {
        return Err(refuse(format!("Unknown filter keys: {}", unknown.join(", "))));
    }
    let is_unusable = |name: &&&str| check_of(name).is_some_and(|check| !check(&filters[**name]));
    if let Some(name) = names.iter().find(is_unusable) {
        return Err(refuse(format!("Invalid value for filter: {name}")));
    }
    FlagFilter::parse(filters)
}

fn check_of(name: &str) -> Option<Check> {
    FILTERS.iter().find(|(filter, _)| *filter == name).map(|(_, check)| *check)
}

fn refuse(detail: String) -> Error {
    Error::rule(detail).with_body(BodyKind::Error)
}

/// On, off or stale. A list takes any other text for off.
fn is_activity(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::String(text) => {
            text == "STALE" || ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word))
        }
        _ => false,
    }
}

/// A boolean, as JSON or in one of the spellings of management-api 3.7. A list takes any other text
/// for false.
fn is_truth(value: &Value) -> bool {
    const WORDS: [&str; 12] =
        ["true", "1", "yes", "y", "t", "on", "false", "0", "no", "n", "f", "off"];
    match value {
        Value::Bool(_) => true,
        Value::Number(number) => matches!(number.as_str(), "0" | "1"),
        Value::String(text) => WORDS.iter().any(|word| text.eq_ignore_ascii_case(word)),
        _ => false,
    }
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.trim().is_empty())
}

fn is_flag_type(value: &Value) -> bool {
    matches!(value.as_str(), Some("boolean" | "multivariant" | "experiment" | "remote_config"))
}

/// A list of texts, or its JSON text.
fn is_texts(value: &Value) -> bool {
    match listed(value) {
        Some(items) => !items.is_empty() && items.iter().all(is_text),
        None => false,
    }
}

/// One id, a comma list, or a JSON list, each part of which is an id.
fn is_users(value: &Value) -> bool {
    let is_id = |text: &str| text.trim().parse::<i64>().is_ok();
    match (listed(value), value) {
        (Some(items), _) => !items.is_empty() && items.iter().all(is_user),
        (None, Value::String(text)) => text.split(',').all(is_id),
        (None, other) => is_user(other),
    }
}

fn is_user(value: &Value) -> bool {
    match value {
        Value::Number(number) => is_integer(number) && number.as_i64().is_some(),
        Value::String(text) => text.trim().parse::<i64>().is_ok(),
        _ => false,
    }
}

/// The items of a list, which may come as its JSON text; `None` for anything else.
fn listed(value: &Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items.clone()),
        Value::String(text) => match json::parse(text, Limits::REQUEST) {
            Ok(Value::Array(items)) => Some(items),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn outcome(name: &str, value: &Value) -> Option<String> {
        let filters = Object::from_iter([(name.to_owned(), value.clone())]);
        parse(&filters).err().map(|error| error.detail.clone())
    }

    #[test]
    fn values_that_a_list_would_ignore_or_misread_are_refused() {
        let everywhere = [json!(null), json!(""), json!("  "), json!({}), json!([]), json!(1.5)];
        let cases = [
            ("active", vec![json!("maybe"), json!("stale"), json!("yes"), json!(1), json!([true])]),
            ("archived", vec![json!("maybe"), json!(2), json!([true])]),
            ("has_evaluation_contexts", vec![json!("web"), json!(-1)]),
            (
                "created_by_id",
                vec![
                    json!("3,x"),
                    json!("3,"),
                    json!([3, "x"]),
                    json!([3, null]),
                    json!(true),
                    json!("99999999999999999999"),
                    json!("[3, true]"),
                    json!([1.0]),
                ],
            ),
            ("evaluation_runtime", vec![json!(5), json!(true), json!(["server"])]),
            ("search", vec![json!(5), json!(true), json!(["a"])]),
            (
                "type",
                vec![json!("multivariate"), json!("Boolean"), json!(true), json!(["boolean"])],
            ),
            (
                "tags",
                vec![
                    json!("experimental"),
                    json!(["a", null]),
                    json!(["a", ""]),
                    json!([5]),
                    json!("[\"a\", 1]"),
                    json!("[]"),
                    json!("[\"a\""),
                    json!({"a": 1}),
                ],
            ),
            ("excluded_tags", vec![json!("a"), json!([["a"]])]),
            ("excluded_properties", vec![json!("a"), json!([null])]),
        ];
        for (name, values) in cases {
            for value in everywhere.iter().chain(&values) {
                let expected = Some(format!("Invalid value for filter: {name}"));
                assert_eq!(outcome(name, value), expected, "{name}: {value}");
            }
        }
    }

    #[test]
    fn values_that_a_list_understands_are_taken() {
        let cases = [
            ("active", vec![json!("True"), json!("false"), json!("STALE"), json!(true)]),
            ("archived", vec![json!(true), json!("Off"), json!(1), json!("0")]),
            (
                "created_by_id",
                vec![json!(3), json!("3"), json!("3, 4"), json!([3, "4"]), json!("[3]")],
            ),
            ("evaluation_runtime", vec![json!("server"), json!("both")]),
            ("excluded_properties", vec![json!(["a"]), json!("[\"a\"]")]),
            ("search", vec![json!("needle in")]),
            ("tags", vec![json!(["a", "b"]), json!("[\"a\"]")]),
            (
                "type",
                vec![
                    json!("boolean"),
                    json!("multivariant"),
                    json!("experiment"),
                    json!("remote_config"),
                ],
            ),
        ];
        for (name, values) in cases {
            for value in values {
                assert_eq!(outcome(name, &value), None, "{name}: {value}");
            }
        }
    }

    #[test]
    fn the_first_unusable_value_is_reported_in_the_order_of_names_after_unknown_names() {
        let parsed = |value: Value| parse(value.as_object().expect("an object"));
        let error = parsed(json!({"type": "x", "tags": "x"})).expect_err("unusable");
        assert_eq!(error.detail, "Invalid value for filter: tags");
        let error = parsed(json!({"tags": "x", "typo": 1})).expect_err("unknown");
        assert_eq!(
            (error.detail.as_str(), error.body),
            ("Unknown filter keys: typo", BodyKind::Error)
        );
    }
}
