//! For whom, and of which flags, reasons are asked (management-api 4.10).

use serde_json::{Value, json};

use super::{
    error::{Error, Result},
    fields,
    json::{self, Limits, Object, has_nul},
};

/// A question for reasons.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedReasons {
    /// Whom to evaluate for, as sent: an id is not trimmed.
    pub distinct_id: String,
    /// Group keys by group type name.
    pub groups: Object,
    /// These flags alone; `None` is all.
    pub flag_keys: Option<Vec<String>>,
}

impl WantedReasons {
    /// Reads `distinct_id`, `groups` and `flag_keys`, judged in that order.
    ///
    /// # Errors
    ///
    /// `Invalid` on the first that breaks a rule.
    pub fn parse(sent: &Object) -> Result<Self> {
        let distinct_id = sent.get("distinct_id").ok_or_else(|| fields::required("distinct_id"))?;
        if fields::text("distinct_id", distinct_id)?.is_empty() {
            let detail = "This field may not be blank.";
            return Err(Error::field("distinct_id", "blank", detail));
        }
        Ok(Self {
            distinct_id: distinct_id.as_str().unwrap_or_default().to_owned(),
            groups: groups(sent)?,
            flag_keys: flag_keys(sent.get("flag_keys").unwrap_or(&Value::Null)),
        })
    }
}

/// Reads `groups`: an object, or the text of one; none where it is absent or empty.
///
/// # Errors
///
/// `Invalid` on `groups` for what is no JSON, or no object.
pub fn groups(sent: &Object) -> Result<Object> {
    let invalid = |detail: &str| Error::field("groups", "invalid_input", detail);
    let parsed = match sent.get("groups") {
        None | Some(Value::Null) => return Ok(Object::new()),
        Some(Value::String(text)) if text.is_empty() => return Ok(Object::new()),
        Some(Value::String(text)) => json::parse(text, Limits::REQUEST)
            .map_err(|_| invalid("Invalid JSON in groups parameter"))?,
        Some(other) => other.clone(),
    };
    match parsed {
        Value::Object(groups) if has_nul(&json!(groups)) => Err(Error::field(
            "groups",
            "null_characters_not_allowed",
            "Null characters are not allowed.",
        )),
        Value::Object(groups) => Ok(groups),
        _ => Err(invalid("groups must be a JSON object")),
    }
}

/// A list of keys, one of whose items may be the JSON text of a list; none given is all flags.
fn flag_keys(sent: &Value) -> Option<Vec<String>> {
    let items = sent.as_array()?;
    let read = |item: &Value| -> Vec<String> {
        let text = item.as_str().unwrap_or_default();
        match text.starts_with('[').then(|| json::parse_typed(text)) {
            Some(Ok(listed)) => listed,
            _ => vec![text.to_owned()],
        }
    };
    let keys: Vec<String> = items.iter().flat_map(read).filter(|key| !key.is_empty()).collect();
    (!keys.is_empty()).then_some(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(sent: Value) -> Result<WantedReasons> {
        WantedReasons::parse(sent.as_object().unwrap())
    }

    #[test]
    fn the_first_wrong_parameter_is_told() {
        let groups = |text: &str| json!({"distinct_id": "x", "groups": text});
        let cases = [
            (json!({"groups": "["}), "distinct_id", "required", "This field is required."),
            (json!({"distinct_id": ""}), "distinct_id", "blank", "This field may not be blank."),
            (json!({"distinct_id": " "}), "distinct_id", "blank", "This field may not be blank."),
            (groups("{"), "groups", "invalid_input", "Invalid JSON in groups parameter"),
            (groups("[1]"), "groups", "invalid_input", "groups must be a JSON object"),
            (groups("null"), "groups", "invalid_input", "groups must be a JSON object"),
        ];
        for (sent, attr, code, detail) in cases {
            let error = parse(sent.clone()).unwrap_err();
            let told = (error.attr.as_deref(), error.reason.as_ref(), error.detail.as_str());
            assert_eq!(told, (Some(attr), code, detail), "{sent}");
        }
    }

    #[test]
    fn what_is_empty_asks_for_everything() {
        for sent in [
            json!({"distinct_id": "x"}),
            json!({"distinct_id": "x", "groups": "", "flag_keys": [""]}),
        ] {
            let wanted = parse(sent).unwrap();
            assert_eq!((wanted.groups.len(), wanted.flag_keys), (0, None));
        }
    }

    #[test]
    fn keys_come_one_by_one_or_as_the_text_of_a_list() {
        let cases = [
            (json!(["a", "b"]), ["a", "b"].as_slice()),
            (json!(["[\"a\", \"b\"]"]), &["a", "b"]),
            (json!(["[a"]), &["[a"]),
        ];
        for (sent, keys) in cases {
            let wanted = parse(json!({"distinct_id": "x", "flag_keys": sent})).unwrap();
            assert_eq!(wanted.flag_keys.unwrap(), keys);
        }
    }
}
