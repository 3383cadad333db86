//! Checks beyond the documented ones: what evaluation could not read, or would read as something
//! that nobody can have meant.

use std::collections::HashSet;

use serde_json::Value;

use super::{objects, percentage, properties::kind, refuse, variants};
use crate::model::{
    error::Result,
    json::{Object, is_integer, type_name},
};

/// Runs after all documented checks.
pub(super) fn check(filters: &Object) -> Result<()> {
    index(filters, "aggregation_group_type_index", "aggregation_group_type_index")?;
    for (at, group) in objects(filters.get("groups"), "groups")?.into_iter().enumerate() {
        condition(group, &format!("groups[{at}]"))?;
    }
    variant_keys(&variants::listed(filters)?)?;
    holdout(filters.get("holdout"))?;
    boolean_or_null(filters, "feature_enrollment")
}

fn condition(group: &Object, path: &str) -> Result<()> {
    let key = "aggregation_group_type_index";
    index(group, key, &format!("{path}.{key}"))?;
    let path = format!("{path}.properties");
    for (at, property) in objects(group.get("properties"), &path)?.into_iter().enumerate() {
        let path = format!("{path}[{at}]");
        index(property, "group_type_index", &format!("{path}.group_type_index"))?;
        property_key(property, &path)?;
    }
    Ok(())
}

/// Evaluation finds a property by its key; only a cohort is found by the value.
fn property_key(property: &Object, path: &str) -> Result<()> {
    match property.get("key") {
        Some(Value::String(key)) if !key.is_empty() => Ok(()),
        Some(Value::Number(_)) => Ok(()),
        None | Some(Value::Null | Value::String(_)) if kind(property) == "cohort" => Ok(()),
        Some(Value::String(_)) => Err(refuse(format!("{path}.key may not be blank"))),
        other => {
            let found = type_or_null(other);
            Err(refuse(format!("{path}.key must be a string, got {found}")))
        }
    }
}

/// Group types are counted in 32 bits. That it is an integer is checked before.
fn index(of: &Object, key: &str, path: &str) -> Result<()> {
    match of.get(key) {
        Some(Value::Number(number)) if number.as_str().parse::<i32>().is_err() => {
            let (least, most) = (i32::MIN, i32::MAX);
            Err(refuse(format!("{path} must be between {least} and {most}, got {number}")))
        }
        _ => Ok(()),
    }
}

fn variant_keys(variants: &[&Object]) -> Result<()> {
    let mut seen = HashSet::new();
    for (at, variant) in variants.iter().enumerate() {
        let key = variant.get("key").and_then(Value::as_str).unwrap_or_default();
        if key.is_empty() {
            return Err(refuse(format!("multivariate.variants[{at}].key may not be blank")));
        }
        if !seen.insert(key) {
            return Err(refuse(format!(
                "multivariate.variants[{at}].key must be unique, got '{key}' again"
            )));
        }
    }
    Ok(())
}

fn holdout(holdout: Option<&Value>) -> Result<()> {
    let holdout = match holdout {
        None | Some(Value::Null) => return Ok(()),
        Some(Value::Object(holdout)) => holdout,
        Some(other) => {
            let found = type_name(other);
            return Err(refuse(format!("holdout must be an object or null, got {found}")));
        }
    };
    match holdout.get("id") {
        Some(Value::Number(id)) if is_integer(id) && id.as_i64().is_some() => {}
        Some(Value::Number(id)) if is_integer(id) => {
            return Err(refuse(format!("holdout.id must be a 64-bit integer, got {id}")));
        }
        other => {
            let found = type_or_null(other);
            return Err(refuse(format!("holdout.id must be an integer, got {found}")));
        }
    }
    let share = holdout.get("exclusion_percentage").unwrap_or(&Value::Null);
    percentage(share, "holdout.exclusion_percentage", "")
}

fn boolean_or_null(of: &Object, key: &str) -> Result<()> {
    match of.get(key) {
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        Some(other) => {
            Err(refuse(format!("{key} must be a boolean or null, got {}", type_name(other))))
        }
    }
}

