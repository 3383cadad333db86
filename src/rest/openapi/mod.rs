//! `/openapi.json`: the REST paths as OpenAPI 3.1 tells them.
//!
//! The management paths are written from the contract, its comments included,
//! so they cannot say anything else than it does ([`operations`], [`schemas`]).
//! What clients speak beside them is in no contract, and told in [`wires`].

mod comments;
mod operations;
mod schemas;
mod wires;

use std::sync::LazyLock;

use axum::response::IntoResponse;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use prost_reflect::DescriptorPool;
use serde_json::{Value, json};

use crate::wire;
use schemas::Schemas;

/// The document as bytes; it is the same for every caller.
static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| Bytes::from(document().to_string()));

/// Answers it to anybody: it tells what is in the sources.
pub(super) async fn get() -> impl IntoResponse {
    // The same for everybody until the next release.
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-cache")], DOCUMENT.clone())
}

fn document() -> Value {
    let pool =
        DescriptorPool::decode(wire::DESCRIPTORS).expect("the embedded descriptors are whole");
    let mut schemas = Schemas::default();
    let mut paths = operations::paths(&pool, &mut schemas);
    paths.extend(wires::paths());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Flagstaff",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "A self-hosted feature-flag service with PostHog's API",
            "description": "Every path may end in a slash or not. gRPC is served on the same port, from the \
                contract in `proto/flagstaff/v1`, with reflection.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "tags": operations::tags(&pool),
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": security(),
            "responses": {"Error": {
                "description": "A failure, in one of the documented shapes.",
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
            }},
            "schemas": schemas.into_components(error()),
        },
    })
}

fn security() -> Value {
    json!({
        "bearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "A personal API key (`phx_`) with the operation's scope; for what is delivered to \
                programs also a project's secret (`phs_`).",
        },
        "personal_api_key": {
            "type": "apiKey",
            "in": "query",
            "name": "personal_api_key",
            "description": "A personal API key where no header can be sent. Such an address is a secret.",
        },
    })
}

/// The shapes that a failure can have: usually the first.
fn error() -> Value {
    let text = json!({"type": "string"});
    json!({"oneOf": [
        {
            "type": "object",
            "required": ["type", "code", "detail", "attr"],
            "properties": {
                "type": {"type": "string", "description": "What kind of failure it is."},
                "code": {"type": "string", "description": "What a program branches on."},
                "detail": {"type": "string", "description": "A sentence for people."},
                "attr": {"type": ["string", "null"], "description": "The field to blame."},
            },
        },
        {
            "type": "object",
            "required": ["error"],
            "not": {"required": ["type"]},
            "properties": {
                "error": text,
                "success": {"const": false},
                "detail": text,
            },
        },
        {
            "type": "object",
            "required": ["detail"],
            "not": {"anyOf": [{"required": ["error"]}, {"required": ["type"]}]},
            "properties": {"detail": text},
        },
    ]})
}
