//! What a project knows, as far as the checks on filters need it.

use std::collections::HashMap;

use serde_json::Value;

use crate::rules_format::RulesFormat;

/// The parsers of evaluation, so that what is stored is what can be evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Grammar {
    /// Whether a date operator can read a value.
    pub is_date: fn(&Value) -> bool,
    /// Whether a `semver_*` operator can read a value.
    pub is_version: fn(&Value) -> bool,
    /// Why the filters of a flag cannot be evaluated; `None` if they can.
    pub problem: fn(&Value) -> Option<&'static str>,
    /// Whether the filters of a dynamic cohort can be evaluated.
    pub is_cohort: fn(&Value) -> bool,
}

/// A flag that filters refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownFlag {
    /// Its key, for messages.
    pub key: String,
    /// Whether it is on.
    pub active: bool,
    /// The rules format that it is stored in.
    pub format: RulesFormat,
}

/// A cohort that filters refer to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownCohort {
    /// Its name, for messages.
    pub name: String,
    /// Whether it, or one it refers to, is decided by events.
    pub is_behavioural: bool,
}

/// The flag whose filters are judged.
#[derive(Clone, Debug)]
pub struct Own {
    /// Its number; `None` before it is created.
    pub id: Option<i64>,
    /// Its key, for messages.
    pub key: String,
    /// Its filters as stored: a pattern that is there already may stay.
    pub filters: Value,
    /// Whether an early-access feature is linked to it.
    pub has_early_access: bool,
}

impl Own {
    /// No flag at all.
    pub(super) fn nobody() -> Self {
        Self { id: None, key: String::new(), filters: Value::Null, has_early_access: false }
    }
}

/// Everything looked up before filters are judged.
#[derive(Clone, Debug)]
pub struct Known {
    /// Live flags of the project that the filters refer to, directly or through others.
    pub flags: HashMap<i64, KnownFlag>,
    /// Which flags each of those reads.
    pub dependencies: HashMap<i64, Vec<i64>>,
    /// Cohorts of the project that the filters refer to.
    pub cohorts: HashMap<i64, KnownCohort>,
    /// The parsers to judge values with.
    pub grammar: Grammar,
}

/// What filters refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct References {
    /// Flags, by number, each once.
    pub flags: Vec<i64>,
    /// Cohorts, by number, each once.
    pub cohorts: Vec<i64>,
}

impl References {
    /// Reads them off filters of any shape; what is no reference is passed over.
    #[must_use]
    pub fn of(filters: &Value) -> Self {
        let mut references = Self::default();
        let groups = filters.get("groups").and_then(Value::as_array).into_iter().flatten();
        let properties = groups.filter_map(|group| group.get("properties")?.as_array()).flatten();
        properties.for_each(|property| references.add(property));
        references.flags.sort_unstable();
        references.flags.dedup();
        references.cohorts.sort_unstable();
        references.cohorts.dedup();
        references
    }

    fn add(&mut self, property: &Value) {
        match property.get("type").and_then(Value::as_str) {
            Some("flag") => self.flags.extend(property.get("key").and_then(number)),
            Some("cohort") => self.cohorts.extend(property.get("value").and_then(number)),
            _ => {}
        }
    }
}

/// A whole number, or its decimal text.
pub(in crate::model) fn number(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn references_are_found_once_each_whatever_surrounds_them() {
        let filters = json!({"groups": [
            {"properties": [
                {"type": "flag", "key": "7"}, {"type": "flag", "key": 3}, {"type": "flag", "key": "x"},
                {"type": "cohort", "key": "id", "value": 2}, {"type": "person", "key": "7"},
            ]},
            {"properties": [{"type": "cohort", "value": "2"}, {"type": "flag", "key": 7}, 1]},
            {"properties": null}, 5,
        ]});
        let found = References::of(&filters);
        assert_eq!(found, References { flags: vec![3, 7], cohorts: vec![2] });
        assert_eq!(References::of(&json!([])), References::default());
    }
}