fn type_or_null(value: Option<&Value>) -> &'static str {
    match value {
        None | Some(Value::Null) => "null",
        Some(other) => type_name(other),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(filters: &Value) -> Option<String> {
        check(filters.as_object().expect("an object")).err().map(|error| error.detail.clone())
    }

    #[test]
    fn what_evaluation_cannot_read_is_named() {
        let property = |property: Value| json!({"groups": [{}, {"properties": [property]}]});
        let holdout = |holdout: Value| json!({"groups": [{}], "holdout": holdout});
        let keys = |keys: &[&str]| {
            let variants: Vec<Value> = keys.iter().map(|key| json!({"key": key})).collect();
            json!({"multivariate": {"variants": variants}})
        };
        let key = "groups[1].properties[0].key";
        let big = "between -2147483648 and 2147483647, got 99999999999999999999";
        let huge: Value = serde_json::from_str("99999999999999999999").expect("a number");
        let cases = [
            (property(json!({"type": "person"})), format!("{key} must be a string, got null")),
            (
                property(json!({"type": "person", "key": null})),
                format!("{key} must be a string, got null"),
            ),
            (
                property(json!({"type": "person", "key": true})),
                format!("{key} must be a string, got bool"),
            ),
            (
                property(json!({"type": "group", "key": ["a"]})),
                format!("{key} must be a string, got list"),
            ),
            (property(json!({"type": "person", "key": ""})), format!("{key} may not be blank")),
            (
                property(json!({"type": "cohort", "key": {}})),
                format!("{key} must be a string, got dict"),
            ),
            (
                property(json!({"type": "person", "key": "a", "group_type_index": huge})),
                format!("groups[1].properties[0].group_type_index must be {big}"),
            ),
            (
                json!({"groups": [{"aggregation_group_type_index": huge}]}),
                format!("groups[0].aggregation_group_type_index must be {big}"),
            ),
            (
                json!({"aggregation_group_type_index": huge}),
                format!("aggregation_group_type_index must be {big}"),
            ),
            (keys(&["a", ""]), "multivariate.variants[1].key may not be blank".into()),
            (
                keys(&["a", "b", "a"]),
                "multivariate.variants[2].key must be unique, got 'a' again".into(),
            ),
            (holdout(json!(5)), "holdout must be an object or null, got int".into()),
            (holdout(json!([])), "holdout must be an object or null, got list".into()),
            (holdout(json!({})), "holdout.id must be an integer, got null".into()),
            (holdout(json!({"id": null})), "holdout.id must be an integer, got null".into()),
            (holdout(json!({"id": "7"})), "holdout.id must be an integer, got str".into()),
            (holdout(json!({"id": 1.5})), "holdout.id must be an integer, got float".into()),
            (
                holdout(json!({"id": huge})),
                "holdout.id must be a 64-bit integer, got 99999999999999999999".into(),
            ),
            (
                holdout(json!({"id": 7})),
                "holdout.exclusion_percentage must be a number, got null".into(),
            ),
            (
                holdout(json!({"id": 7, "exclusion_percentage": "10"})),
                "holdout.exclusion_percentage must be a number, got str".into(),
            ),
            (
                holdout(json!({"id": 7, "exclusion_percentage": 500})),
                "holdout.exclusion_percentage must be between 0 and 100, got 500".into(),
            ),
            (
                json!({"feature_enrollment": "true"}),
                "feature_enrollment must be a boolean or null, got str".into(),
            ),
        ];
        for (filters, expected) in cases {
            assert_eq!(refusal(&filters), Some(expected), "{filters}");
        }
    }

    #[test]
    fn what_evaluation_reads_is_taken() {
        let cases = [
            json!({}),
            json!({"groups": [{"properties": [
                {"type": "person", "key": "a"}, {"type": "person", "key": 7},
                {"type": "cohort", "value": 3}, {"type": "cohort", "key": "", "value": 3},
                {"type": "group", "key": "a", "group_type_index": 4},
            ], "aggregation_group_type_index": 4}], "aggregation_group_type_index": null}),
            json!({"holdout": null, "feature_enrollment": null}),
            json!({"holdout": {"id": -7, "exclusion_percentage": 12.5}, "feature_enrollment": true}),
            json!({"multivariate": {"variants": [{"key": "a"}, {"key": "A"}]}}),
        ];
        for filters in cases {
            assert_eq!(refusal(&filters), None, "{filters}");
        }
    }
}
