//! A wanted flag on its way in from gRPC: the same JSON object that a REST body
//! holds, so that one parser (`model::write`) judges both.

use prost_types::FieldMask;
use serde_json::{Value, json};

use super::{
    filters,
    mask::{Field, masked},
    values::{from_wire, instant_text, object_from_struct},
};
use crate::{
    model::{
        error::{Error, Result},
        json::{self, Limits, Object, ReadError},
        write::{Method, Typed},
    },
    wire::v1::FeatureFlagInput,
};

/// What a message asks for.
#[derive(Clone, Debug)]
pub struct FlagInput {
    /// The fields sent, as a REST body has them.
    pub body: Object,
    /// What came typed, and so without a spelling of its own.
    pub typed: Typed,
    /// PATCH, or PUT for the mask `*`.
    pub method: Method,
}

/// Reads a creation: the fields that are set.
///
/// # Errors
///
/// `Invalid` on the field that holds something JSON cannot say.
pub fn created(input: Option<FeatureFlagInput>) -> Result<FlagInput> {
    let input = input.unwrap_or_default();
    let typed = typed(&input);
    let body =
        fields(input)?.into_iter().filter_map(|(_, key, value)| Some((key.to_owned(), value?)));
    Ok(FlagInput { body: body.collect(), typed, method: Method::Create })
}

/// Reads an update: what the mask names, or, without a mask, the fields that are set.
///
/// # Errors
///
/// As [`created`], and `Invalid` on `update_mask` for a nested path or a name that no field has.
pub fn updated(input: Option<FeatureFlagInput>, mask: Option<FieldMask>) -> Result<FlagInput> {
    let input = input.unwrap_or_default();
    let typed = typed(&input);
    let fields = fields(input)?;
    let (mut body, is_put) = masked(&fields, mask)?;
    // They say what the caller saw, and are no fields to be changed.
    for (name, key, value) in &fields {
        if matches!(*name, "version" | "original_flag")
            && let Some(value) = value
        {
            body.insert((*key).to_owned(), value.clone());
        }
    }
    let method = if is_put { Method::Put } else { Method::Patch };
    Ok(FlagInput { body, typed, method })
}

fn typed(input: &FeatureFlagInput) -> Typed {
    Typed {
        filters: input.filters.is_some(),
        rollback_conditions: input.rollback_conditions.is_some(),
    }
}

fn fields(input: FeatureFlagInput) -> Result<[Field; 23]> {
    let list = |items: Vec<String>| (!items.is_empty()).then(|| json!(items));
    let ids = |items: Vec<i64>| (!items.is_empty()).then(|| json!(items));
    let typed = input.filters.map(filters::from_message).transpose()?;
    let rollback =
        input.rollback_conditions.map(|v| from_wire(v, "rollback_conditions")).transpose()?;
    let original = input
        .original_flag
        .map(|original| object_from_struct(original, "original_flag").map(Value::Object))
        .transpose()?;
    Ok([
        ("key", "key", input.key.map(Value::from)),
        ("name", "name", input.name.map(Value::from)),
        ("filters", "filters", one_of("filters", typed, input.filters_json)?),
        ("deleted", "deleted", input.deleted.map(Value::from)),
        ("active", "active", input.active.map(Value::from)),
        ("created_at", "created_at", input.created_at.map(instant_text)),
        ("version", "version", input.version.map(Value::from)),
        (
            "ensure_experience_continuity",
            "ensure_experience_continuity",
            input.ensure_experience_continuity.map(Value::from),
        ),
        (
            "rollback_conditions",
            "rollback_conditions",
            one_of("rollback_conditions", rollback, input.rollback_conditions_json)?,
        ),
        ("performed_rollback", "performed_rollback", input.performed_rollback.map(Value::from)),
        ("tags", "tags", list(input.tags)),
        ("evaluation_contexts", "evaluation_contexts", list(input.evaluation_contexts)),
        ("analytics_dashboards", "analytics_dashboards", ids(input.analytics_dashboards)),
        (
            "has_enriched_analytics",
            "has_enriched_analytics",
            input.has_enriched_analytics.map(Value::from),
        ),
        ("creation_context", "creation_context", input.creation_context.map(Value::from)),
        (
            "is_remote_configuration",
            "is_remote_configuration",
            input.is_remote_configuration.map(Value::from),
        ),
        (
            "has_encrypted_payloads",
            "has_encrypted_payloads",
            input.has_encrypted_payloads.map(Value::from),
        ),
        ("evaluation_runtime", "evaluation_runtime", input.evaluation_runtime.map(Value::from)),
        (
            "bucketing_identifier",
            "bucketing_identifier",
            input.bucketing_identifier.map(Value::from),
        ),
        ("last_called_at", "last_called_at", input.last_called_at.map(instant_text)),
        ("create_in_folder", "_create_in_folder", input.create_in_folder.map(Value::from)),
        (
            "should_create_usage_dashboard",
            "_should_create_usage_dashboard",
            input.should_create_usage_dashboard.map(Value::from),
        ),
        (
            "original_flag",
            "original_flag",
            one_of("original_flag", original, input.original_flag_json)?,
        ),
    ])
}

