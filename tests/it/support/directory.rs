//! Cohorts, written down either edge.

use flagstaff::wire::v1::{CohortInput, CreateCohortRequest, UpdateCohortRequest};
use http::Method;
use prost_types::FieldMask;
use serde_json::{Value, json};

use super::{
    Service,
    edges::{EDGES, Edge, Failure, Write},
};

/// The cohorts of the first project.
pub(crate) const COHORTS: &str = "/api/projects/1/cohorts/";
/// The persons of the first project.
pub(crate) const PERSONS: &str = "/api/projects/1/persons/";

/// Filters of one leaf.
pub(crate) fn tree(leaf: Value) -> Value {
    json!({"properties": {"type": "AND", "values": [leaf]}})
}

/// Filters of those with a plan.
pub(crate) fn plan(plan: &str) -> Value {
    tree(json!({"type": "person", "key": "plan", "operator": "exact", "value": plan}))
}

/// Filters of the members of another cohort.
pub(crate) fn nested(cohort: i64) -> Value {
    tree(json!({"type": "cohort", "key": "id", "value": cohort}))
}

impl Service {
    /// A new cohort, and its id.
    pub(crate) async fn new_cohort(&self, body: Value) -> (i64, Value) {
        let (status, cohort) = self.rest(Method::POST, COHORTS, body).await;
        assert_eq!(status, 201, "{cohort}");
        (cohort["id"].as_i64().unwrap(), cohort)
    }

    /// A new cohort of those with a plan.
    pub(crate) async fn cohort_of_plan(&self, name: &str) -> i64 {
        self.new_cohort(json!({"name": name, "filters": plan(name)})).await.0
    }

    /// A new cohort without members.
    pub(crate) async fn static_cohort(&self) -> i64 {
        self.new_cohort(json!({"name": "Listed", "is_static": true})).await.0
    }

    pub(crate) async fn patch_cohort(&self, id: i64, body: Value) -> (u16, Value) {
        self.rest(Method::PATCH, &format!("{COHORTS}{id}/"), body).await
    }

    /// Adds to a static cohort, or removes from it: how many changed, and how many were unknown.
    pub(crate) async fn members(&self, verb: Method, cohort: i64, ids: &[&str]) -> (i64, i64) {
        let path = format!("{COHORTS}{cohort}/members/");
        let (status, done) = self.rest(verb, &path, json!({"distinct_ids": ids})).await;
        assert_eq!(status, 200, "{done}");
        (done["changed"].as_i64().unwrap(), done["unknown"].as_i64().unwrap())
    }

    /// Writes a cohort down an edge, and answers it as REST shows it; `None` where a message
    /// cannot say the body.
    pub(crate) async fn write_cohort(
        &self,
        edge: Edge,
        write: Write,
        body: &Value,
    ) -> Option<Result<Value, Failure>> {
        if edge == Edge::Rest {
            let (method, path) = match write {
                Write::Create => (Method::POST, COHORTS.to_owned()),
                Write::Patch(id) => (Method::PATCH, format!("{COHORTS}{id}/")),
                Write::Put(_) => return None,
            };
            let (status, answer) = self.rest(method, &path, body.clone()).await;
            return Some(match status {
                200 | 201 => Ok(answer),
                _ => Err(Failure::of_rest(status, &answer)),
            });
        }
        let cohort = Some(message(write, body)?);
        let written = match write {
            Write::Create => {
                let request = CreateCohortRequest { cohort, ..Default::default() };
                let made = self.directory().create_cohort(request).await;
                made.map(|made| made.into_inner().cohort.unwrap().id)
            }
            Write::Patch(cohort_id) | Write::Put(cohort_id) => {
                let paths = match write {
                    Write::Put(_) => vec!["*".to_owned()],
                    _ => body.as_object()?.keys().cloned().collect(),
                };
                let update_mask = Some(FieldMask { paths });
                let request =
                    UpdateCohortRequest { cohort_id, cohort, update_mask, ..Default::default() };
                self.directory().update_cohort(request).await.map(|_| cohort_id)
            }
        };
        Some(match written {
            Ok(id) => Ok(self.get(&format!("{COHORTS}{id}/")).await.1),
            Err(status) => Err(Failure::of_grpc(&status)),
        })
    }

    /// Sends a body that must be refused down both edges, and sees that nothing was written.
    pub(crate) async fn refuses_cohort(&self, write: Write, body: &Value, expected: &Failure) {
        let before = self.get(COHORTS).await;
        for edge in EDGES {
            let Some(outcome) = self.write_cohort(edge, write, body).await else { continue };
            assert_eq!(outcome.as_ref().err(), Some(expected), "{edge:?} {write:?} {body}");
        }
        assert_eq!(self.get(COHORTS).await, before, "{write:?} {body}: something was written");
    }
}

/// A body as a message; `None` when a message has no place for one of its values.
fn message(write: Write, body: &Value) -> Option<CohortInput> {
    let mut input = CohortInput::default();
    for (name, value) in body.as_object()? {
        if value.is_null() {
            // Only a mask can say null.
            match write {
                Write::Patch(_) => continue,
                Write::Create | Write::Put(_) => return None,
            }
        }
        match name.as_str() {
            "name" => input.name = Some(value.as_str()?.to_owned()),
            "description" => input.description = Some(value.as_str()?.to_owned()),
            "is_static" => input.is_static = Some(value.as_bool()?),
            "filters" => input.filters_json = Some(value.to_string()),
            "deleted" => input.deleted = Some(value.as_bool()?),
            _ => return None,
        }
    }
    Some(input)
}
