//! Reads single fields of a request body, with the stock messages of
//! management-api 1.3.
//!
//! Both edges bring a write as one JSON object, so a field is judged here and
//! nowhere else. A parser is given the field's name for the blame, and the
//! value as sent; absence is the caller's matter.

use chrono::{DateTime, NaiveDate, NaiveDateTime, SecondsFormat, SubsecRound, Timelike, Utc};
use serde_json::Value;

use super::{
    error::{Error, Result},
    json::{has_nul, is_integer, type_name},
};

/// The failure for a field that had to be there.
#[must_use]
pub fn required(attr: &str) -> Error {
    Error::field(attr, "required", "This field is required.")
}

fn null(attr: &str) -> Error {
    Error::field(attr, "null", "This field may not be null.")
}

fn invalid(attr: &str, detail: impl Into<String>) -> Error {
    Error::field(attr, "invalid_input", detail)
}

/// Turns `null` into `None` and reads anything else with `read`.
///
/// # Errors
///
/// Whatever `read` refuses.
pub fn nullable<T>(
    attr: &str,
    value: &Value,
    read: impl FnOnce(&str, &Value) -> Result<T>,
) -> Result<Option<T>> {
    if value.is_null() { Ok(None) } else { read(attr, value).map(Some) }
}

/// Text, trimmed; numbers are taken as their text.
///
/// # Errors
///
/// `null`, `invalid_input` for other types, `null_characters_not_allowed`.
pub fn text(attr: &str, value: &Value) -> Result<String> {
    let text = match value {
        Value::Null => return Err(null(attr)),
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return Err(invalid(attr, "Not a valid string.")),
    };
    no_nul(attr, value)?;
    Ok(text)
}

/// Text that says something, of at most `max` characters.
///
/// # Errors
///
/// As [`text`], and `blank` and `max_length`.
pub fn short_text(attr: &str, value: &Value, max: usize) -> Result<String> {
    let text = text(attr, value)?;
    if text.is_empty() {
        return Err(Error::field(attr, "blank", "This field may not be blank."));
    }
    if text.chars().count() > max {
        let detail = format!("Ensure this field has no more than {max} characters.");
        return Err(Error::field(attr, "max_length", detail));
    }
    Ok(text)
}

/// Any JSON that can be stored.
///
/// # Errors
///
/// `null_characters_not_allowed`: no database column takes a NUL.
pub fn any(attr: &str, value: &Value) -> Result<Value> {
    no_nul(attr, value)?;
    Ok(value.clone())
}

fn no_nul(attr: &str, value: &Value) -> Result<()> {
    match has_nul(value) {
        true => Err(Error::null_characters(attr)),
        false => Ok(()),
    }
}

/// Checks text that is looked for in the database.
///
/// # Errors
///
/// `null_characters_not_allowed`.
pub fn storable(attr: &str, text: &str) -> Result<()> {
    match text.contains('\0') {
        true => Err(Error::null_characters(attr)),
        false => Ok(()),
    }
}

/// The longest text that persons and groups are searched for, in characters: that of their ids.
/// Databases bound the length of a pattern.
const MAX_SEARCH_CHARS: usize = 400;

/// Reads a term that persons or groups are searched for; empty text is none.
///
/// # Errors
///
/// `null_characters_not_allowed`, `max_length`.
pub fn search_term(term: Option<String>) -> Result<Option<String>> {
    let Some(term) = term.filter(|term| !term.is_empty()) else { return Ok(None) };
    storable("search", &term)?;
    match term.chars().nth(MAX_SEARCH_CHARS) {
        None => Ok(Some(term)),
        Some(_) => {
            let detail = format!("Search term cannot exceed {MAX_SEARCH_CHARS} characters");
            Err(Error::field("search", "max_length", detail))
        }
    }
}

