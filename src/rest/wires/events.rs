//! The paths that SDKs send events to: `/batch/`, `/e/` and the like, and the
//! newer `/i/v1/analytics/events` (architecture 4, client-wires 4.4).
//!
//! All take the same bodies: one event, a list, or an object with a `batch`;
//! all end in one use-case. Only the newest answers event by event.

mod body;

use axum::{
    Json,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Uri, request::Parts};
use serde_json::{Map, Value, json};

use super::{
    Rest, options,
    query::Query,
    unpack::{Credential, Packed, Parse},
};
use crate::{
    auth::Identity,
    limits::Reservation,
    model::{
        caller::CredentialKind,
        error::{Error, Result},
        event::{Sent, instant},
        project::ProjectRef,
    },
    rest::body as bodies,
    sdk::body::parse_events,
    service::ingest::{Batch, Receipt},
};

use body::Envelope;

/// The paths, without the last slash.
pub(in crate::rest) const PATHS: [&str; 8] =
    ["/batch", "/e", "/i/v0/e", "/capture", "/track", ENGAGE, V1, "/i/v0/ai/batch"];

/// Where events need no name: they set person properties.
const ENGAGE: &str = "/engage";
/// Where the token is a header, and each event has its answer.
const V1: &str = "/i/v1/analytics/events";

pub(super) async fn events(State(rest): State<Rest>, request: Request) -> Response {
    match *request.method() {
        Method::POST | Method::GET => {
            take(&rest, request).await.unwrap_or_else(IntoResponse::into_response)
        }
        Method::HEAD => StatusCode::OK.into_response(),
        Method::OPTIONS => options("GET, POST, OPTIONS, HEAD"),
        _ => Error::method_not_allowed(request.method()).into_response(),
    }
}

async fn take(rest: &Rest, request: Request) -> Result<Response> {
    let (parts, content) = request.into_parts();
    let query = Query::of(&parts.uri);
    let path = parts.uri.path().trim_end_matches('/').to_owned();
    let mut memory = rest.settings.bodies.memory.reservation();
    let arrived_at = rest.services.clock.now();
    let envelope = envelope(rest, &parts, &query, content, &mut memory).await?;
    let (project_id, credential) = project(rest, &parts, &query, &envelope).await?;
    rest.services.throttle_events(credential, envelope.events.len())?;
    let batch = Batch {
        sent: Sent { at: sent_at(&parts.headers, &query, &envelope), arrived_at },
        unnamed: (path == ENGAGE).then_some("$identify"),
        bytes: envelope.bytes,
        events: envelope.events,
    };
    let total = batch.events.len();
    let receipt = rest.services.ingest(project_id, batch).await?;
    Ok(match path == V1 {
        true => Json(json!({"results": each(&envelope.uuids, &receipt)})).into_response(),
        // A beacon's answer is never read.
        false if query.is_true("beacon") => StatusCode::NO_CONTENT.into_response(),
        false => answer(total, &receipt),
    })
}

/// Reads the events: from the body, or from the parameter `data` of a GET.
async fn envelope(
    rest: &Rest,
    parts: &Parts,
    query: &Query<'_>,
    content: Body,
    memory: &mut Reservation,
) -> Result<Envelope> {
    let (limit, limits) = (rest.settings.ingestion_bytes, &rest.settings.bodies);
    let credential = match query.get("token").or_else(|| query.get("api_key")) {
        Some(token) => Credential::Token(token),
        None => Credential::Identity(identity(parts)),
    };
    let (none, nowhere) = (HeaderMap::new(), Uri::default());
    let packed = match (&parts.method, query.get("data")) {
        (&Method::GET, None) => return Err(Error::method_not_allowed(&parts.method)),
        (&Method::GET, Some(data)) => {
            let bytes = Bytes::copy_from_slice(data.as_bytes());
            Packed { headers: &none, uri: &nowhere, bytes, limit, credential }
        }
        _ => {
            let bytes = bodies::read(content, limit, limits, memory).await?;
            Packed { headers: &parts.headers, uri: &parts.uri, bytes, limit, credential }
        }
    };
    let parse: Parse<Envelope> = |text, memory| {
        let (body, marker) = parse_events(text, memory)?;
        Envelope::of(body, marker, text.len())
    };
    packed.parse(rest, memory, parse).await
}

fn identity(parts: &Parts) -> Identity {
    parts.extensions.get::<Identity>().cloned().unwrap_or_default()
}

/// Where the events go, and by which credential: the token in the body or the query, else the
/// credential of the request.
async fn project(
    rest: &Rest,
    parts: &Parts,
    query: &Query<'_>,
    envelope: &Envelope,
) -> Result<(i64, (CredentialKind, i64))> {
    let in_query = query.get("token").or_else(|| query.get("api_key"));
    if let Some(token) = envelope.token.as_deref().or(in_query) {
        let project_id = rest.services.ingested_by_token(token).await?;
        return Ok((project_id, (CredentialKind::ProjectToken, project_id)));
    }
    let caller = identity(parts).caller()?;
    let current = ProjectRef::Current { token: None };
    let project_id = rest.services.ingested(&caller, &current).await?;
    Ok((project_id, (caller.kind, caller.credential_id)))
}

/// When the request was sent, by its sender: in the body, in the query as milliseconds, or in a
/// header.
fn sent_at(
    headers: &HeaderMap,
    query: &Query<'_>,
    envelope: &Envelope,
) -> Option<chrono::DateTime<chrono::Utc>> {
    let millis = || chrono::DateTime::from_timestamp_millis(query.get("_")?.parse().ok()?);
    let header = || instant(&headers.get("posthog-request-timestamp")?.to_str().ok()?.into());
    envelope.sent_at.or_else(millis).or_else(header)
}

/// Which were refused; a request of which nothing could be used is a bad one.
fn answer(total: usize, receipt: &Receipt) -> Response {
    let rejected: Vec<Value> = receipt
        .rejected
        .iter()
        .map(|(index, reason)| json!({"index": index, "reason": reason}))
        .collect();
    match receipt.rejected.first() {
        None => Json(json!({"status": 1})).into_response(),
        Some((index, reason)) if rejected.len() == total => {
            let body = json!({
                "type": "validation_error",
                "code": "invalid_input",
                "detail": format!("No event can be used. Event {index}: {reason}."),
                "attr": null,
                "rejected": rejected,
            });
            (StatusCode::BAD_REQUEST, Json(body)).into_response()
        }
        Some(_) => Json(json!({"status": 1, "rejected": rejected})).into_response(),
    }
}

/// What came of each event that has an id.
fn each(uuids: &[Option<String>], receipt: &Receipt) -> Map<String, Value> {
    let mut results: Map<String, Value> =
        uuids.iter().flatten().map(|uuid| (uuid.clone(), json!({"result": "ok"}))).collect();
    for (place, reason) in &receipt.rejected {
        if let Some(Some(uuid)) = uuids.get(*place) {
            results.insert(uuid.clone(), json!({"result": "drop", "details": reason}));
        }
    }
    results
}
