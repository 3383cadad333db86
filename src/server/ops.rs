//! Probes and metrics, on a port of their own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde_json::json;

use crate::{store::Reachability, telemetry::Telemetry};

/// Whether traffic should come here.
#[derive(Clone, Debug)]
pub(super) struct Readiness {
    database: Reachability,
    draining: Arc<AtomicBool>,
}

impl Readiness {
    pub(super) fn new(database: Reachability) -> Self {
        Self { database, draining: Arc::default() }
    }

    /// From now on traffic should go elsewhere.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }
}

pub(super) fn router(readiness: Readiness, telemetry: Telemetry) -> Router {
    let ready = Router::new().route("/readyz", get(ready)).with_state(readiness.clone());
    let metrics = move || metrics(telemetry.clone(), readiness.clone());
    ready.route("/livez", get(|| async { "ok" })).route("/metrics", get(metrics))
}

/// A replica without its database still answers from memory, so it stays ready and says so.
async fn ready(State(readiness): State<Readiness>) -> Response {
    let stale = readiness.database.is_lost();
    match readiness.draining.load(Ordering::Relaxed) {
        true => {
            let body = json!({"status": "draining", "stale": stale});
            (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
        }
        false => Json(json!({"status": "ready", "stale": stale})).into_response(),
    }
}

async fn metrics(telemetry: Telemetry, readiness: Readiness) -> Response {
    telemetry.record_stale(readiness.database.is_lost());
    ([(http::header::CONTENT_TYPE, "text/plain; version=0.0.4")], telemetry.metrics_text())
        .into_response()
}
