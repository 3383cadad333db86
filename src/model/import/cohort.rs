//! A cohort as a list of the public API holds it.

use serde_json::{Value, json};

use super::references::Referred;
use crate::model::{
    cohort::Cohort,
    filters::same_meaning,
    json::{MAX_DEPTH, Object, too_deep},
};

/// A cohort from elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignCohort {
    /// Its number there.
    pub id: i64,
    /// For people; need not be unique.
    pub name: String,
    /// For people; may be empty.
    pub description: String,
    /// Whether its members are listed.
    pub is_static: bool,
    /// `{"properties": tree}`, or the older `{"groups": […]}`; empty for a static one.
    pub filters: Value,
    /// How many members it has there, where that is told.
    pub count: Option<i64>,
}

impl ForeignCohort {
    /// Reads a result of a list; `None` for a deleted one.
    ///
    /// # Errors
    ///
    /// What is missing of it, in words.
    pub fn read(value: &Value) -> Result<Option<Self>, String> {
        let id = value.get("id").and_then(Value::as_i64).ok_or("a cohort without an `id`")?;
        if value.get("deleted") == Some(&json!(true)) {
            return Ok(None);
        }
        let text = |field: &str| value.get(field).and_then(Value::as_str).unwrap_or_default();
        let name = Some(text("name")).filter(|name| !name.trim().is_empty());
        let is_static = value.get("is_static") == Some(&json!(true));
        let filters = match value.get("filters") {
            _ if is_static => json!({}),
            Some(Value::Object(filters)) if !filters.is_empty() => json!(filters),
            // Older than trees.
            _ => json!({"groups": value.get("groups").filter(|groups| groups.is_array())
                .cloned().unwrap_or_else(|| json!([]))}),
        };
        Ok(Some(Self {
            id,
            name: name.map_or_else(|| format!("Cohort {id}"), str::to_owned),
            description: text("description").to_owned(),
            is_static,
            filters,
            count: value.get("count").and_then(Value::as_i64),
        }))
    }

    /// Why it cannot come along at all, if so: it is nested deeper than any request may be.
    #[must_use]
    pub fn unreadable(&self) -> Option<String> {
        too_deep(&self.filters).then(|| format!("it is nested deeper than {MAX_DEPTH} levels"))
    }

    /// What it refers to there.
    #[must_use]
    pub fn referred(&self) -> Referred {
        Referred::by_cohort(&self.filters)
    }

    /// The body that makes it, with the filters as they are here.
    #[must_use]
    pub fn body(&self, filters: &Value) -> Object {
        let mut body = Object::from_iter([
            ("name".to_owned(), json!(self.name)),
            ("description".to_owned(), json!(self.description)),
            ("is_static".to_owned(), json!(self.is_static)),
        ]);
        if !self.is_static {
            body.insert("filters".into(), filters.clone());
        }
        body
    }

    /// What of `body` is otherwise in a cohort that is here.
    #[must_use]
    pub fn differing(body: &Object, here: &Cohort) -> Object {
        let is_here = |field: &str, value: &Value| match field {
            "name" => value.as_str().map(str::trim) == Some(&here.name),
            "description" => value.as_str().map(str::trim) == Some(&here.description),
            "filters" => same_meaning(value, &here.filters),
            _ => true,
        };
        let differing = body.iter().filter(|(field, value)| !is_here(field, value));
        differing.map(|(field, value)| (field.clone(), value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> ForeignCohort {
        ForeignCohort::read(&value).unwrap().unwrap()
    }

    #[test]
    fn cohorts_are_read_as_lists_hold_them() {
        let tree = json!({"properties": {"type": "AND", "values": []}});
        let plain = read(json!({"id": 3, "name": "Payers", "description": null, "filters": tree,
            "is_static": false, "groups": [], "query": null, "count": 12}));
        assert_eq!((plain.name.as_str(), plain.description.as_str()), ("Payers", ""));
        assert_eq!((&plain.filters, plain.count), (&tree, Some(12)));
        let listed = read(json!({"id": 4, "name": "", "filters": tree, "is_static": true}));
        assert_eq!((listed.name.as_str(), &listed.filters), ("Cohort 4", &json!({})));
        assert!(listed.body(&listed.filters).get("filters").is_none());
        let groups = json!([{"properties": {"a": "b"}}]);
        let older = read(json!({"id": 5, "name": "x", "filters": null, "groups": groups}));
        assert_eq!(older.filters, json!({"groups": groups}));
        assert_eq!(ForeignCohort::read(&json!({"id": 5, "deleted": true})), Ok(None));
        assert!(ForeignCohort::read(&json!({"name": "x"})).is_err());
    }
}
