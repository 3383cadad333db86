//! What SDKs speak: in no contract, so told here by hand.

use serde_json::{Value, json};

use crate::{
    model::json::Object,
    rest::wires::{
        EVENT_PATHS,
        lists::{EARLY_ACCESS, SURVEYS},
    },
};

/// The client paths, with their verbs.
pub(in crate::rest) fn paths() -> Object {
    let mut paths = Object::from_iter([
        ("/flags/".to_owned(), json!({"post": flags("evaluateForSdk")})),
        ("/decide/".to_owned(), json!({"post": flags("decideForSdk")})),
        ("/flags/definitions/".to_owned(), json!({"get": definitions("getSdkDefinitions")})),
        (
            "/api/feature_flag/local_evaluation/".to_owned(),
            json!({"get": definitions("getLocalEvaluationForSdk")}),
        ),
        ("/array/{token}/config".to_owned(), json!({"get": config("application/json")})),
        ("/array/{token}/config.js".to_owned(), json!({"get": config("application/javascript")})),
        (
            format!("{EARLY_ACCESS}/"),
            json!({"get": list("listEarlyAccessFeatures", "earlyAccessFeatures")}),
        ),
        (format!("{SURVEYS}/"), json!({"get": list("listSurveys", "surveys")})),
    ]);
    for (at, path) in EVENT_PATHS.into_iter().enumerate() {
        paths.insert(format!("{path}/"), json!({"post": events(at)}));
    }
    paths
}

fn json_body(schema: &Value) -> Value {
    json!({"application/json": {"schema": schema}})
}

fn failure() -> Value {
    json!({"$ref": "#/components/responses/Error"})
}

/// The version of the answer's shape.
fn version() -> Value {
    let schema = json!({"type": "integer", "minimum": 1});
    let what = "The shape of the answer: 2 and above tell each flag with its reason.";
    json!({"name": "v", "in": "query", "description": what, "schema": schema})
}

fn flags(id: &str) -> Value {
    let text = json!({"type": "string"});
    let by_name = json!({"type": "object", "additionalProperties": {"type": "object"}});
    let body = json!({
        "type": "object",
        "properties": {
            "token": {"type": "string", "description": "The project's token (`phc_`); `api_key` counts too."},
            "distinct_id": text,
            "person_properties": {"type": "object"},
            "groups": {"type": "object", "additionalProperties": text},
            "group_properties": by_name,
            "$anon_distinct_id": text,
            "$device_id": text,
            "flag_keys_to_evaluate": {"type": "array", "items": text},
            "evaluation_contexts": {"type": "array", "items": text},
        },
    });
    let answer = json!({
        "type": "object",
        "properties": {
            "errorsWhileComputingFlags": {"type": "boolean"},
            "flags": by_name,
            "featureFlags": {"type": "object"},
            "featureFlagPayloads": {"type": "object"},
            "requestId": text,
            "evaluatedAt": {"type": "integer", "format": "int64"},
        },
    });
    json!({
        "operationId": id,
        "tags": ["SDKs"],
        "summary": "Evaluates a project's flags for somebody",
        "description": "The token in the body is the credential. Bodies may be packed by gzip or base64, or be forms.",
        "security": [],
        "parameters": [version()],
        "requestBody": {"required": true, "content": json_body(&body)},
        "responses": {
            "200": {"description": "The flags.", "content": json_body(&answer)},
            "default": failure(),
        },
    })
}

fn definitions(id: &str) -> Value {
    let query = |name: &str, what: &str| json!({"name": name, "in": "query", "description": what, "schema": {"type": "string"}});
    let answer = json!({
        "type": "object",
        "required": ["flags", "group_type_mapping", "cohorts"],
        "properties": {
            "flags": {"type": "array", "items": {"$ref": "#/components/schemas/FeatureFlagDefinition"}},
            "group_type_mapping": {"type": "object", "additionalProperties": {"type": "string"}},
            "cohorts": {"type": "object", "additionalProperties": {"type": "object"}},
        },
    });
    json!({
        "operationId": id,
        "tags": ["SDKs"],
        "summary": "What SDKs evaluate by themselves with",
        "description": "A personal API key with `feature_flag:read`, or the project's secret.",
        "parameters": [
            query("token", "The project, by its token, where the key opens several."),
            query("send_cohorts", "Whether cohorts come as such; any value but `false`."),
            {"name": "If-None-Match", "in": "header", "description": "The ETag of the copy at hand.",
                "schema": {"type": "string"}},
        ],
        "responses": {
            "200": {"description": "The definitions.", "content": json_body(&answer)},
            "304": {"description": "The copy at hand is current."},
            "default": failure(),
        },
    })
}

fn events(at: usize) -> Value {
    let event = json!({
        "type": "object",
        "properties": {
            "event": {"type": "string"},
            "distinct_id": {"type": "string"},
            "properties": {"type": "object"},
            "timestamp": {"type": "string", "format": "date-time"},
            "uuid": {"type": "string", "format": "uuid"},
        },
    });
    let body = json!({
        "description": "One event, a list of them, or a batch with the token (`api_key` or `token`) beside it.",
        "anyOf": [
            event,
            {"type": "array", "items": event},
            {"type": "object", "required": ["batch"], "properties": {
                "api_key": {"type": "string"},
                "batch": {"type": "array", "items": event},
            }},
        ],
    });
    json!({
        "operationId": format!("ingestEvents{at}"),
        "tags": ["SDKs"],
        "summary": "Takes events",
        "description": "The token in the body is the credential. A 2xx means that the events are committed.",
        "security": [],
        "requestBody": {"required": true, "content": json_body(&body)},
        "responses": {
            "200": {"description": "Committed, but for those under `rejected`.",
                "content": json_body(&json!({"type": "object"}))},
            "default": failure(),
        },
    })
}

fn config(kind: &str) -> Value {
    let token = json!({"name": "token", "in": "path", "required": true,
        "description": "The project's token.", "schema": {"type": "string"}});
    let is_script = kind.ends_with("javascript");
    let id = if is_script { "getBrowserConfigScript" } else { "getBrowserConfig" };
    let schema = if is_script { json!({"type": "string"}) } else { json!({"type": "object"}) };
    let content = json!({kind: {"schema": schema}});
    json!({
        "operationId": id,
        "tags": ["SDKs"],
        "summary": "What browsers are told of a project",
        "security": [],
        "parameters": [token],
        "responses": {"200": {"description": "The settings.", "content": content}, "default": failure()},
    })
}

fn list(id: &str, name: &str) -> Value {
    let token = json!({"name": "token", "in": "query", "required": true,
        "description": "The project's token.", "schema": {"type": "string"}});
    let answer = json!({
        "type": "object",
        "required": [name],
        "properties": {name: {"type": "array", "items": {"type": "object"}}},
    });
    json!({
        "operationId": id,
        "tags": ["SDKs"],
        "summary": "What browsers wait for: always an empty list",
        "security": [],
        "parameters": [token],
        "responses": {
            "200": {"description": "An empty list.", "content": json_body(&answer)},
            "default": failure(),
        },
    })
}
