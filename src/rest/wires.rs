//! What real clients speak: paths of their own, the token in the body, errors
//! as their SDKs expect them (client-wires 4.4, evaluation 13 and 14).

mod answer;
mod request;

use axum::{
    Json, Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::any,
};
use http::{HeaderValue, Method, StatusCode, header::ALLOW};
use serde_json::json;

use super::{Rest, body};
use crate::{
    model::error::{Error, Result},
    service::evaluation::request_id,
};

use answer::Shape;
use request::FlagsRequest;

/// The client paths, each with and without the last slash.
pub(super) fn router(rest: &Rest) -> Router {
    Router::new().route("/flags", any(flags)).route("/flags/", any(flags)).with_state(rest.clone())
}

async fn flags(State(rest): State<Rest>, request: Request) -> Response {
    match *request.method() {
        Method::POST => evaluate(&rest, request).await.unwrap_or_else(IntoResponse::into_response),
        // Probes and old clients ask without a body; they get an empty answer.
        Method::GET => {
            Json(json!({"flags": {}, "errorsWhileComputingFlags": false})).into_response()
        }
        Method::HEAD => StatusCode::OK.into_response(),
        Method::OPTIONS => {
            let allowed = HeaderValue::from_static("GET, POST, OPTIONS, HEAD");
            (StatusCode::NO_CONTENT, [(ALLOW, allowed)]).into_response()
        }
        _ => Error::method_not_allowed(request.method()).into_response(),
    }
}

async fn evaluate(rest: &Rest, request: Request) -> Result<Response> {
    let (parts, content) = request.into_parts();
    let query = request::Query::of(&parts.uri);
    let bytes = body::read(content, rest.settings.body_bytes).await?;
    let asked = FlagsRequest::read(&parts.headers, &query, &bytes, rest.settings.body_bytes)?;
    let token = asked.token.as_deref().ok_or_else(Error::not_authenticated)?;
    let snapshot = rest.services.evaluated_by_token(token).await?;
    let scene = asked.scene(&parts.headers, &query);
    let subject = asked.subject()?;
    let evaluation = match asked.disable_flags {
        true => answer::nothing(),
        false => rest.services.evaluate(&snapshot, &subject, &scene).await,
    };
    let sent_id = parts.headers.get("x-request-id");
    let stamp = answer::Stamp {
        request_id: request_id(sent_id.and_then(|id| id.to_str().ok())),
        evaluated_at: rest.services.clock.now().timestamp_millis(),
    };
    Ok(answer::render(Shape::of(&query), &evaluation, &stamp))
}
