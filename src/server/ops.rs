//! Probes and metrics, on a port and a thread of their own: from before the database is opened
//! until after the last request is answered, and however busy the service is.

use std::{io, thread, time::Duration};

use axum::{
    Json, Router,
    extract::State,
    response::{IntoResponse, Response},
    routing::get,
};
use http::StatusCode;
use serde_json::json;
use tokio::{net::TcpListener, runtime::Builder, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    accept,
    connections::ConnectionLimits,
    readiness::{Readiness, Status},
    silence::Timeouts,
};
use crate::telemetry::Telemetry;

/// How long probes that are being answered may take to end.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves probes and metrics on a thread and a runtime of their own, until `stop`.
///
/// # Errors
///
/// The operating system gives no thread, or takes no listener.
pub(super) fn serve(
    listener: TcpListener,
    app: Router,
    timeouts: Timeouts,
    stop: CancellationToken,
) -> io::Result<()> {
    let listener = listener.into_std()?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let serving = async move {
        let listener = match TcpListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "probes are not answered"),
        };
        let (limits, tasks) = (ConnectionLimits::ops(), TaskTracker::new());
        let listen = accept::Listen { tls: None, limits, timeouts, stop, tasks: tasks.clone() };
        accept::run(listener, app, listen).await;
        tasks.close();
        // Whoever keeps a connection open for nothing is cut off.
        let _ = timeout(CLOSE_TIMEOUT, tasks.wait()).await;
    };
    thread::Builder::new().name("ops".into()).spawn(move || runtime.block_on(serving))?;
    Ok(())
}

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
