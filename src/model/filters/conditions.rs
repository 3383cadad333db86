//! Checks 2–7 of management-api 3.5: the shape of condition sets.

use serde_json::Value;

use super::{integer_or_null, objects, percentage, refuse};
use crate::model::{
    error::Result,
    json::{Object, type_name},
};

pub(super) fn check(filters: &Object, creating: bool) -> Result<()> {
    let groups = objects(filters.get("groups"), "groups")?;
    if creating && groups.is_empty() {
        return Err(refuse("Feature flags must have at least one condition set (group)."));
    }
    let aggregation = "aggregation_group_type_index";
    integer_or_null(filters, aggregation, aggregation)?;
    early_exit(filters)?;
    each(&groups, variant)?;
    each(&groups, rollout)?;
    each(&groups, aggregation_indexes)
}

/// Runs one check over all groups before the next check begins, as the order of 3.5 asks.
fn each(groups: &[&Object], check: impl Fn(&Object, &str) -> Result<()>) -> Result<()> {
    groups
        .iter()
        .enumerate()
        .try_for_each(|(index, group)| check(group, &format!("groups[{index}]")))
}

fn early_exit(filters: &Object) -> Result<()> {
    match filters.get("early_exit") {
        None | Some(Value::Null | Value::Bool(_)) => Ok(()),
        Some(other) => {
            Err(refuse(format!("early_exit must be a boolean or null, got {}", type_name(other))))
        }
    }
}

fn variant(group: &Object, path: &str) -> Result<()> {
    match group.get("variant") {
        None | Some(Value::Null | Value::String(_)) => Ok(()),
        Some(other) => Err(refuse(format!(
            "{path}.variant must be a string or null, got {}",
            type_name(other)
        ))),
    }
}

fn rollout(group: &Object, path: &str) -> Result<()> {
    match group.get("rollout_percentage") {
        None | Some(Value::Null) => Ok(()),
        Some(value) => percentage(value, &format!("{path}.rollout_percentage"), " or null"),
    }
}

fn aggregation_indexes(group: &Object, path: &str) -> Result<()> {
    let key = "aggregation_group_type_index";
    integer_or_null(group, key, &format!("{path}.{key}"))?;
    let properties = format!("{path}.properties");
    let listed = objects(group.get("properties"), &properties)?;
    listed.iter().enumerate().try_for_each(|(index, property)| {
        let key = "group_type_index";
        integer_or_null(property, key, &format!("{properties}[{index}].{key}"))
    })
}
