//! The numbers that filters refer to, and the ones they have here.
//!
//! A flag names cohorts, group types and other flags by numbers of the project
//! that it was made in. Each of these has another number here, so filters are
//! rewritten before they are written, and filters that name something which
//! is not here are not written at all: a condition on the wrong cohort would
//! be worse than no flag.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Value, json};

use crate::model::{filters::number, json::Object};

/// The lists of condition sets that filters may hold, the legacy ones included.
const CONDITION_SETS: [&str; 3] = ["groups", "super_groups", "holdout_groups"];
/// Names that are shown beside references, and are of where they come from.
const NAMES: [&str; 2] = ["cohort_name", "group_key_names"];

/// What filters refer to, by the numbers of where they come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referred {
    /// Group types, by index.
    pub group_types: BTreeSet<i64>,
    /// Cohorts, by number.
    pub cohorts: BTreeSet<i64>,
    /// Flags, as they are named: by number, or by key.
    pub flags: BTreeSet<String>,
}

/// What something from elsewhere is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Here {
    /// It has this number.
    Number(i64),
    /// It is not here, and this is why.
    Missing(String),
}

/// The numbers here, by those elsewhere.
#[derive(Clone, Debug, Default)]
pub struct Numbers {
    /// Of group types.
    pub group_types: BTreeMap<i64, Here>,
    /// Of cohorts.
    pub cohorts: HashMap<i64, Here>,
    /// Of flags, by their numbers elsewhere and by their keys.
    pub flags: HashMap<String, Here>,
}

impl Referred {
    /// What the filters of a flag refer to.
    #[must_use]
    pub fn by_flag(filters: &Value) -> Self {
        let mut referred = Self::default();
        referred.index(filters.get("aggregation_group_type_index"));
        for set in CONDITION_SETS.iter().flat_map(|name| items(filters.get(*name))) {
            referred.index(set.get("aggregation_group_type_index"));
            items(set.get("properties")).for_each(|property| referred.property(property));
        }
        referred
    }

    /// What the filters of a cohort refer to.
    #[must_use]
    pub fn by_cohort(filters: &Value) -> Self {
        let mut referred = Self::default();
        if let Some(tree) = filters.get("properties") {
            referred.node(tree);
        }
        for group in items(filters.get("groups")) {
            items(group.get("properties")).for_each(|property| referred.node(property));
        }
        referred
    }

    fn node(&mut self, node: &Value) {
        match node.get("values") {
            Some(nodes @ Value::Array(_)) => items(Some(nodes)).for_each(|node| self.node(node)),
            _ => self.property(node),
        }
    }

    fn property(&mut self, property: &Value) {
        self.index(property.get("group_type_index"));
        match property.get("type").and_then(Value::as_str) {
            Some("cohort") => self.cohorts.extend(property.get("value").and_then(number)),
            Some("flag") => self.flags.extend(property.get("key").map(name)),
            _ => {}
        }
    }

    fn index(&mut self, index: Option<&Value>) {
        self.group_types.extend(index.and_then(Value::as_i64));
    }
}

fn items(list: Option<&Value>) -> impl Iterator<Item = &Value> {
    list.and_then(Value::as_array).into_iter().flatten()
}

/// A flag as a condition names it.
fn name(key: &Value) -> String {
    key.as_str().map_or_else(|| key.to_string(), str::to_owned)
}

impl Numbers {
    /// A flag's filters, with the numbers of here and without the names of there.
    ///
    /// # Errors
    ///
    /// In words, the first thing they refer to that is not here.
    pub fn of_flag(&self, filters: &Value) -> Result<Value, String> {
        let mut filters = filters.clone();
        self.index(&mut filters, "aggregation_group_type_index")?;
        for list in CONDITION_SETS {
            for set in each(filters.get_mut(list)) {
                self.index(set, "aggregation_group_type_index")?;
                for property in each(set.get_mut("properties")) {
                    self.property(property)?;
                }
            }
        }
        Ok(filters)
    }

    /// A cohort's filters, likewise.
    ///
    /// # Errors
    ///
    /// As [`Numbers::of_flag`].
    pub fn of_cohort(&self, filters: &Value) -> Result<Value, String> {
        let mut filters = filters.clone();
        if let Some(tree) = filters.get_mut("properties") {
            self.node(tree)?;
        }
        for group in each(filters.get_mut("groups")) {
            for property in each(group.get_mut("properties")) {
                self.node(property)?;
            }
        }
        Ok(filters)
    }

    fn node(&self, node: &mut Value) -> Result<(), String> {
        match node.get_mut("values") {
            Some(nodes @ Value::Array(_)) => each(Some(nodes)).try_for_each(|node| self.node(node)),
            _ => self.property(node),
        }
    }

    fn property(&self, property: &mut Value) -> Result<(), String> {
        self.index(property, "group_type_index")?;
        let Some(fields) = property.as_object_mut() else { return Ok(()) };
        for name in NAMES {
            fields.shift_remove(name);
        }
        match fields.get("type").and_then(Value::as_str) {
            Some("cohort") => self.cohort(fields),
            Some("flag") => self.flag(fields),
            _ => Ok(()),
        }
    }

    fn index(&self, within: &mut Value, field: &str) -> Result<(), String> {
        let Some(there) = within.get(field).and_then(Value::as_i64) else { return Ok(()) };
        let unknown = || format!("it goes by group type {there}, whose name could not be read");
        within[field] = json!(found(self.group_types.get(&there), unknown)?);
        Ok(())
    }

    fn cohort(&self, property: &mut Object) -> Result<(), String> {
        let Some(there) = property.get("value").and_then(number) else { return Ok(()) };
        let unknown = || format!("it goes by cohort {there}, which the source does not list");
        let here = found(self.cohorts.get(&there), unknown)?;
        property.insert("value".into(), json!(here));
        Ok(())
    }

    /// A flag is named by its number as text, which is how it is stored.
    fn flag(&self, property: &mut Object) -> Result<(), String> {
        let there = property.get("key").map(name).unwrap_or_default();
        let unknown = || format!("it reads flag {there}, which the source does not list");
        let here = found(self.flags.get(&there), unknown)?;
        property.insert("key".into(), json!(here.to_string()));
        Ok(())
    }
}

fn found(here: Option<&Here>, unknown: impl FnOnce() -> String) -> Result<i64, String> {
    match here {
        Some(Here::Number(number)) => Ok(*number),
        Some(Here::Missing(why)) => Err(why.clone()),
        None => Err(unknown()),
    }
}

fn each(list: Option<&mut Value>) -> impl Iterator<Item = &mut Value> {
    list.and_then(Value::as_array_mut).into_iter().flatten()
}

#[cfg(test)]
mod tests;
