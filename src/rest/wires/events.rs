//! The paths that SDKs send events to: `/batch/`, `/e/` and the like, and the
//! newer `/i/v1/analytics/events` (architecture 4, client-wires 4.4).
//!
//! All take the same bodies: one event, a list, or an object with a `batch`;
//! all end in one use-case. Only the newest answers event by event.

mod body;

use axum::{
    Json,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use http::{HeaderMap, Method, StatusCode, request::Parts};
use serde_json::{Map, Value, json};

use super::{Rest, flags::packing, options, query::Query};
use crate::{
    auth::Identity,
    model::{
        error::{Error, Result},
        event::{Sent, instant},
        project::ProjectRef,
    },
    rest::body as bodies,
    sdk::body::{of_query, value},
    service::ingest::{Batch, LARGE_BYTES, Receipt},
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
    let limit = rest.settings.ingestion_bytes;
    let bytes = bodies::read(content, limit).await?;
    let arrived_at = rest.services.clock.now();
    let envelope = match (&parts.method, query.get("data")) {
        (&Method::GET, None) => return Err(Error::method_not_allowed(&parts.method)),
        (&Method::GET, Some(data)) => Envelope::of(of_query(data, limit)?)?,
        _ if bytes.len() > LARGE_BYTES => {
            let (headers, uri) = (parts.headers.clone(), parts.uri.clone());
            let reading = tokio::task::spawn_blocking(move || {
                Envelope::of(value(packing(&headers, &Query::of(&uri)), &bytes, limit)?)
            });
            reading.await.map_err(Error::internal)??
        }
        _ => Envelope::of(value(packing(&parts.headers, &query), &bytes, limit)?)?,
    };
    let project_id = project(rest, &parts, &query, &envelope).await?;
    let uuids = envelope.uuids();
    let batch = Batch {
        sent: Sent { at: sent_at(&parts.headers, &query, &envelope), arrived_at },
        unnamed: (path == ENGAGE).then_some("$identify"),
        bytes: envelope.bytes,
        events: envelope.events,
    };
    let total = batch.events.len();
    let receipt = rest.services.ingest(project_id, batch).await?;
    Ok(match path == V1 {
        true => Json(json!({"results": each(&uuids, &receipt)})).into_response(),
        // A beacon's answer is never read.
        false if query.is_true("beacon") => StatusCode::NO_CONTENT.into_response(),
        false => answer(total, &receipt),
    })
}

/// Where the events go: the token in the body or the query, else the credential of the request.
async fn project(
    rest: &Rest,
    parts: &Parts,
    query: &Query<'_>,
    envelope: &Envelope,
) -> Result<i64> {
    let in_query = query.get("token").or_else(|| query.get("api_key"));
    if let Some(token) = envelope.token.as_deref().or(in_query) {
        return rest.services.ingested_by_token(token).await;
    }
    let identity = parts.extensions.get::<Identity>().cloned().unwrap_or_default();
    let current = ProjectRef::Current { token: None };
    rest.services.ingested(&*identity.caller()?, &current).await
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
