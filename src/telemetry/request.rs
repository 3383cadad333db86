//! The span around each request, joined to the caller's trace, and its numbers.

use std::{net::IpAddr, time::Instant};

use axum::{extract::Request, response::Response};
use http::{HeaderMap, header::CONTENT_TYPE};
use opentelemetry::propagation::Extractor;
use tracing::{Instrument, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{Telemetry, answered::Dialect};

/// What programs ask of the service all day begins with one of these.
const DELIVERY: [&str; 3] = ["/flagstaff.v1.EvaluationService/", "/flags", "/decide"];

impl Telemetry {
    /// Traces and counts one request of a client while `answer` answers it. The query is left
    /// out: it may hold a credential.
    pub(crate) async fn traced<F>(
        &self,
        client: IpAddr,
        request: Request,
        answer: impl FnOnce(Request) -> F,
    ) -> Response
    where
        F: Future<Output = Response>,
    {
        let started = Instant::now();
        let dialect = dialect(request.headers());
        let span = self.span(&request);
        if !span.is_disabled() {
            span.record("client.address", tracing::field::display(client));
        }
        let response = answer(request).instrument(span.clone()).await;
        let status = response.status().as_u16();
        span.record("http.status", status);
        let elapsed = started.elapsed();
        let elapsed_us = elapsed.as_micros();
        tracing::debug!(parent: &span, dialect = dialect.name(), elapsed_us, "request answered");
        self.answered.note(dialect, status, elapsed.as_secs_f64());
        response
    }

    /// The span around a request, joined to the caller's trace where there are traces.
    ///
    /// Without them a span only tells log lines where they belong, and evaluation writes none:
    /// its span would be a good part of what it costs.
    fn span(&self, request: &Request) -> Span {
        macro_rules! span {
            ($level:ident) => {
                tracing::$level!(
                    "request",
                    http.method = %request.method(),
                    url.path = request.uri().path(),
                    client.address = Empty,
                    http.status = Empty,
                )
            };
        }
        let is_delivery = DELIVERY.iter().any(|path| request.uri().path().starts_with(path));
        if is_delivery && self.tracers.is_none() {
            return span!(debug_span);
        }
        let span = span!(info_span);
        if self.tracers.is_some() {
            let parent = opentelemetry::global::get_text_map_propagator(|propagator| {
                propagator.extract(&Headers(request.headers()))
            });
            // Only a span that is not recorded refuses a parent, and then there is nothing to join.
            let _ = span.set_parent(parent);
        }
        span
    }
}

fn dialect(headers: &HeaderMap) -> Dialect {
    let grpc = |kind: &http::HeaderValue| kind.as_bytes().starts_with(b"application/grpc");
    if headers.get(CONTENT_TYPE).is_some_and(grpc) { Dialect::Grpc } else { Dialect::Rest }
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
