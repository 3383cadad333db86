//! Which cohorts a feed brings along, and how simple ones are written out for
//! SDKs that know none.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::properties;

/// Cohort trees by id.
type Trees = BTreeMap<i64, Value>;

/// Beyond this many alternatives a cohort is not simple any more.
const MOST_ALTERNATIVES: usize = 20;

/// The cohorts that conditions name.
pub(super) fn named(filters: &Value) -> impl Iterator<Item = i64> {
    properties(filters).filter_map(cohort_id)
}

/// The cohorts of these ids, and those which they refer to. One that is not described by a tree
/// is left out: an SDK that finds it missing asks the service.
pub(super) fn referenced(named: impl Iterator<Item = i64>, trees: &Trees) -> BTreeMap<i64, &Value> {
    let mut pending: Vec<i64> = named.collect();
    let mut found = BTreeMap::new();
    while let Some(id) = pending.pop() {
        if let Some(tree) = trees.get(&id)
            && found.insert(id, tree).is_none()
        {
            pending.extend(leaves(tree).into_iter().filter_map(cohort_id));
        }
    }
    found
}

/// Writes out the cohorts that can be said as plain conditions, in place.
///
/// A condition that asks for membership becomes one condition for each alternative of the cohort,
/// alike in all else: the same identifier falls into the same share, so the flag answers as
/// before. Conditions on groups stay, since their filters would be held against the group.
pub(super) fn expand(filters: &mut Value, trees: &Trees) {
    let by_group = counts_groups(filters, false);
    let Some(conditions) = filters.get_mut("groups").and_then(Value::as_array_mut) else { return };
    let expanded =
        conditions.iter().flat_map(|condition| match counts_groups(condition, by_group) {
            true => vec![condition.clone()],
            false => alternatives(condition, trees).unwrap_or_else(|| vec![condition.clone()]),
        });
    *conditions = expanded.collect();
}

/// Whether groups are counted: a condition's own word, `null` included, goes before its flag's.
fn counts_groups(stated: &Value, inherited: bool) -> bool {
    stated.get("aggregation_group_type_index").map_or(inherited, |own| !own.is_null())
}

/// The conditions that together say the same without its cohorts; `None` where that cannot be
/// said, or not in few.
fn alternatives(condition: &Value, trees: &Trees) -> Option<Vec<Value>> {
    let stored = condition["properties"].as_array()?;
    let mut written: Vec<Vec<&Value>> = vec![Vec::new()];
    for property in stored {
        let choices = match property["type"] == "cohort" {
            true => membership(property, trees)?,
            false => vec![vec![property]],
        };
        written = all_of(written, choices)?;
    }
    let condition_with = |properties: Vec<&Value>| {
        let mut condition = condition.clone();
        condition["properties"] = json!(properties);
        condition
    };
    Some(written.into_iter().map(condition_with).collect())
}

/// The alternatives of being in the cohort that a filter names.
fn membership<'a>(property: &Value, trees: &'a Trees) -> Option<Vec<Vec<&'a Value>>> {
    let asks_for_members = property["operator"].is_null() || property["operator"] == "in";
    let tree = trees.get(&cohort_id(property)?).filter(|_| asks_for_members)?;
    choices(tree)
}

/// A tree as alternatives of filters that must all hold; `None` if it takes more than that.
fn choices(node: &Value) -> Option<Vec<Vec<&Value>>> {
    let Some(values) = node["values"].as_array() else { return leaf(node).map(|l| vec![vec![l]]) };
    let mut inner = values.iter().map(choices);
    match node["type"].as_str()? {
        // What an empty group means is not agreed upon among SDKs.
        _ if values.is_empty() => None,
        "OR" => inner.try_fold(Vec::new(), |mut all, choices| {
            all.extend(choices?);
            (all.len() <= MOST_ALTERNATIVES).then_some(all)
        }),
        "AND" | "property" => {
            inner.try_fold(vec![Vec::new()], |all, choices| all_of(all, choices?))
        }
        _ => None,
    }
}

/// Each of one list with each of the other.
fn all_of<'a>(
    left: Vec<Vec<&'a Value>>,
    right: Vec<Vec<&'a Value>>,
) -> Option<Vec<Vec<&'a Value>>> {
    let joined = left.iter().flat_map(|a| right.iter().map(|b| [&a[..], &b[..]].concat()));
    (left.len() * right.len() <= MOST_ALTERNATIVES).then(|| joined.collect())
}

/// A filter that means in a condition what it means in a cohort.
fn leaf(node: &Value) -> Option<&Value> {
    let is_plain = node["type"] == "person" && node["negation"] != true && node["key"].is_string();
    is_plain.then_some(node)
}

/// The filters of a tree.
fn leaves(tree: &Value) -> Vec<&Value> {
    let (mut pending, mut leaves) = (vec![tree], Vec::new());
    while let Some(node) = pending.pop() {
        match node["values"].as_array() {
            Some(values) => pending.extend(values),
            None => leaves.push(node),
        }
    }
    leaves
}

/// The cohort that a filter names, by number or as text.
fn cohort_id(property: &Value) -> Option<i64> {
    match &property["value"] {
        _ if property["type"] != "cohort" => None,
        Value::String(text) => text.parse().ok(),
        other => other.as_i64(),
    }
}
