use std::sync::{Arc, Mutex};

use axum::body::Body;
use http_body_util::BodyExt;
use opentelemetry::trace::{SpanKind, Status as SpanStatus, TracerProvider};
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use tonic::Status;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

use super::*;

/// Keeps what it is given.
#[derive(Clone, Debug, Default)]
struct Collector(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Collector {
    async fn export(&self, spans: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(spans);
        Ok(())
    }
}

fn request(method: &str, path: &str, kind: &str) -> Request {
    let request = http::Request::builder().method(method).uri(path);
    request.header(CONTENT_TYPE, kind).body(Body::empty()).unwrap()
}

fn attribute(span: &SpanData, name: &str) -> Option<String> {
    let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    found.map(|attribute| attribute.value.to_string())
}

#[tokio::test]
async fn spans_are_those_of_a_server_named_by_rpc_or_route_with_their_status() {
    const EVALUATE: &str = "flagstaff.v1.EvaluationService/EvaluateFlag";
    let collector = Collector::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(collector.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
    let _logs = tracing_subscriber::registry().with(layer).set_default();
    let telemetry = Telemetry::measuring(Some(provider)).unwrap();
    let grpc = "application/grpc";
    let refused = |status: Status| status.into_http::<Body>();
    let cases = [
        (format!("/{EVALUATE}"), grpc, refused(Status::not_found("no")), EVALUATE, "5", false),
        (format!("/{EVALUATE}"), grpc, refused(Status::internal("no")), EVALUATE, "13", true),
        ("/a.B/C".to_owned(), grpc, refused(Status::unimplemented("no")), "unknown", "12", true),
        ("/flags/".to_owned(), "application/json", answer(503), "POST /flags", "503", true),
        ("/nowhere".to_owned(), "application/json", answer(404), "POST unknown", "404", false),
    ];
    for (path, kind, response, name, code, is_error) in cases {
        let client = [127, 0, 0, 1].into();
        let request = request("POST", &path, kind);
        let response = telemetry.traced(client, request, async move |_| response).await;
        response.into_body().collect().await.unwrap();
        let span = collector.0.lock().unwrap().pop().expect("a span for each request");
        assert_eq!((span.name.as_ref(), &span.span_kind), (name, &SpanKind::Server), "{path}");
        let status = match kind == grpc {
            true => "rpc.grpc.status_code",
            false => "http.response.status_code",
        };
        assert_eq!(attribute(&span, status).as_deref(), Some(code), "{path}");
        assert_eq!(matches!(span.status, SpanStatus::Error { .. }), is_error, "{path}");
    }
}

fn answer(status: u16) -> Response {
    http::Response::builder().status(status).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_call_that_nobody_waits_for_counts_as_cancelled() {
    let telemetry = Telemetry::quiet().unwrap();
    let path = "/flagstaff.v1.EvaluationService/WatchFlags";
    let request = request("POST", path, "application/grpc");
    let stream =
        Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
    let answer = async move |_| Response::new(stream);
    drop(telemetry.traced([127, 0, 0, 1].into(), request, answer).await);
    let line = "method=\"flagstaff.v1.EvaluationService/WatchFlags\",status=\"CANCELLED\"} 1";
    assert!(telemetry.metrics_text().contains(line), "{}", telemetry.metrics_text());
}
