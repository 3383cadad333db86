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
        let mut fields = Fields::of(body);
        Self {
            token: fields.text(Field::Token),
            disable_flags: fields.take(Field::DisableFlags).is_some_and(|value| value == true),
            distinct_id: fields.identifier(Field::DistinctId),
            anon_distinct_id: fields.text(Field::AnonDistinctId),
            device_id: fields.text(Field::DeviceId),
            person_properties: fields.object(Field::PersonProperties),
            groups: fields.object(Field::Groups),
            group_properties: fields.object(Field::GroupProperties),
            flag_keys: fields.texts(Field::FlagKeys),
            evaluation_contexts: fields.texts(Field::EvaluationContexts).unwrap_or_default(),
            evaluation_runtime: fields.text(Field::EvaluationRuntime),
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

/// What a body may say.
#[derive(Clone, Copy, Debug)]
enum Field {
    Token,
    DisableFlags,
    DistinctId,
    AnonDistinctId,
    DeviceId,
    PersonProperties,
    Groups,
    GroupProperties,
    FlagKeys,
    EvaluationContexts,
    EvaluationRuntime,
}

/// How many there are.
const FIELDS: usize = Field::EvaluationRuntime as usize + 1;

impl Field {
    /// The field that a name names, and which of its names it is: lower ones go first.
    fn named(name: &str) -> Option<(Self, u8)> {
        Some(match name {
            "token" => (Self::Token, 0),
            "api_key" => (Self::Token, 1),
            "$token" => (Self::Token, 2),
            "disable_flags" => (Self::DisableFlags, 0),
            "distinct_id" => (Self::DistinctId, 0),
            "$distinct_id" => (Self::DistinctId, 1),
            "anon_distinct_id" => (Self::AnonDistinctId, 0),
            "$anon_distinct_id" => (Self::AnonDistinctId, 1),
            "device_id" => (Self::DeviceId, 0),
            "$device_id" => (Self::DeviceId, 1),
            "person_properties" => (Self::PersonProperties, 0),
            "$properties" => (Self::PersonProperties, 1),
            "groups" => (Self::Groups, 0),
            "$groups" => (Self::Groups, 1),
            "group_properties" => (Self::GroupProperties, 0),
            "$group_properties" => (Self::GroupProperties, 1),
            "flag_keys" => (Self::FlagKeys, 0),
            "flag_keys_to_evaluate" => (Self::FlagKeys, 1),
            "evaluation_contexts" => (Self::EvaluationContexts, 0),
            "evaluation_environments" => (Self::EvaluationContexts, 1),
            "evaluation_runtime" => (Self::EvaluationRuntime, 0),
            _ => return None,
        })
    }
}

/// The fields of a body, and which of its names each came under.
#[derive(Default)]
struct Fields([Option<(u8, Value)>; FIELDS]);

impl Fields {
    /// In one go over what was sent: there are more names to look for than were sent.
    fn of(body: Object) -> Self {
        let mut fields = Self::default();
        for (name, value) in body {
            let Some((field, rank)) = Field::named(&name).filter(|_| !value.is_null()) else {
                continue;
            };
            let place = &mut fields.0[field as usize];
            if place.as_ref().is_none_or(|(taken, _)| rank < *taken) {
                *place = Some((rank, value));
            }
        }
        fields
    }

    fn take(&mut self, field: Field) -> Option<Value> {
        self.0[field as usize].take().map(|(_, value)| value)
    }

    fn text(&mut self, field: Field) -> Option<String> {
        match self.take(field)? {
            Value::String(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    fn identifier(&mut self, field: Field) -> Option<String> {
        match self.take(field)? {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    fn object(&mut self, field: Field) -> Properties {
        match self.take(field) {
            Some(Value::Object(fields)) => fields,
            _ => Properties::new(),
        }
    }

    fn texts(&mut self, field: Field) -> Option<Vec<String>> {
        let Value::Array(items) = self.take(field)? else { return None };
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
