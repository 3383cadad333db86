//! Reads what a caller wants a cohort to become.
//!
//! As with flags, both edges bring one JSON object; fields are judged in
//! their declared order, and the first wrong one is reported.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Cohort, tree};
use crate::model::{
    error::{Error, Result},
    fields,
    filters::Grammar,
    json::{Object, same_double},
    write::Method,
};

/// The longest name, in characters.
const MAX_NAME_LENGTH: usize = 400;

/// A wanted change to a cohort.
#[derive(Clone, Debug)]
pub struct CohortWrite {
    /// The fields sent, as a REST body has them.
    pub body: Object,
    /// Creation, PATCH, or PUT for the mask `*`.
    pub method: Method,
    /// Whether `filters` came as a message, and so without a spelling of its own.
    pub is_typed: bool,
}

/// The filters of a wanted cohort as they are stored, or why they are refused; `None` if there are none.
pub type Tree = Option<Result<Value>>;

impl CohortWrite {
    /// Checks the sent filters, as far as that needs no other cohort and no lock.
    #[must_use]
    pub fn tree(&self, grammar: &Grammar) -> Tree {
        self.body.get("filters").map(|sent| tree::accept(sent, grammar))
    }

    /// The cohort that a creation asks for; its number is still 0. `tree` is what [`Self::tree`] returned.
    ///
    /// # Errors
    ///
    /// The first wrong field, with its stock message.
    pub fn created(&self, project_id: i64, tree: Tree, now: DateTime<Utc>) -> Result<Cohort> {
        let fresh = Cohort {
            id: 0,
            project_id,
            name: String::new(),
            description: String::new(),
            is_static: false,
            filters: json!({}),
            count: None,
            deleted: false,
            created_at: now,
        };
        let cohort = self.applied(&fresh, tree)?;
        Ok(Cohort { count: cohort.is_static.then_some(0), deleted: false, ..cohort })
    }

    /// What a cohort becomes; what is not mentioned stays.
    ///
    /// # Errors
    ///
    /// As [`CohortWrite::created`].
    pub fn applied(&self, before: &Cohort, tree: Tree) -> Result<Cohort> {
        let is_new = self.method == Method::Create;
        let name = match self.body.get("name") {
            Some(name) => fields::short_text("name", name, MAX_NAME_LENGTH)?,
            None if self.method == Method::Patch => before.name.clone(),
            None => return Err(fields::required("name")),
        };
        let description = self.body.get("description");
        let description = description.map(|text| fields::text("description", text)).transpose()?;
        let is_static = self.body.get("is_static").map(|v| fields::boolean("is_static", v));
        let is_static = is_static.transpose()?.unwrap_or(before.is_static);
        if !is_new && is_static != before.is_static {
            let detail = "A cohort cannot change between static and dynamic.";
            return Err(Error::field("is_static", "invalid_input", detail));
        }
        let filters = self.filters(before, is_static, tree)?;
        let deleted = self.body.get("deleted").map(|v| fields::boolean("deleted", v));
        Ok(Cohort {
            name,
            description: description.unwrap_or_else(|| before.description.clone()),
            is_static,
            filters,
            deleted: deleted.transpose()?.unwrap_or(before.deleted),
            ..before.clone()
        })
    }

    fn filters(&self, before: &Cohort, is_static: bool, tree: Tree) -> Result<Value> {
        let sent = self.body.get("filters");
        if is_static {
            return match sent {
                None | Some(Value::Null) => Ok(before.filters.clone()),
                Some(sent) if fields::object("filters", sent)?.is_empty() => Ok(json!({})),
                Some(_) => {
                    let detail = "A static cohort takes no filters; its members are listed.";
                    Err(Error::field("filters", "invalid_input", detail))
                }
            };
        }
        match tree {
            None if self.method == Method::Patch => Ok(before.filters.clone()),
            None => Err(fields::required("filters")),
            Some(wanted) => {
                let wanted = wanted?;
                let is_echo = self.is_typed && same_double(&wanted, &before.filters);
                Ok(if is_echo { before.filters.clone() } else { wanted })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRAMMAR: Grammar =
        Grammar { is_date: |_| true, is_version: |_| true, problem: |_| None, is_cohort: |_| true };

    fn write(method: Method, body: Value) -> CohortWrite {
        let body = body.as_object().expect("an object").clone();
        CohortWrite { body, method, is_typed: false }
    }

    fn created(body: Value) -> Result<Cohort> {
        let wanted = write(Method::Create, body);
        wanted.created(1, wanted.tree(&GRAMMAR), DateTime::UNIX_EPOCH)
    }

    fn tree() -> Value {
        json!({"properties": {"type": "AND", "values": [{"key": "n", "value": 1.50}]}})
    }

    #[test]
    fn the_first_wrong_field_is_reported() {
        let cases = [
            (json!({}), "name", "required"),
            (json!({"name": " "}), "name", "blank"),
            (json!({"name": null}), "name", "null"),
            (json!({"name": "x".repeat(401)}), "name", "max_length"),
            (json!({"name": "x", "description": null}), "description", "null"),
            (json!({"name": "x", "is_static": "maybe"}), "is_static", "invalid_input"),
            (json!({"name": "x"}), "filters", "required"),
            (json!({"name": "x", "filters": null}), "filters", "null"),
            (
                json!({"name": "x", "is_static": true, "filters": tree()}),
                "filters",
                "invalid_input",
            ),
            (json!({"name": "x", "filters": tree(), "deleted": []}), "deleted", "invalid_input"),
        ];
        for (body, attr, code) in cases {
            let error = created(body.clone()).unwrap_err();
            assert_eq!((error.attr.as_deref(), &*error.reason), (Some(attr), code), "{body}");
        }
    }

    #[test]
    fn a_cohort_is_described_or_counted() {
        let dynamic = created(json!({"name": " x ", "filters": tree(), "id": 9})).unwrap();
        assert_eq!((dynamic.name.as_str(), dynamic.count, dynamic.id), ("x", None, 0));
        let listed = created(json!({"name": "x", "is_static": true, "filters": {}})).unwrap();
        assert_eq!((listed.count, listed.filters), (Some(0), json!({})));
    }

    #[test]
    fn an_update_keeps_what_it_does_not_mention() {
        let before = created(json!({"name": "x", "description": "d", "filters": tree()})).unwrap();
        let applied = |wanted: CohortWrite| wanted.applied(&before, wanted.tree(&GRAMMAR));
        let patched = |body| applied(write(Method::Patch, body));
        assert_eq!(patched(json!({})).unwrap(), before);
        assert!(patched(json!({"deleted": true})).unwrap().deleted);
        assert_eq!(patched(json!({"is_static": false})).unwrap(), before);
        let error = patched(json!({"is_static": true})).unwrap_err();
        assert_eq!(error.attr.as_deref(), Some("is_static"));
        let put = applied(write(Method::Put, json!({"name": "y"}))).unwrap_err();
        assert_eq!(put.attr.as_deref(), Some("filters"));
    }

    #[test]
    fn a_typed_echo_keeps_the_stored_spelling() {
        let spelled: Value =
            serde_json::from_str(&tree().to_string().replace("1.5", "1.50")).unwrap();
        let before = created(json!({"name": "x", "filters": spelled})).unwrap();
        let echo =
            CohortWrite { is_typed: true, ..write(Method::Patch, json!({"filters": tree()})) };
        let after = echo.applied(&before, echo.tree(&GRAMMAR)).unwrap();
        assert_eq!(after.filters.to_string(), before.filters.to_string());
        assert!(after.filters.to_string().contains("1.50"));
    }
}