/// A truth value, which may be spelled as text or a digit (1.4).
///
/// # Errors
///
/// `null`, or `invalid_input` for anything else.
pub fn boolean(attr: &str, value: &Value) -> Result<bool> {
    let spelled = match value {
        Value::Null => return Err(null(attr)),
        Value::Bool(value) => return Ok(*value),
        Value::String(text) => text.trim().to_ascii_lowercase(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    };
    match spelled.as_str() {
        "true" | "t" | "yes" | "y" | "on" | "1" | "1.0" => Ok(true),
        "false" | "f" | "no" | "n" | "off" | "0" | "0.0" => Ok(false),
        _ => Err(invalid(attr, "Must be a valid boolean.")),
    }
}

/// A truth value or null; the spellings of null count too.
///
/// # Errors
///
/// `invalid_input` for anything else.
pub fn nullable_boolean(attr: &str, value: &Value) -> Result<Option<bool>> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if matches!(text.as_str(), "" | "null" | "Null" | "NULL") => Ok(None),
        other => boolean(attr, other).map(Some),
    }
}

/// A whole number, which may come as text.
///
/// # Errors
///
/// `null`, or `invalid_input` for anything else.
pub fn integer(attr: &str, value: &Value) -> Result<i64> {
    let parsed = match value {
        Value::Null => return Err(null(attr)),
        Value::Number(number) if is_integer(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    parsed.ok_or_else(|| invalid(attr, "A valid integer is required."))
}

/// One of a few words.
///
/// # Errors
///
/// `null`, or `invalid_choice` with a hint that lists the words.
pub fn choice(attr: &str, value: &Value, allowed: &[&str]) -> Result<String> {
    let shown = match value {
        Value::Null => return Err(null(attr)),
        Value::String(text) if allowed.contains(&text.as_str()) => return Ok(text.clone()),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let choices: Vec<&str> = allowed.iter().copied().filter(|word| !word.is_empty()).collect();
    let detail = format!("\"{shown}\" is not a valid choice.");
    Err(Error::field(attr, "invalid_choice", detail)
        .with_hint(format!("Valid choices: {}.", choices.join(", "))))
}

/// A list of anything.
///
/// # Errors
///
/// `null` or `not_a_list`.
pub fn list<'a>(attr: &str, value: &'a Value) -> Result<&'a [Value]> {
    match value {
        Value::Null => Err(null(attr)),
        Value::Array(items) => Ok(items),
        other => {
            let found = type_name(other);
            let detail = format!("Expected a list of items but got type \"{found}\".");
            Err(Error::field(attr, "not_a_list", detail))
        }
    }
}

/// An object of anything.
///
/// # Errors
///
/// `null` or `not_a_dict`.
pub fn object<'a>(attr: &str, value: &'a Value) -> Result<&'a super::json::Object> {
    match value {
        Value::Null => Err(null(attr)),
        Value::Object(fields) => Ok(fields),
        other => {
            let found = type_name(other);
            let detail = format!("Expected a dictionary of items but got type \"{found}\".");
            Err(Error::field(attr, "not_a_dict", detail))
        }
    }
}

/// An instant; text without an offset is UTC. Kept to the microsecond, as databases do.
///
/// # Errors
///
/// `null`, or `invalid_input` with the stock text.
pub fn datetime(attr: &str, value: &Value) -> Result<DateTime<Utc>> {
    let parsed = match value {
        Value::Null => return Err(null(attr)),
        Value::String(text) => parse_datetime(text.trim()),
        _ => None,
    };
    parsed.map(|instant| instant.trunc_subsecs(6)).ok_or_else(|| {
        invalid(
            attr,
            "Datetime has wrong format. Use one of these formats instead: \
             YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|-HH:MM|Z].",
        )
    })
}

fn parse_datetime(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.to_utc());
    }
    for format in ["%Y-%m-%dT%H:%M%:z", "%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M%:z"] {
        let spelled =
            text.strip_suffix('Z').map_or_else(|| text.to_owned(), |t| format!("{t}+00:00"));
        if let Ok(instant) = DateTime::parse_from_str(&spelled, format) {
            return Some(instant.to_utc());
        }
    }
    let naive =
        ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M"]
            .iter()
            .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
            .or_else(|| NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?.and_hms_opt(0, 0, 0))?;
    Some(naive.and_utc())
}

