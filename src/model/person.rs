//! A person: someone flags are evaluated for.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{error::Result, fields, stored_id::looked_up_id};

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
    /// Reads what a caller asks for, as [`PersonFilter::new`] does.
    ///
    /// # Errors
    ///
    /// `null_characters_not_allowed` and `max_length` for the search.
    pub fn parse(distinct_id: Option<String>, search: Option<String>) -> Result<Self> {
        Ok(Self::new(distinct_id, fields::search_term(search)?))
    }

    /// What a caller asks for; text that is empty asks for nothing. The id is the one under which
    /// a person is stored: an id of NUL characters alone is nobody's.
    #[must_use]
    pub fn new(distinct_id: Option<String>, search: Option<String>) -> Self {
        let said = |text: Option<String>| text.filter(|text| !text.is_empty());
        let distinct_id = said(distinct_id).map(|id| looked_up_id(&id));
        Self { distinct_id, search: said(search) }
    }
}

/// How much of a property searches look in, in characters: what is indexed must not grow with
/// what somebody sends.
const MAX_SEARCHED_CHARS: usize = 400;

/// What searches look in beside ids: the `email` and `name` of these properties, in lower case
/// and up to 400 characters of each, one a line. To be stored whenever properties are.
#[must_use]
pub fn search_text(properties: &Value) -> String {
    let texts = ["email", "name"].map(|key| match properties.get(key) {
        Some(Value::String(text)) => {
            let searched: String = text.chars().take(MAX_SEARCHED_CHARS).collect();
            searched.to_lowercase()
        }
        Some(Value::Number(number)) => {
            number.to_string().chars().take(MAX_SEARCHED_CHARS).collect()
        }
        _ => String::new(),
    });
    texts.join("\n").trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_person_is_looked_for_by_the_stored_id() {
        let wanted = |id: &str| PersonFilter::new(Some(id.to_owned()), None).distinct_id;
        assert_eq!(wanted("a\0b").as_deref(), Some("ab"));
        assert_eq!(wanted(""), None);
        assert_eq!(wanted("\0").as_deref(), Some(""), "nobody, rather than everybody");
    }

    #[test]
    fn what_is_searched_is_bounded() {
        let properties = json!({"email": "É".repeat(10_000), "name": "x".repeat(401)});
        let searched = search_text(&properties);
        assert_eq!(searched, format!("{}\n{}", "é".repeat(400), "x".repeat(400)));
    }

    #[test]
    fn a_search_that_no_database_can_make_is_refused() {
        let attr = |search: &str| {
            PersonFilter::parse(None, Some(search.into())).unwrap_err().attr.clone().unwrap()
        };
        assert_eq!(attr("\0"), "search");
        assert_eq!(attr(&"é".repeat(401)), "search");
        assert!(PersonFilter::parse(None, Some("é".repeat(400))).is_ok());
        assert_eq!(
            PersonFilter::parse(None, Some(String::new())).unwrap(),
            PersonFilter::default()
        );
    }

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
