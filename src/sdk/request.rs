//! What a body of `POST /flags` asks: who it is about, and which flags are
//! wanted (evaluation 14.1).

use serde_json::Value;

use super::body::refuse;
use crate::{
    engine::{Facts, Properties, RequestRuntime},
    model::{error::Result, json::Object},
};

/// A request, read. What is of the wrong type counts as absent, and so does a null.
#[derive(Debug, Default)]
pub(crate) struct FlagsRequest {
    pub(crate) token: Option<String>,
    /// Whether the client wants no flags at all.
    pub(crate) disable_flags: bool,
    distinct_id: Option<String>,
    pub(crate) anon_distinct_id: Option<String>,
    pub(crate) device_id: Option<String>,
    pub(crate) person_properties: Properties,
    /// Group keys by group type name.
    pub(crate) groups: Properties,
    /// Objects by group type name.
    pub(crate) group_properties: Properties,
    pub(crate) flag_keys: Option<Vec<String>>,
    pub(crate) evaluation_contexts: Vec<String>,
    evaluation_runtime: Option<String>,
}

impl FlagsRequest {
    /// Reads the fields, each under any of its names.
    pub(crate) fn of(body: Object) -> Self {
        let mut fields = Fields(body);
        Self {
            token: fields.text(&["token", "api_key", "$token"]),
            disable_flags: fields.take(&["disable_flags"]).is_some_and(|value| value == true),
            distinct_id: fields.identifier(&["distinct_id", "$distinct_id"]),
            anon_distinct_id: fields.text(&["anon_distinct_id", "$anon_distinct_id"]),
            device_id: fields.text(&["device_id", "$device_id"]),
            person_properties: fields.object(&["person_properties", "$properties"]),
            groups: fields.object(&["groups", "$groups"]),
            group_properties: fields.object(&["group_properties", "$group_properties"]),
            flag_keys: fields.texts(&["flag_keys", "flag_keys_to_evaluate"]),
            evaluation_contexts: fields
                .texts(&["evaluation_contexts", "evaluation_environments"])
                .unwrap_or_default(),
            evaluation_runtime: fields.text(&["evaluation_runtime"]),
        }
    }

    /// Who is asked about.
    ///
    /// # Errors
    ///
    /// 400 as text, when no distinct id was sent; an empty one is fine.
    pub(crate) fn distinct_id(&self) -> Result<&str> {
        self.distinct_id.as_deref().ok_or_else(|| refuse("distinct_id is missing"))
    }

    /// The same, to keep.
    ///
    /// # Errors
    ///
    /// As [`FlagsRequest::distinct_id`].
    pub(crate) fn take_distinct_id(&mut self) -> Result<String> {
        self.distinct_id.take().ok_or_else(|| refuse("distinct_id is missing"))
    }

    /// The runtime that the body states, else the one that was `detected`.
    pub(crate) fn runtime(&self, detected: impl FnOnce() -> RequestRuntime) -> RequestRuntime {
        self.evaluation_runtime.as_deref().map_or_else(detected, RequestRuntime::stated)
    }

    /// All that the body itself says of who is asked about.
    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            device_id: self.device_id.as_deref(),
            anon_distinct_id: self.anon_distinct_id.as_deref(),
            sent: Some(&self.person_properties),
            groups: Some(&self.groups),
            sent_groups: Some(&self.group_properties),
            ..Facts::default()
        }
    }
}

/// The fields of a body.
struct Fields(Object);

impl Fields {
    fn take(&mut self, names: &[&str]) -> Option<Value> {
        names.iter().find_map(|name| self.0.remove(*name).filter(|value| !value.is_null()))
    }

    fn text(&mut self, names: &[&str]) -> Option<String> {
        match self.take(names)? {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    fn identifier(&mut self, names: &[&str]) -> Option<String> {
        match self.take(names)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn object(&mut self, names: &[&str]) -> Properties {
        match self.take(names) {
            Some(Value::Object(fields)) => fields,
            _ => Properties::new(),
        }
    }

    fn texts(&mut self, names: &[&str]) -> Option<Vec<String>> {
        let Value::Array(items) = self.take(names)? else { return None };
        Some(items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(body: Value) -> FlagsRequest {
        FlagsRequest::of(body.as_object().unwrap().clone())
    }

    #[test]
    fn each_field_is_found_under_any_of_its_names() {
        for (token, id, keys) in [
            ("token", "distinct_id", "flag_keys"),
            ("api_key", "$distinct_id", "flag_keys_to_evaluate"),
            ("$token", "distinct_id", "flag_keys"),
        ] {
            let request = request(json!({token: "phc_1", id: 8_675_309, keys: ["a", 1]}));
            assert_eq!(request.token.as_deref(), Some("phc_1"), "{token}");
            assert_eq!(request.distinct_id().unwrap(), "8675309", "{id}");
            assert_eq!(request.flag_keys.as_deref(), Some(&["a".to_owned()][..]), "{keys}");
        }
    }

    #[test]
    fn nulls_are_absent_and_an_empty_id_is_not() {
        let null =
            request(json!({"token": null, "groups": null, "device_id": null, "flag_keys": null,
            "distinct_id": "", "$distinct_id": "x"}));
        assert_eq!((null.token, null.flag_keys, null.device_id), (None, None, None));
        assert!(null.groups.is_empty());
        assert_eq!(request(json!({"distinct_id": ""})).distinct_id().unwrap(), "");
        for missing in [json!({}), json!({"distinct_id": null}), json!({"distinct_id": ["x"]})] {
            assert_eq!(request(missing).distinct_id().unwrap_err().code.http_status(), 400);
        }
    }
}
