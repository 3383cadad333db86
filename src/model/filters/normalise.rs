//! What an accepted value is turned into before it is stored, so that it shows
//! in answers and in activity alike (management-api 3.5, normalisation 1–6).

use serde_json::{Value, json};

use crate::model::json::Object;

const AGGREGATION: &str = "aggregation_group_type_index";

pub(super) fn apply(filters: &mut Object, fills_rollout: bool) {
    if fills_rollout {
        full_rollout(filters);
    }
    aggregation(filters);
    payloads(filters);
    properties(filters);
}

fn groups(filters: &mut Object) -> Vec<&mut Object> {
    let groups = filters.get_mut("groups").and_then(Value::as_array_mut);
    groups.into_iter().flatten().filter_map(Value::as_object_mut).collect()
}

/// A remote configuration is for everybody, so a missing or zero rollout would only hide it.
fn full_rollout(filters: &mut Object) {
    let nobody = |group: &Object| {
        group.get("rollout_percentage").and_then(Value::as_f64).is_none_or(|p| p == 0.0)
    };
    for group in groups(filters) {
        if nobody(group) {
            group.insert("rollout_percentage".into(), json!(100));
        }
    }
    if groups(filters).is_empty() {
        let everybody = json!([{"properties": [], "rollout_percentage": 100, "variant": null}]);
        filters.insert("groups".into(), everybody);
    }
}

/// Each group names its aggregation; the flag names the one they share.
fn aggregation(filters: &mut Object) {
    let inherited = filters.get(AGGREGATION).cloned().unwrap_or(Value::Null);
    let mut indexes = Vec::new();
    for group in groups(filters) {
        let index = group.entry(AGGREGATION).or_insert_with(|| inherited.clone());
        indexes.push(index.clone());
    }
    let Some((first, rest)) = indexes.split_first() else { return };
    let common = if rest.iter().all(|index| index == first) { first.clone() } else { Value::Null };
    filters.insert(AGGREGATION.into(), common);
}

/// Payloads are JSON text, so a value given as JSON becomes its text.
fn payloads(filters: &mut Object) {
    let payloads = filters.get_mut("payloads").and_then(Value::as_object_mut);
    for payload in payloads.into_iter().flat_map(Object::values_mut) {
        if !payload.is_string() {
            *payload = Value::String(payload.to_string());
        }
    }
}

fn properties(filters: &mut Object) {
    for group in groups(filters) {
        let properties = group.get_mut("properties").and_then(Value::as_array_mut);
        for property in properties.into_iter().flatten().filter_map(Value::as_object_mut) {
            alias(property);
            flag_reference(property);
        }
    }
}

/// Two operators go by older names in some clients; evaluation knows the one name.
pub(in crate::model) fn alias(property: &mut Object) {
    let operator = match property.get("operator").and_then(Value::as_str) {
        Some("min") => "gte",
        Some("max") => "lte",
        _ => return,
    };
    property.insert("operator".into(), json!(operator));
}

/// A flag is referred to by its id as text.
fn flag_reference(property: &mut Object) {
    let is_flag = property.get("type").and_then(Value::as_str) == Some("flag");
    if let Some(key) = property.get_mut("key").filter(|key| is_flag && key.is_number()) {
        *key = Value::String(key.to_string());
    }
}
