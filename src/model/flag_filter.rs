//! Which flags a list wants, in what order (management-api 3.7).
//!
//! The same parameters come as text in a query and typed in messages and bulk
//! bodies; all are read from one JSON object here. What cannot be read counts
//! as not sent, as the document says, except for the search and the order.

use serde_json::Value;

use super::{
    error::{Error, Result},
    json::{self, Limits, Object, has_nul},
};

/// The longest search term, in characters.
const MOST_SEARCHED: usize = 200;

/// Fields that a list can be ordered by.
const SORTABLE: [&str; 22] = [
    "id",
    "key",
    "name",
    "filters",
    "deleted",
    "active",
    "version",
    "created_at",
    "updated_at",
    "created_by",
    "last_modified_by",
    "ensure_experience_continuity",
    "rollback_conditions",
    "performed_rollback",
    "usage_dashboard",
    "has_enriched_analytics",
    "is_remote_configuration",
    "has_encrypted_payloads",
    "evaluation_runtime",
    "bucketing_identifier",
    "last_called_at",
    "archived",
];

/// Whether flags are on, off, or forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// On.
    Active,
    /// Off.
    Inactive,
    /// On and not called for a month, or never called and fully rolled out.
    Stale,
}

/// What kind of flag is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlagType {
    /// No variants.
    Boolean,
    /// Variants.
    Multivariant,
    /// Any linked experiment.
    Experiment,
    /// Delivers a payload.
    RemoteConfig,
}

/// What a list is narrowed to; everything given must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FlagFilter {
    /// On, off or stale.
    pub activity: Option<Activity>,
    /// Made by any of these users.
    pub created_by: Option<Vec<i64>>,
    /// Lower-cased text found in the key, the name or a linked experiment's name.
    pub search: Option<String>,
    /// This very key, in any case; lower-cased.
    pub key: Option<String>,
    /// This kind.
    pub flag_type: Option<FlagType>,
    /// This runtime, as stored.
    pub evaluation_runtime: Option<String>,
    /// None of these keys.
    pub excluded_keys: Vec<String>,
    /// At least one of these tags.
    pub tags: Option<Vec<String>>,
    /// None of these tags.
    pub excluded_tags: Vec<String>,
    /// With or without evaluation contexts.
    pub has_contexts: Option<bool>,
    /// Put away or not; without word, not.
    pub archived: Option<bool>,
}

/// A field to sort by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// One of the stored fields.
    pub field: &'static str,
    /// Largest first.
    pub descending: bool,
}

impl Default for Order {
    fn default() -> Self {
        Self { field: "created_at", descending: true }
    }
}

impl Order {
    /// Reads a field's name, with `-` for descending.
    ///
    /// # Errors
    ///
    /// `Invalid` on `order` for a field that no flag has.
    pub fn parse(text: &str) -> Result<Self> {
        let (name, descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let name = name.strip_suffix("_id").unwrap_or(name);
        let field = SORTABLE.iter().find(|field| **field == name);
        let unknown = || {
            Error::field("order", "invalid_choice", format!("\"{text}\" is not a valid choice."))
        };
        Ok(Self { field: field.ok_or_else(unknown)?, descending })
    }
}

impl FlagFilter {
    /// Reads what is known of `sent`; the rest is ignored.
    ///
    /// # Errors
    ///
    /// `Invalid` for a search or a list that is too long, and for NUL characters.
    pub fn parse(sent: &Object) -> Result<Self> {
        check(sent)?;
        let text = |name: &str| sent.get(name).and_then(as_text).filter(|text| !text.is_empty());
        Ok(Self {
            activity: text("active").map(|text| activity(&text)),
            created_by: sent.get("created_by_id").and_then(users),
            search: search(text("search"))?,
            key: text("key").map(|key| key.to_lowercase()),
            flag_type: text("type").and_then(|name| flag_type(&name)),
            evaluation_runtime: text("evaluation_runtime"),
            excluded_keys: sent.get("excluded_properties").and_then(texts).unwrap_or_default(),
            tags: sent.get("tags").and_then(texts).filter(|tags| !tags.is_empty()),
            excluded_tags: sent.get("excluded_tags").and_then(texts).unwrap_or_default(),
            has_contexts: text("has_evaluation_contexts").map(|text| truthy(&text)),
            archived: text("archived").map(|text| truthy(&text)),
        })
    }
}

/// The longest list of a filter; databases bound the number of values in a statement.
const MOST_LISTED: usize = 1_000;

fn check(sent: &Object) -> Result<()> {
    for (name, value) in sent {
        // A list may come as text, in which a NUL is escaped.
        let listed = texts(value).unwrap_or_default();
        if has_nul(value) || listed.iter().any(|text| text.contains('\0')) {
            return Err(Error::null_characters(name));
        }
        let users = || users(value).unwrap_or_default().len();
        if listed.len() > MOST_LISTED || (name == "created_by_id" && users() > MOST_LISTED) {
            let detail = format!("Ensure this field has no more than {MOST_LISTED} elements.");
            return Err(Error::field(name, "max_length", detail));
        }
    }
    Ok(())
}

/// Text as it is; other simple values as they would be spelled in a query.
fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    }
}

