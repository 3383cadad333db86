//! The one place where an [`Error`] becomes an HTTP answer (management-api 1.3).

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use serde_json::{Value, json};

use super::{
    call::{Content, Reply},
    dashboard_page,
};
use crate::model::error::{BodyKind, Code, Error, Result};

/// Advice beyond the documented body.
const HINT: HeaderName = HeaderName::from_static("x-flagstaff-hint");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answers what a handler came to.
pub(super) fn respond(outcome: Result<Reply>) -> Response {
    match outcome {
        Ok(Reply { status, body: Content::Nothing }) => status.into_response(),
        Ok(Reply { status, body: Content::Json(body) }) => (status, Json(body)).into_response(),
        Ok(Reply { status, body: Content::Stream(body) }) => {
            (status, [(CONTENT_TYPE, JSON)], body).into_response()
        }
        Ok(Reply { status, body: Content::Page(page) }) => {
            (status, dashboard_page::respond(page)).into_response()
        }
        Err(error) => error.into_response(),
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if matches!(self.code, Code::Internal | Code::Unavailable) {
            tracing::error!(code = ?self.code, causes = self.causes(), "request failed");
        }
        let status = StatusCode::from_u16(self.code.http_status())
            .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = match self.body {
            BodyKind::Text => (status, self.detail.clone()).into_response(),
            BodyKind::Empty => status.into_response(),
            _ => (status, Json(body(&self))).into_response(),
        };
        if let Some(hint) = self.hint.as_deref().and_then(|hint| HeaderValue::try_from(hint).ok()) {
            response.headers_mut().insert(HINT, hint);
        }
        if let Some(delay) = self.retry_after {
            // Whole seconds are the only form that every client understands.
            let seconds = HeaderValue::from(delay.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        response
    }
}

fn body(error: &Error) -> Value {
    let detail = &error.detail;
    match error.body {
        BodyKind::Error => json!({"error": detail}),
        BodyKind::SuccessError => json!({"success": false, "error": detail}),
        BodyKind::Detail => json!({"detail": detail}),
        BodyKind::DetailError => json!({"detail": detail, "error": detail}),
        BodyKind::Envelope | BodyKind::Text | BodyKind::Empty => json!({
            "type": error.kind,
            "code": error.reason,
            "detail": detail,
            "attr": error.attr,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_body_is_as_documented() {
        let error = || Error::field("key", "unique", "Taken.");
        let cases = [
            (
                BodyKind::Envelope,
                r#"{"type":"validation_error","code":"unique","detail":"Taken.","attr":"key"}"#,
            ),
            (BodyKind::Error, r#"{"error":"Taken."}"#),
            (BodyKind::SuccessError, r#"{"success":false,"error":"Taken."}"#),
            (BodyKind::Detail, r#"{"detail":"Taken."}"#),
            (BodyKind::DetailError, r#"{"detail":"Taken.","error":"Taken."}"#),
        ];
        for (kind, expected) in cases {
            assert_eq!(body(&error().with_body(kind)).to_string(), expected);
        }
    }

    #[test]
    fn a_retry_is_told_in_whole_seconds() {
        let response = Error::unavailable("gone").into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
    }
}
