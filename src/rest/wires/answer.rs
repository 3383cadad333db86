//! Writes the answer to `POST /flags`, straight from the engine's result
//! (evaluation 13).

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use uuid::Uuid;

use super::decode::Query;
use crate::engine::{Evaluation, Outcome};

/// The two shapes of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Values and payloads by key.
    V1,
    /// A record a flag, with reason and metadata.
    V2,
}

impl Shape {
    /// What the query asks for; a version that is no number is 1.
    pub(super) fn of(query: &Query) -> Self {
        let version = query.get("v").or_else(|| query.get("version"));
        match (version, query.get("config")) {
            (None, None) => Self::V2,
            (None, Some(_)) => Self::V1,
            (Some(version), _) if version.parse().unwrap_or(1) >= 2 => Self::V2,
            (Some(_), _) => Self::V1,
        }
    }
}

/// What tells one answer from another.
#[derive(Debug)]
pub(super) struct Stamp {
    pub(super) request_id: Uuid,
    /// Milliseconds since the epoch.
    pub(super) evaluated_at: i64,
}

/// The answer to a request that wants no flags.
pub(super) fn nothing<'f>() -> Evaluation<'f> {
    Evaluation { outcomes: Vec::new(), errors_while_computing: false }
}

pub(super) fn render(shape: Shape, evaluation: &Evaluation<'_>, stamp: &Stamp) -> Response {
    let outcomes = &evaluation.outcomes[..];
    let errors_while_computing_flags = evaluation.errors_while_computing;
    let (request_id, evaluated_at) = (stamp.request_id, stamp.evaluated_at);
    match shape {
        Shape::V1 => Json(V1 {
            errors_while_computing_flags,
            feature_flags: Values(outcomes),
            feature_flag_payloads: Payloads(outcomes),
            request_id,
            evaluated_at,
        })
        .into_response(),
        Shape::V2 => Json(V2 {
            errors_while_computing_flags,
            flags: Records(outcomes),
            request_id,
            evaluated_at,
        })
        .into_response(),
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct V1<'a, 'f> {
    errors_while_computing_flags: bool,
    feature_flags: Values<'a, 'f>,
    feature_flag_payloads: Payloads<'a, 'f>,
    request_id: Uuid,
    evaluated_at: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct V2<'a, 'f> {
    errors_while_computing_flags: bool,
    flags: Records<'a, 'f>,
    request_id: Uuid,
    evaluated_at: i64,
}

/// The variant, else whether it is on.
struct Values<'a, 'f>(&'a [Outcome<'f>]);

impl Serialize for Values<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for outcome in self.0 {
            match outcome.variant {
                Some(variant) => map.serialize_entry(outcome.flag.key(), variant)?,
                None => map.serialize_entry(outcome.flag.key(), &outcome.enabled)?,
            }
        }
        map.end()
    }
}

/// Only flags that have one.
struct Payloads<'a, 'f>(&'a [Outcome<'f>]);

impl Serialize for Payloads<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let payloads = self.0.iter().filter_map(|o| Some((o.flag.key(), o.payload?)));
        serializer.collect_map(payloads)
    }
}

struct Records<'a, 'f>(&'a [Outcome<'f>]);

impl Serialize for Records<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_map(self.0.iter().map(|outcome| (outcome.flag.key(), Record::of(outcome))))
    }
}

#[derive(Serialize)]
struct Record<'a> {
    key: &'a str,
    enabled: bool,
    variant: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    failed: bool,
    reason: Reason,
    metadata: Metadata<'a>,
}

#[derive(Serialize)]
struct Reason {
    code: &'static str,
    condition_index: Option<u32>,
    description: std::borrow::Cow<'static, str>,
}

#[derive(Serialize)]
struct Metadata<'a> {
    id: i64,
    version: i64,
    description: Option<&'a str>,
    payload: Option<&'a str>,
    has_experiment: bool,
}

impl<'a> Record<'a> {
    fn of(outcome: &'a Outcome<'_>) -> Self {
        let flag = outcome.flag;
        Self {
            key: flag.key(),
            enabled: outcome.enabled,
            variant: outcome.variant,
            failed: outcome.failed,
            reason: Reason {
                code: outcome.reason.code(),
                condition_index: outcome.condition_index,
                description: outcome.description(),
            },
            metadata: Metadata {
                id: flag.id(),
                version: flag.version().unwrap_or_default(),
                description: None,
                payload: outcome.payload,
                has_experiment: flag.has_experiment(),
            },
        }
    }
}
