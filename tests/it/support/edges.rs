//! One write, sent down either edge, so that a rule on writes is a row of a table.

use flagstaff::wire::v1::{CreateFeatureFlagRequest, FeatureFlagInput, UpdateFeatureFlagRequest};
use http::Method;
use prost_types::{FieldMask, Timestamp};
use serde_json::Value;
use tonic::Status;

use super::{
    FLAGS, Service,
    grpc::{reason, said},
};

pub(crate) const EDGES: [Edge; 2] = [Edge::Rest, Edge::Grpc];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Edge {
    Rest,
    Grpc,
}

/// What a body is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Write {
    Create,
    Patch(i64),
    Put(i64),
}

/// A failure, as both edges tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) kind: String,
    pub(crate) code: String,
    pub(crate) detail: String,
    pub(crate) attr: Option<String>,
}

impl Failure {
    /// A field that holds no usable value.
    pub(crate) fn field(attr: &str, code: &str, detail: &str) -> Self {
        Self { attr: Some(attr.into()), code: code.into(), ..Self::rule(detail) }
    }

    /// A rule that looks beyond one field.
    pub(crate) fn rule(detail: &str) -> Self {
        Self {
            status: 400,
            kind: "validation_error".into(),
            code: "invalid_input".into(),
            detail: detail.into(),
            attr: None,
        }
    }

    pub(crate) fn of_rest(status: u16, body: &Value) -> Self {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let attr = body["attr"].as_str().map(str::to_owned);
        let detail = if body["error"].is_string() { text("error") } else { text("detail") };
        Self { status, kind: text("type"), code: text("code"), detail, attr }
    }

    /// What the REST body would say, as the details tell its shape.
    pub(crate) fn of_grpc(status: &Status) -> Self {
        let told = Self::told(status);
        match said(status, "body").as_deref() {
            Some("envelope") => told,
            Some("empty") => Self::bare(told.status, ""),
            _ => Self::bare(told.status, &told.detail),
        }
    }

    /// A body of one sentence, or of none.
    pub(crate) fn bare(status: u16, detail: &str) -> Self {
        Self { status, kind: String::new(), code: String::new(), detail: detail.into(), attr: None }
    }

    pub(crate) fn not_found() -> Self {
        let (kind, code) = ("invalid_request".into(), "not_found".into());
        Self { kind, code, ..Self::bare(404, "Not found.") }
    }

    fn told(status: &Status) -> Self {
        Self {
            status: said(status, "http_status").unwrap_or_default().parse().unwrap_or_default(),
            kind: said(status, "type").unwrap_or_default(),
            code: reason(status),
            detail: status.message().to_owned(),
            attr: said(status, "attr"),
        }
    }
}

impl Service {
    /// Writes, and answers the flag as REST shows it; `None` where a message cannot say the body.
    pub(crate) async fn write(
        &self,
        edge: Edge,
        write: Write,
        body: &Value,
    ) -> Option<Result<Value, Failure>> {
        match edge {
            Edge::Rest => Some(self.write_rest(write, body).await),
            Edge::Grpc => {
                let id = match self.write_grpc(write, body).await? {
                    Ok(id) => id,
                    Err(status) => return Some(Err(Failure::of_grpc(&status))),
                };
                let (status, flag) = self.get(&format!("{FLAGS}{id}/")).await;
                assert_eq!(status, 200, "{flag}");
                Some(Ok(flag))
            }
        }
    }

    async fn write_rest(&self, write: Write, body: &Value) -> Result<Value, Failure> {
        let (method, path) = match write {
            Write::Create => (Method::POST, FLAGS.to_owned()),
            Write::Patch(id) => (Method::PATCH, format!("{FLAGS}{id}/")),
            Write::Put(id) => (Method::PUT, format!("{FLAGS}{id}/")),
        };
        let (status, answer) = self.rest(method, &path, body.clone()).await;
        match status {
            200 | 201 => Ok(answer),
            _ => Err(Failure::of_rest(status, &answer)),
        }
    }

