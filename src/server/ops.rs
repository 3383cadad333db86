//! Probes and metrics, on a port of their own: from before the database is opened until after the
//! last request is answered.

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde_json::json;

use super::readiness::{Readiness, Status};
use crate::telemetry::Telemetry;

pub(super) fn router(readiness: Readiness, telemetry: Telemetry) -> Router {
    let ready = Router::new().route("/readyz", get(ready)).with_state(readiness.clone());
    let metrics = move || metrics(telemetry.clone(), readiness.clone());
    ready.route("/livez", get(|| async { "ok" })).route("/metrics", get(metrics))
}

/// A replica without its database still answers from memory, so it stays ready and says so, until
/// its memory is older than allowed.
async fn ready(State(readiness): State<Readiness>) -> Response {
    let report = readiness.report();
    let mut body = json!({
        "status": report.status.as_str(),
        "stale": report.is_stale,
        "writable": report.is_writable,
        "staleness_seconds": report.staleness.as_secs_f64(),
    });
    if !report.stale_projects.is_empty() {
        body["stale_projects"] = report.stale_projects.into();
    }
    match report.status {
        Status::Ready => Json(body).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response(),
    }
}

async fn metrics(telemetry: Telemetry, readiness: Readiness) -> Response {
    let report = readiness.report();
    telemetry.record_stale(report.is_stale, report.staleness);
    telemetry.record_writable(report.is_writable);
    telemetry.record_stale_projects(report.stale_projects.len());
    ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], telemetry.metrics_text())
        .into_response()
}