/// A value that may come typed or as exact text, but not both.
pub(super) fn one_of(
    attr: &'static str,
    typed: Option<Value>,
    text: Option<String>,
) -> Result<Option<Value>> {
    let refuse = |detail: String| Error::field(attr, "invalid_input", detail);
    match (typed, text) {
        (Some(_), Some(_)) => Err(refuse(format!("Give either {attr} or {attr}_json, not both."))),
        (typed, None) => Ok(typed),
        (None, Some(text)) => {
            json::parse(&text, Limits::REQUEST).map(Some).map_err(|error| match error {
                ReadError::TooDeep(_) => refuse(format!("{attr}_json is nested too deeply.")),
                error => Error::parse(error),
            })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mask(paths: &[&str]) -> Option<FieldMask> {
        Some(FieldMask { paths: paths.iter().map(ToString::to_string).collect() })
    }

    fn named(name: &str) -> Option<FeatureFlagInput> {
        Some(FeatureFlagInput { name: Some(name.into()), ..Default::default() })
    }

    #[test]
    fn without_a_mask_the_set_fields_count() {
        let input = updated(named("x"), None).unwrap();
        assert_eq!(Value::Object(input.body), json!({"name": "x"}));
        assert_eq!(input.method, Method::Patch);
        assert_eq!(updated(named("x"), mask(&["*"])).unwrap().method, Method::Put);
    }

    #[test]
    fn masked_and_unset_is_null_or_the_empty_list() {
        let input = updated(named("x"), mask(&["evaluation_runtime", "tags"])).unwrap();
        assert_eq!(Value::Object(input.body), json!({"evaluation_runtime": null, "tags": []}));
    }

    #[test]
    fn a_mask_names_top_level_fields_alone() {
        for path in ["filters.groups", "nonsense", ""] {
            let error = updated(named("x"), mask(&[path])).unwrap_err();
            assert_eq!(error.attr.as_deref(), Some("update_mask"), "{path}");
        }
    }

    #[test]
    fn exact_text_and_typed_value_exclude_each_other() {
        let both = FeatureFlagInput {
            filters: Some(crate::wire::v1::Filters::default()),
            filters_json: Some("{}".into()),
            ..Default::default()
        };
        assert_eq!(created(Some(both)).unwrap_err().attr.as_deref(), Some("filters"));
        let text = FeatureFlagInput {
            filters_json: Some("{\"groups\": [{}], \"n\": 65}".into()),
            ..Default::default()
        };
        assert_eq!(
            created(Some(text)).unwrap().body["filters"].to_string(),
            r#"{"groups":[{}],"n":65}"#
        );
    }
}