/// An instant as answers spell it: UTC with `Z`, microseconds when there are any (1.4).
#[must_use]
pub fn timestamp(instant: DateTime<Utc>) -> String {
    let micros = instant.nanosecond() / 1_000 != 0;
    let format = if micros { SecondsFormat::Micros } else { SecondsFormat::Secs };
    instant.to_rfc3339_opts(format, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn code<T: std::fmt::Debug>(result: Result<T>) -> String {
        result.unwrap_err().reason.clone().into_owned()
    }

    #[test]
    fn text_is_trimmed_and_only_text_or_numbers_are_taken() {
        assert_eq!(text("key", &json!("  a ")).unwrap(), "a");
        assert_eq!(text("key", &json!(7)).unwrap(), "7");
        assert_eq!(code(text("key", &json!(null))), "null");
        assert_eq!(code(text("key", &json!(true))), "invalid_input");
        assert_eq!(code(text("key", &json!("a\0"))), "null_characters_not_allowed");
        assert_eq!(code(short_text("key", &json!("  "), 3)), "blank");
        assert_eq!(code(short_text("key", &json!("abcd"), 3)), "max_length");
        assert_eq!(short_text("key", &json!("äöü"), 3).unwrap(), "äöü");
    }

    #[test]
    fn truth_can_be_spelled_in_several_ways() {
        for value in [json!(true), json!("true"), json!("True"), json!("1"), json!(1)] {
            assert!(boolean("active", &value).unwrap(), "{value}");
        }
        for value in [json!(false), json!("false"), json!("False"), json!("0"), json!(0)] {
            assert!(!boolean("active", &value).unwrap(), "{value}");
        }
        for value in [json!("maybe"), json!(2), json!([]), json!({})] {
            assert_eq!(code(boolean("active", &value)), "invalid_input", "{value}");
        }
        assert_eq!(code(boolean("active", &json!(null))), "null");
        assert_eq!(nullable_boolean("active", &json!(null)).unwrap(), None);
    }

    #[test]
    fn instants_are_read_in_every_documented_spelling() {
        let cases = [
            ("2026-04-29T15:30:00.123456Z", "2026-04-29T15:30:00.123456Z"),
            ("2026-04-29T15:30:00.123456789Z", "2026-04-29T15:30:00.123456Z"),
            ("2026-04-29T15:30Z", "2026-04-29T15:30:00Z"),
            ("2026-04-29T15:30", "2026-04-29T15:30:00Z"),
            ("2026-04-29T15:30:00+02:00", "2026-04-29T13:30:00Z"),
            ("2026-04-29T15:30+02:00", "2026-04-29T13:30:00Z"),
            ("2026-04-29 15:30:00", "2026-04-29T15:30:00Z"),
        ];
        for (sent, shown) in cases {
            assert_eq!(timestamp(datetime("at", &json!(sent)).unwrap()), shown, "{sent}");
        }
        for refused in [json!("yesterday"), json!(12), json!("2026-13-01T00:00Z"), json!("")] {
            assert_eq!(code(datetime("at", &refused)), "invalid_input", "{refused}");
        }
    }

    #[test]
    fn lists_objects_choices_and_numbers_say_what_they_wanted() {
        let error = list("tags", &json!({})).unwrap_err();
        assert_eq!(error.detail, "Expected a list of items but got type \"dict\".");
        let error = object("filters", &json!([])).unwrap_err();
        assert_eq!(error.detail, "Expected a dictionary of items but got type \"list\".");
        let error = choice("evaluation_runtime", &json!("both"), &["all"]).unwrap_err();
        assert_eq!(error.detail, "\"both\" is not a valid choice.");
        assert_eq!(integer("id", &json!("12")).unwrap(), 12);
        assert_eq!(code(integer("id", &json!(1.5))), "invalid_input");
    }
}
