//! The span around each request, joined to the caller's trace, and its numbers.

use std::{net::IpAddr, time::Instant};

use axum::{
    extract::{MatchedPath, Request},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, header::CONTENT_TYPE};
use opentelemetry::{propagation::Extractor, trace::TraceContextExt};
use tracing::{Instrument, Span, field::Empty};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use super::{
    Telemetry,
    answered::{Dialect, UNKNOWN, rest_method},
    grpc_status::OpenCall,
    request_id,
};

/// What programs ask of the service all day: the RPCs that begin so, and these routes, which are
/// answered before any router could tell them.
const DELIVERY: &str = "/flagstaff.v1.EvaluationService/";
const ROUTES: [&str; 3] = ["/flags", "/decide", "/flags/definitions"];

impl Telemetry {
    /// Traces and counts one request of a client while `answer` answers it. The query is left
    /// out: it may hold a credential.
    pub(crate) async fn traced<F>(
        &self,
        client: IpAddr,
        mut request: Request,
        answer: impl FnOnce(Request) -> F,
    ) -> Response
    where
        F: Future<Output = Response>,
    {
        let started = Instant::now();
        let dialect = dialect(request.headers());
        let id = request_id::ensure(request.headers_mut());
        let span = self.span(&request, &id);
        if !span.is_disabled() {
            span.record("client.address", tracing::field::display(client));
        }
        let seen = match dialect {
            Dialect::Grpc => Seen::Grpc(self.call(&request, &span)),
            Dialect::Rest => Seen::Rest(request.method().clone(), route(request.uri().path())),
        };
        let mut response = answer(request).instrument(span.clone()).await;
        response.headers_mut().insert(request_id::NAME, id);
        let elapsed = started.elapsed();
        self.answered.time(dialect, elapsed.as_secs_f64());
        let response = match seen {
            Seen::Grpc(call) => call.end_with(response),
            Seen::Rest(verb, route) => {
                self.count(&verb, route, &response, &span);
                response
            }
        };
        let elapsed_us = elapsed.as_micros();
        tracing::debug!(parent: &span, dialect = dialect.name(), elapsed_us, "request answered");
        response
    }

    /// Begins a call of gRPC.
    fn call(&self, request: &Request, span: &Span) -> OpenCall {
        let counters = self.answered.rpc(request.uri().path());
        if self.tracers.is_some() {
            let (service, method) = counters.method.split_once('/').unwrap_or(("", UNKNOWN));
            span.record("otel.name", counters.method.as_str());
            span.record("rpc.system", "grpc");
            span.record("rpc.service", service);
            span.record("rpc.method", method);
        }
        OpenCall::new(counters, span)
    }

    /// Counts an answer of REST.
    fn count(&self, verb: &Method, route: Option<&str>, response: &Response, span: &Span) {
        let matched = response.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let route = route.or(matched.map(|path| path.trim_end_matches('/'))).unwrap_or(UNKNOWN);
        let status = response.status();
        self.answered.count_rest(verb, route, status.as_u16());
        if span.is_disabled() {
            return;
        }
        span.record("http.response.status_code", status.as_u16());
        if self.tracers.is_some() {
            // The span has begun under another name: the route is not known before the answer.
            span.context().span().update_name(rest_method(verb, route));
            span.record("http.route", route);
            if status.is_server_error() {
                span.record("otel.status_code", "ERROR");
            }
        }
    }

    /// The span around a request, joined to the caller's trace where there are traces.
    ///
    /// Without them a span only tells log lines where they belong, and evaluation writes none:
    /// its span would be a good part of what it costs.
    fn span(&self, request: &Request, id: &HeaderValue) -> Span {
        macro_rules! span {
            ($level:ident) => {
                tracing::$level!(
                    "request",
                    http.request.method = %request.method(),
                    url.path = request.uri().path(),
                    request.id = id.to_str().unwrap_or_default(),
                    client.address = Empty,
                    http.route = Empty,
                    http.response.status_code = Empty,
                    rpc.system = Empty,
                    rpc.service = Empty,
                    rpc.method = Empty,
                    rpc.grpc.status_code = Empty,
                    otel.kind = Empty,
                    otel.name = Empty,
                    otel.status_code = Empty,
                )
            };
        }
        let path = request.uri().path();
        let is_delivery = path.starts_with(DELIVERY) || route(path).is_some();
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
            span.record("otel.kind", "server");
        }
        span
    }
}

/// A request on its way, as it is counted once it is answered.
enum Seen {
    Grpc(OpenCall),
    Rest(Method, Option<&'static str>),
}

fn dialect(headers: &HeaderMap) -> Dialect {
    let grpc = |kind: &HeaderValue| kind.as_bytes().starts_with(b"application/grpc");
    if headers.get(CONTENT_TYPE).is_some_and(grpc) { Dialect::Grpc } else { Dialect::Rest }
}

fn route(path: &str) -> Option<&'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    ROUTES.into_iter().find(|route| *route == path)
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

#[cfg(test)]
mod tests;
