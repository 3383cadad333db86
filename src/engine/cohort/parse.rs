//! From a stored cohort to its tree.

use serde_json::{Map, Value};

use super::{CohortSource, Leaf, Node};
use crate::engine::definition::{CohortTest, PERSON_METADATA_PREFIX};
use crate::engine::property::PropertyTest;

/// Trees nest at most this deep; deeper ones are refused.
const DEEPEST: usize = 32;

/// The description is not one of a cohort.
pub(super) struct Malformed;

/// Reads the tree, or the list of groups that older cohorts have instead.
///
/// A cohort that has neither describes no one; of one whose filters are null nothing is known.
pub(super) fn tree(source: &CohortSource<'_>) -> Result<Node, Malformed> {
    if source.groups.is_none() && source.filters.is_some_and(Value::is_null) {
        return Err(Malformed);
    }
    match (source.filters.and_then(|filters| filters.get("properties")), source.groups) {
        (Some(Value::Object(root)), _) if !root.is_empty() => group(root, DEEPEST),
        (Some(Value::Array(_) | Value::String(_) | Value::Number(_) | Value::Bool(_)), _) => {
            Err(Malformed)
        }
        (_, Some(Value::Array(groups))) => Ok(Node::Any(groups.iter().map(legacy_group).collect())),
        _ => Ok(Node::Any(Box::default())),
    }
}

fn node(stored: &Value, depth: usize) -> Result<Node, Malformed> {
    let stored = stored.as_object().ok_or(Malformed)?;
    if stored.get("values").is_some_and(Value::is_array) {
        group(stored, depth)
    } else {
        leaf(stored)
    }
}

fn group(stored: &Map<String, Value>, depth: usize) -> Result<Node, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed)?;
    let values = stored.get("values").and_then(Value::as_array).ok_or(Malformed)?;
    let nodes = values.iter().map(|value| node(value, depth)).collect::<Result<_, _>>()?;
    match stored.get("type").and_then(Value::as_str) {
        Some("AND" | "property") => Ok(Node::All(nodes)),
        Some("OR") => Ok(Node::Any(nodes)),
        _ => Err(Malformed),
    }
}

fn leaf(stored: &Map<String, Value>) -> Result<Node, Malformed> {
    let leaf = match stored.get("type").and_then(Value::as_str).unwrap_or("person") {
        "person" => person(stored, ""),
        "person_metadata" => person(stored, PERSON_METADATA_PREFIX),
        "cohort" => cohort(stored)?,
        "behavioral" | "lifecycle" => Leaf::Behavior,
        _ => Leaf::Never,
    };
    Ok(Node::Leaf(leaf, stored.get("negation") == Some(&Value::Bool(true))))
}

/// A property filter; one that cannot be compiled never matches.
fn person(stored: &Map<String, Value>, prefix: &str) -> Leaf {
    let operator = stored.get("operator").and_then(Value::as_str).unwrap_or("exact");
    let test = PropertyTest::compile(operator, stored.get("value"));
    match (stored.get("key").and_then(Value::as_str), test) {
        (Some(key), Ok(test)) => Leaf::Person(format!("{prefix}{key}").into(), test),
        _ => Leaf::Never,
    }
}

fn cohort(stored: &Map<String, Value>) -> Result<Leaf, Malformed> {
    let operator = stored.get("operator").and_then(Value::as_str).unwrap_or("in");
    let test = CohortTest::compile(operator, stored.get("value").unwrap_or(&Value::Null));
    let id = test.id.ok_or(Malformed)?;
    Ok(test.wanted.map_or(Leaf::Never, |wanted| Leaf::Cohort(id, wanted)))
}

/// A group of an older cohort: all of its properties. One that counts events
/// or actions has none, and matches no one.
fn legacy_group(stored: &Value) -> Node {
    match stored.get("properties") {
        Some(Value::Array(properties)) => Node::All(properties.iter().map(legacy_leaf).collect()),
        Some(Value::Object(equal)) => {
            Node::All(equal.iter().map(|(key, value)| legacy_equal(key, value)).collect())
        }
        _ => Node::Leaf(Leaf::Never, false),
    }
}

/// A property of an older group, whose type may be missing or `event`.
fn legacy_leaf(stored: &Value) -> Node {
    let Some(stored) = stored.as_object() else { return Node::Leaf(Leaf::Never, false) };
    let mut stored = stored.clone();
    if stored.get("type").and_then(Value::as_str) == Some("event") {
        stored.remove("type");
    }
    leaf(&stored).unwrap_or(Node::Leaf(Leaf::Never, false))
}

fn legacy_equal(key: &str, value: &Value) -> Node {
    let leaf = PropertyTest::compile("exact", Some(value))
        .map_or(Leaf::Never, |test| Leaf::Person(key.into(), test));
    Node::Leaf(leaf, false)
}