fn activity(text: &str) -> Activity {
    match text {
        "STALE" => Activity::Stale,
        _ if text.eq_ignore_ascii_case("true") => Activity::Active,
        _ => Activity::Inactive,
    }
}

fn flag_type(name: &str) -> Option<FlagType> {
    match name {
        "boolean" => Some(FlagType::Boolean),
        "multivariant" => Some(FlagType::Multivariant),
        "experiment" => Some(FlagType::Experiment),
        "remote_config" => Some(FlagType::RemoteConfig),
        _ => None,
    }
}

fn truthy(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "1" | "yes" | "y" | "t" | "on")
}

/// One id, a comma list, or a JSON list; parts that are no ids are left out.
fn users(value: &Value) -> Option<Vec<i64>> {
    let ids: Vec<i64> = match value {
        Value::Array(items) => {
            items.iter().filter_map(|item| as_text(item)?.trim().parse().ok()).collect()
        }
        other => {
            let text = as_text(other)?;
            match json::parse(&text, Limits::REQUEST) {
                Ok(Value::Array(items)) => return users(&Value::Array(items)),
                _ => text.split(',').filter_map(|part| part.trim().parse().ok()).collect(),
            }
        }
    };
    (!ids.is_empty()).then_some(ids)
}

/// A JSON list of texts, which may itself come as text.
fn texts(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(items) => Some(items.iter().filter_map(as_text).collect()),
        Value::String(text) => match json::parse(text, Limits::REQUEST) {
            Ok(list @ Value::Array(_)) => texts(&list),
            _ => None,
        },
        _ => None,
    }
}

fn search(term: Option<String>) -> Result<Option<String>> {
    let Some(term) = term else { return Ok(None) };
    let term = term.trim().to_lowercase();
    if term.chars().count() > MOST_SEARCHED {
        let detail = format!("Search term cannot exceed {MOST_SEARCHED} characters");
        return Err(Error::field("search", "max_length", detail));
    }
    Ok((!term.is_empty()).then_some(term))
}

/// Text with every run of white space, `-` and `_` made one space: what a space in a search matches.
#[must_use]
pub fn loosened(text: &str) -> String {
    let separator = |c: char| c.is_whitespace() || c == '-' || c == '_';
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match separator(character) {
            false => out.push(character),
            true if out.ends_with(' ') => {}
            true => out.push(' '),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(sent: Value) -> FlagFilter {
        FlagFilter::parse(sent.as_object().expect("an object")).expect("readable")
    }

    #[test]
    fn every_spelling_of_a_parameter_is_read_and_nonsense_ignored() {
        let active = |activity| FlagFilter { activity: Some(activity), ..FlagFilter::default() };
        let by =
            |ids: &[i64]| FlagFilter { created_by: Some(ids.to_vec()), ..FlagFilter::default() };
        let tagged = |tags: &[&str]| FlagFilter {
            tags: Some(tags.iter().map(ToString::to_string).collect()),
            ..FlagFilter::default()
        };
        let cases = [
            (json!({"active": "True"}), active(Activity::Active)),
            (json!({"active": true}), active(Activity::Active)),
            (json!({"active": "no"}), active(Activity::Inactive)),
            (json!({"active": "STALE"}), active(Activity::Stale)),
            (json!({"created_by_id": "3"}), by(&[3])),
            (json!({"created_by_id": "3,x, 4"}), by(&[3, 4])),
            (json!({"created_by_id": "[3, \"4\"]"}), by(&[3, 4])),
            (json!({"created_by_id": 3}), by(&[3])),
            (json!({"created_by_id": "x"}), FlagFilter::default()),
            (json!({"tags": "[\"a\"]"}), tagged(&["a"])),
            (json!({"tags": ["a"]}), tagged(&["a"])),
            (json!({"tags": "a"}), FlagFilter::default()),
            (json!({"type": "strange", "unknown": 1}), FlagFilter::default()),
            (
                json!({"has_evaluation_contexts": "yes"}),
                FlagFilter { has_contexts: Some(true), ..FlagFilter::default() },
            ),
            (
                json!({"search": "  New Flow "}),
                FlagFilter { search: Some("new flow".into()), ..FlagFilter::default() },
            ),
        ];
        for (sent, expected) in cases {
            assert_eq!(parse(sent.clone()), expected, "{sent}");
        }
    }

    #[test]
    fn a_search_has_an_end_and_an_order_a_field() {
        let long = json!({"search": "x".repeat(201)});
        let error = FlagFilter::parse(long.as_object().unwrap()).unwrap_err();
        assert_eq!(error.detail, "Search term cannot exceed 200 characters");
        assert_eq!(Order::parse("-key").unwrap(), Order { field: "key", descending: true });
        assert_eq!(Order::parse("created_by_id").unwrap().field, "created_by");
        assert_eq!(Order::parse("password").unwrap_err().attr.as_deref(), Some("order"));
    }

    #[test]
    fn a_space_stands_for_any_run_of_separators() {
        assert_eq!(loosened("new-_ flow\tx"), "new flow x");
    }
}
