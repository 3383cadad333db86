//! A person: someone flags are evaluated for.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// A person as shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The row's number.
    pub id: i64,
    /// Unique in the project; what paths name a person by.
    pub uuid: Uuid,
    /// All ids the person is known by, sorted.
    pub distinct_ids: Vec<String>,
    /// As they now are: an object.
    pub properties: Value,
    /// When the person was first seen.
    pub created_at: DateTime<Utc>,
}

/// Which persons of a project are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersonFilter {
    /// The one who has this id.
    pub distinct_id: Option<String>,
    /// Text in a distinct id, or in the property `email` or `name`; case is ignored.
    pub search: Option<String>,
}

impl PersonFilter {
    /// What a caller asks for; text that is empty asks for nothing.
    #[must_use]
    pub fn new(distinct_id: Option<String>, search: Option<String>) -> Self {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        Self { distinct_id: said(distinct_id), search: said(search) }
    }
}

/// What searches look in beside ids: the `email` and `name` of these properties, in lower case,
/// one a line. To be stored whenever properties are.
#[must_use]
pub fn search_text(properties: &Value) -> String {
    let texts = ["email", "name"].map(|key| match properties.get(key) {
        Some(Value::String(text)) => text.to_lowercase(),
        Some(Value::Number(number)) => number.to_string(),
        _ => String::new(),
    });
    texts.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn email_and_name_are_searched_in_lower_case() {
        let cases = [
            (json!({"email": "Ann@X.com", "name": "Änn B", "plan": "pro"}), "ann@x.com\nänn b"),
            (json!({"email": "a@x.com"}), "a@x.com"),
            (json!({"name": 7}), "\n7"),
            (json!({"name": {"first": "x"}}), ""),
            (json!({}), ""),
        ];
        for (properties, text) in cases {
            assert_eq!(search_text(&properties), text, "{properties}");
        }
    }
}
