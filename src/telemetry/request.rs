//! The span around each request, joined to the caller's trace, and its numbers.

use std::{net::IpAddr, time::Instant};

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, header::CONTENT_TYPE};
use opentelemetry::propagation::Extractor;
use tracing::{Instrument, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::Telemetry;

/// The address that a request comes from, as far as it can be believed.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddress(pub IpAddr);

/// Traces and counts one request. The query is left out: it may hold a credential.
pub async fn traced(State(telemetry): State<Telemetry>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let dialect = dialect(request.headers());
    let span = tracing::info_span!(
        "request",
        http.method = %request.method(),
        url.path = request.uri().path(),
        client.address = Empty,
        http.status = Empty,
    );
    if let Some(ClientAddress(client)) = request.extensions().get() {
        span.record("client.address", tracing::field::display(client));
    }
    if telemetry.tracers.is_some() {
        let parent = opentelemetry::global::get_text_map_propagator(|propagator| {
            propagator.extract(&Headers(request.headers()))
        });
        // Only a span that is not recorded refuses a parent, and then there is nothing to join.
        let _ = span.set_parent(parent);
    }
    let response = next.run(request).instrument(span.clone()).await;
    let status = response.status().as_u16();
    span.record("http.status", status);
    let elapsed = started.elapsed();
    tracing::debug!(parent: &span, dialect, elapsed_us = elapsed.as_micros(), "request answered");
    telemetry.record_request(dialect, status, elapsed.as_secs_f64());
    response
}

fn dialect(headers: &HeaderMap) -> &'static str {
    let grpc = |kind: &http::HeaderValue| kind.as_bytes().starts_with(b"application/grpc");
    if headers.get(CONTENT_TYPE).is_some_and(grpc) { "grpc" } else { "rest" }
}

/// Headers as the propagator reads them.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