    /// As [`Self::write`], with the status as it came.
    pub(crate) async fn write_grpc(
        &self,
        write: Write,
        body: &Value,
    ) -> Option<Result<i64, Status>> {
        let feature_flag = Some(message(body)?);
        let has_null = body.as_object()?.values().any(Value::is_null);
        let (id, paths) = match write {
            // Only a mask can say null.
            Write::Create | Write::Put(_) if has_null => return None,
            Write::Create => {
                let request = CreateFeatureFlagRequest { feature_flag, ..Default::default() };
                let answer = self.flags().create_feature_flag(request).await;
                return Some(answer.map(|made| made.into_inner().feature_flag.unwrap().id));
            }
            Write::Put(id) => (id, vec!["*".to_owned()]),
            Write::Patch(id) => {
                let names = body.as_object()?.keys();
                (id, names.map(|name| name.trim_start_matches('_').to_owned()).collect())
            }
        };
        let update_mask = Some(FieldMask { paths });
        let request =
            UpdateFeatureFlagRequest { id, feature_flag, update_mask, ..Default::default() };
        let answer = self.flags().update_feature_flag(request).await;
        Some(answer.map(|made| made.into_inner().feature_flag.unwrap().id))
    }

    /// Sends a body that must be refused down both edges, and sees that nothing was written.
    pub(crate) async fn refuses(&self, write: Write, body: &Value, expected: &Failure) {
        let before = self.traces(write).await;
        for edge in EDGES {
            let Some(outcome) = self.write(edge, write, body).await else { continue };
            assert_eq!(outcome.as_ref().err(), Some(expected), "{edge:?} {write:?} {body}");
        }
        assert_eq!(self.traces(write).await, before, "{write:?} {body}: something was written");
    }

    /// All that a write would move: totals, and the flag itself.
    async fn traces(&self, write: Write) -> ((i64, i64), Value) {
        let flag = match write {
            Write::Create => Value::Null,
            Write::Patch(id) | Write::Put(id) => self.get(&format!("{FLAGS}{id}/")).await.1,
        };
        (self.totals().await, flag)
    }
}

/// A body as a message; `None` when a message has no place for one of its values.
fn message(body: &Value) -> Option<FeatureFlagInput> {
    let mut input = FeatureFlagInput::default();
    for (name, value) in body.as_object()? {
        if value.is_null() {
            let is_list =
                ["tags", "evaluation_contexts", "analytics_dashboards"].contains(&name.as_str());
            if is_list {
                return None;
            }
            continue;
        }
        let text = || value.as_str().map(str::to_owned);
        let texts = || -> Option<Vec<String>> {
            value.as_array()?.iter().map(|item| Some(item.as_str()?.to_owned())).collect()
        };
        match name.as_str() {
            "key" => input.key = Some(text()?),
            "name" => input.name = Some(text()?),
            "filters" => input.filters_json = Some(value.to_string()),
            "deleted" => input.deleted = Some(value.as_bool()?),
            "active" => input.active = Some(value.as_bool()?),
            "created_at" => input.created_at = Some(instant(value)?),
            "version" => input.version = Some(value.as_i64()?),
            "ensure_experience_continuity" => {
                input.ensure_experience_continuity = Some(value.as_bool()?);
            }
            "rollback_conditions" => input.rollback_conditions_json = Some(value.to_string()),
            "performed_rollback" => input.performed_rollback = Some(value.as_bool()?),
            "tags" => input.tags = texts()?,
            "evaluation_contexts" => input.evaluation_contexts = texts()?,
            "analytics_dashboards" => {
                let ids = value.as_array()?.iter().map(Value::as_i64);
                input.analytics_dashboards = ids.collect::<Option<_>>()?;
            }
            "has_enriched_analytics" => input.has_enriched_analytics = Some(value.as_bool()?),
            "creation_context" => input.creation_context = Some(text()?),
            "is_remote_configuration" => input.is_remote_configuration = Some(value.as_bool()?),
            "has_encrypted_payloads" => input.has_encrypted_payloads = Some(value.as_bool()?),
            "evaluation_runtime" => input.evaluation_runtime = Some(text()?),
            "bucketing_identifier" => input.bucketing_identifier = Some(text()?),
            "last_called_at" => input.last_called_at = Some(instant(value)?),
            "_should_create_usage_dashboard" => {
                input.should_create_usage_dashboard = Some(value.as_bool()?);
            }
            "original_flag" => input.original_flag_json = Some(value.to_string()),
            _ => return None,
        }
    }
    Some(input)
}

fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A list of texts; `None` when it is anything else, which a message of texts cannot say.
pub(crate) fn texts(list: &Value) -> Option<Vec<String>> {
    list.as_array()?.iter().map(|item| Some(item.as_str()?.to_owned())).collect()
}
