//! Reads the ids that are to be added to a static cohort, or taken from it.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::model::{
    error::{Error, Result},
    fields,
    json::{Object, has_nul},
    stored_id::MAX_ID_CHARS,
};

/// How many ids one call may bring (architecture 2).
pub const MOST_IDS: usize = 10_000;

/// What a call came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Persons who became members, or ceased to be.
    pub changed: u64,
    /// Ids that were unknown.
    pub unknown: u64,
}

/// The distinct ids of a body, each once, sorted.
///
/// # Errors
///
/// On `distinct_ids`, or on the item that is no id: `required`, `null`, `not_a_list`, `empty`,
/// `max_length`, `blank`, `invalid_input`, `null_characters_not_allowed`.
pub fn distinct_ids(body: &Object) -> Result<BTreeSet<String>> {
    let attr = "distinct_ids";
    let sent = body.get(attr).ok_or_else(|| fields::required(attr))?;
    let items = fields::list(attr, sent)?;
    if items.is_empty() {
        return Err(Error::field(attr, "empty", "This list may not be empty."));
    }
    if items.len() > MOST_IDS {
        let detail = format!("Ensure this field has no more than {MOST_IDS} elements.");
        return Err(Error::field(attr, "max_length", detail));
    }
    items.iter().enumerate().map(|(at, item)| id(item, at)).collect()
}

/// Text as it stands, spaces included; a number is its text, as in evaluation.
fn id(item: &Value, at: usize) -> Result<String> {
    let refuse = |code, detail: &str| Error::field(format!("distinct_ids__{at}"), code, detail);
    let id = match item {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Null => return Err(refuse("null", "This field may not be null.")),
        _ => return Err(refuse("invalid_input", "Not a valid string.")),
    };
    if id.is_empty() {
        return Err(refuse("blank", "This field may not be blank."));
    }
    if has_nul(item) {
        return Err(refuse("null_characters_not_allowed", "Null characters are not allowed."));
    }
    if id.chars().count() > MAX_ID_CHARS {
        let detail = format!("Ensure this field has no more than {MAX_ID_CHARS} characters.");
        return Err(refuse("max_length", &detail));
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(ids: Value) -> Result<BTreeSet<String>> {
        distinct_ids(&Object::from_iter([("distinct_ids".to_owned(), ids)]))
    }

    #[test]
    fn an_id_counts_once_and_stays_as_it_is() {
        let ids = read(json!([" a ", "b", "b", 7])).unwrap();
        assert_eq!(ids.iter().map(String::as_str).collect::<Vec<_>>(), [" a ", "7", "b"]);
        assert_eq!(read(json!(["ü".repeat(400)])).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_list_of_ids_is_refused_where_it_is_wrong() {
        let cases = [
            (json!(null), "distinct_ids", "null"),
            (json!("a"), "distinct_ids", "not_a_list"),
            (json!([]), "distinct_ids", "empty"),
            (json!(vec!["a"; MOST_IDS + 1]), "distinct_ids", "max_length"),
            (json!(["a", null]), "distinct_ids__1", "null"),
            (json!(["a", true]), "distinct_ids__1", "invalid_input"),
            (json!([""]), "distinct_ids__0", "blank"),
            (json!(["a\0"]), "distinct_ids__0", "null_characters_not_allowed"),
            (json!(["x".repeat(401)]), "distinct_ids__0", "max_length"),
        ];
        for (ids, attr, code) in cases {
            let error = read(ids).unwrap_err();
            assert_eq!((error.attr.as_deref(), &*error.reason), (Some(attr), code));
        }
        assert_eq!(&*distinct_ids(&Object::new()).unwrap_err().reason, "required");
    }
}
