//! Names that are shown beside what filters refer to, and are not part of them
//! (management-api 3.2): `cohort_name`, and `group_key_names`.
//!
//! Clients echo them in writes. Kept there they do no harm; held against what
//! is stored they count for nothing.

use std::collections::HashMap;

use serde_json::{Value, json};

use super::json::{Object, same};

const COHORT_NAME: &str = "cohort_name";
const GROUP_KEY_NAMES: &str = "group_key_names";

/// What things are called.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Cohorts by number.
    pub cohorts: HashMap<i64, String>,
    /// Groups by group type index and key.
    pub groups: HashMap<(i64, String), String>,
}

/// The groups that `$group_key` conditions name, by group type index and key.
#[must_use]
pub fn named_groups(filters: &Value) -> Vec<(i64, String)> {
    let mut filters = filters.clone();
    let of = |property: &mut Object| {
        let index = group_index(property)?;
        Some(keys(property).into_iter().map(move |key| (index, key)).collect::<Vec<_>>())
    };
    properties(&mut filters).into_iter().filter_map(of).flatten().collect()
}

/// Puts names beside each cohort and group that the filters refer to.
pub fn decorate(filters: &mut Value, names: &Names) {
    for property in properties(filters) {
        if property.get("type").and_then(Value::as_str) == Some("cohort") {
            let id = property.get("value").and_then(super::filters::number);
            let name = id.and_then(|id| names.cohorts.get(&id));
            property.insert(COHORT_NAME.into(), json!(name));
        }
        if let Some(index) = group_index(property) {
            let named: Object = keys(property)
                .into_iter()
                .filter_map(|key| {
                    let name = names.groups.get(&(index, key.clone()))?;
                    Some((key, json!(name)))
                })
                .collect();
            property.insert(GROUP_KEY_NAMES.into(), Value::Object(named));
        }
    }
}

/// Whether two filters differ in their decorations at most.
#[must_use]
pub fn same_undecorated(a: &Value, b: &Value) -> bool {
    same(&undecorated(a), &undecorated(b))
}

/// Filters without the names beside what they refer to.
#[must_use]
pub fn undecorated(filters: &Value) -> Value {
    let mut filters = filters.clone();
    for property in properties(&mut filters) {
        property.shift_remove(COHORT_NAME);
        property.shift_remove(GROUP_KEY_NAMES);
    }
    filters
}

fn properties(filters: &mut Value) -> Vec<&mut Object> {
    let groups = filters.get_mut("groups").and_then(Value::as_array_mut);
    groups
        .into_iter()
        .flatten()
        .filter_map(|group| group.get_mut("properties")?.as_array_mut())
        .flatten()
        .filter_map(Value::as_object_mut)
        .collect()
}

/// The group type of a `$group_key` condition.
fn group_index(property: &Object) -> Option<i64> {
    let is_group_key = property.get("type").and_then(Value::as_str) == Some("group")
        && property.get("key").and_then(Value::as_str) == Some("$group_key");
    property.get("group_type_index").and_then(Value::as_i64).filter(|_| is_group_key)
}

fn keys(property: &Object) -> Vec<String> {
    match property.get("value") {
        Some(Value::String(key)) => vec![key.clone()],
        Some(Value::Array(keys)) => {
            keys.iter().filter_map(|key| key.as_str().map(str::to_owned)).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filters() -> Value {
        json!({"groups": [{"properties": [
            {"type": "cohort", "key": "id", "value": 7},
            {"type": "cohort", "key": "id", "value": "8"},
            {"type": "group", "key": "$group_key", "group_type_index": 0, "value": ["acme", "gone"]},
            {"type": "person", "key": "email", "value": "x"},
        ]}]})
    }

    #[test]
    fn names_stand_beside_what_is_referred_to() {
        let names = Names {
            cohorts: HashMap::from([(7, "Friends".to_owned())]),
            groups: HashMap::from([((0, "acme".to_owned()), "Acme Inc".to_owned())]),
        };
        let mut shown = filters();
        decorate(&mut shown, &names);
        let properties = &shown["groups"][0]["properties"];
        assert_eq!(properties[0]["cohort_name"], "Friends");
        assert_eq!(properties[1]["cohort_name"], Value::Null);
        assert_eq!(properties[2]["group_key_names"], json!({"acme": "Acme Inc"}));
        assert_eq!(properties[3], filters()["groups"][0]["properties"][3]);
    }

    #[test]
    fn an_echo_of_names_is_no_change() {
        let mut shown = filters();
        decorate(&mut shown, &Names::default());
        assert!(same_undecorated(&shown, &filters()));
        shown["groups"][0]["properties"][0]["value"] = json!(9);
        assert!(!same_undecorated(&shown, &filters()));
        let expected = vec![(0, "acme".to_owned()), (0, "gone".to_owned())];
        assert_eq!(named_groups(&filters()), expected);
    }
}
