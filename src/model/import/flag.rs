//! A flag as a list of the public API holds it: what of it is written here, and
//! what is left behind.

use serde_json::{Value, json};

use super::references::Referred;
use crate::model::{
    config_version::check_reserved,
    decoration::undecorated,
    encrypted::{self, Cipher, REDACTED},
    filters::same_meaning,
    flag::FeatureFlag,
    json::{MAX_DEPTH, Object, too_deep},
    write::labels,
};

/// The fields that come along as they are, beside `key` and `filters`.
const FIELDS: [&str; 11] = [
    "name",
    "active",
    "archived",
    "ensure_experience_continuity",
    "rollback_conditions",
    "tags",
    "evaluation_contexts",
    "is_remote_configuration",
    "has_encrypted_payloads",
    "evaluation_runtime",
    "bucketing_identifier",
];
/// Those that a new flag gets, and one that is here keeps.
const MOMENTS: [&str; 2] = ["created_at", "last_called_at"];

/// A flag from elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignFlag {
    /// Its number there.
    pub id: i64,
    /// What clients ask for.
    pub key: String,
    fields: Object,
}

impl ForeignFlag {
    /// Reads a result of a list; `None` for a deleted one.
    ///
    /// # Errors
    ///
    /// What is missing of it, in words.
    pub fn read(value: &Value) -> Result<Option<Self>, String> {
        let fields = value.as_object().ok_or("a flag that is no object")?;
        let id = fields.get("id").and_then(Value::as_i64).ok_or("a flag without an `id`")?;
        let key = fields.get("key").and_then(Value::as_str).ok_or("a flag without a `key`")?;
        if fields.get("deleted") == Some(&json!(true)) {
            return Ok(None);
        }
        Ok(Some(Self { id, key: key.to_owned(), fields: fields.clone() }))
    }

    /// Its filters there.
    #[must_use]
    pub fn filters(&self) -> Value {
        match self.fields.get("filters") {
            Some(Value::Object(filters)) => {
                let mut filters = filters.clone();
                filters.entry("groups").or_insert_with(|| json!([]));
                Value::Object(filters)
            }
            _ => json!({"groups": []}),
        }
    }

    /// What it refers to there.
    #[must_use]
    pub fn referred(&self) -> Referred {
        Referred::by_flag(&self.filters())
    }

    /// Whether it is on there.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.fields.get("active") != Some(&json!(false))
    }

    /// Why it cannot come along at all, if so: its payload is encrypted and was not shown, its
    /// filters name a rules format, or it is nested deeper than any request may be.
    #[must_use]
    pub fn unreadable(&self) -> Option<String> {
        if self.fields.values().any(too_deep) {
            return Some(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        let filters = self.filters();
        if let Err(reserved) = check_reserved(&filters) {
            return Some(reserved.detail.clone());
        }
        let payloads = filters.get("payloads").and_then(Value::as_object);
        let mut shown = payloads.into_iter().flat_map(Object::values);
        let is_hidden = shown.any(|payload| payload.as_str() == Some(REDACTED));
        (is_hidden && self.says("has_encrypted_payloads"))
            .then(|| "its payload is encrypted, and the source does not show it to this key".into())
    }

    /// The fields that are written, with the filters as they are here.
    #[must_use]
    pub fn wanted(&self, filters: Value) -> Object {
        let mut wanted = Object::from_iter([("key".to_owned(), json!(self.key))]);
        for field in FIELDS {
            // What was called a tag before it was called a context.
            let older = (field == "evaluation_contexts").then_some("evaluation_tags");
            let value = self.fields.get(field).or_else(|| self.fields.get(older?));
            let value = value.map(|v| if v.is_null() { meant_by_null(field) } else { v.clone() });
            wanted.extend(value.map(|value| (field.to_owned(), value)));
        }
        wanted.insert("filters".into(), filters);
        wanted
    }

    /// The body that makes it: what is wanted, and what only a new flag is told.
    #[must_use]
    pub fn creation(&self, wanted: &Object) -> Object {
        let mut body = wanted.clone();
        if wanted["filters"].get("groups").is_none_or(|groups| groups == &json!([])) {
            // Only an update may leave a flag without conditions.
            body.shift_remove("filters");
        }
        for moment in MOMENTS {
            let value = self.fields.get(moment).filter(|value| value.is_string());
            body.extend(value.map(|value| (moment.to_owned(), value.clone())));
        }
        let has_dashboard = self.fields.get("usage_dashboard").is_some_and(|d| !d.is_null());
        body.insert("_should_create_usage_dashboard".into(), json!(has_dashboard));
        body
    }

    /// What stays behind, in words.
    #[must_use]
    pub fn left_behind(&self) -> Vec<String> {
        let mut left = Vec::new();
        for (field, what) in [
            ("experiment_set", "its experiments"),
            ("features", "its early access features"),
            ("surveys", "its surveys"),
            ("analytics_dashboards", "the dashboards linked to it"),
        ] {
            if self.fields.get(field).and_then(Value::as_array).is_some_and(|l| !l.is_empty()) {
                left.push(format!("{what} stay behind"));
            }
        }
        if self.says("is_used_in_replay_settings") {
            left.push("the replay settings that name it stay behind".into());
        }
        if self.says("ensure_experience_continuity") {
            left.push("what it first answered to people who then logged in stays behind".into());
        }
        left
    }

    fn says(&self, field: &str) -> bool {
        self.fields.get(field) == Some(&json!(true))
    }
}

/// What a field is where it is null.
fn meant_by_null(field: &str) -> Value {
    match field {
        "name" => json!(""),
        "active" => json!(true),
        "tags" | "evaluation_contexts" => json!([]),
        "rollback_conditions" => Value::Null,
        "evaluation_runtime" => json!("all"),
        "bucketing_identifier" => json!("distinct_id"),
        _ => json!(false),
    }
}

/// What of the wanted fields is otherwise in the flag that is here, as a PATCH.
#[must_use]
pub fn differing(wanted: &Object, here: &FeatureFlag, cipher: &impl Cipher) -> Object {
    let shown = shown(here, cipher);
    let differs = |field: &str, value: &Value| match field {
        "tags" | "evaluation_contexts" => json!(labelled(value)) != shown[field],
        "name" => value.as_str().map(str::trim) != shown[field].as_str(),
        _ => !same_meaning(value, &shown[field]),
    };
    let differing = wanted.iter().filter(|(field, value)| *field != "key" && differs(field, value));
    differing.map(|(field, value)| (field.clone(), value.clone())).collect()
}

fn labelled(value: &Value) -> Vec<String> {
    let names = value.as_array().into_iter().flatten().filter_map(Value::as_str);
    labels(names.map(str::to_owned).collect())
}

/// The comparable fields of a flag that is here.
fn shown(here: &FeatureFlag, cipher: &impl Cipher) -> Value {
    json!({
        "name": here.name,
        "active": here.active,
        "archived": here.archived,
        "ensure_experience_continuity": here.ensure_experience_continuity.unwrap_or(false),
        "rollback_conditions": here.rollback_conditions,
        "tags": here.tags,
        "evaluation_contexts": here.evaluation_contexts,
        "is_remote_configuration": here.is_remote_configuration.unwrap_or(false),
        "has_encrypted_payloads": here.has_encrypted_payloads.unwrap_or(false),
        "evaluation_runtime": here.evaluation_runtime.as_deref().unwrap_or("all"),
        "bucketing_identifier": here.bucketing_identifier.as_deref().unwrap_or("distinct_id"),
        "filters": undecorated(&encrypted::shown(here, Some(cipher))),
    })
}

#[cfg(test)]
mod tests;
