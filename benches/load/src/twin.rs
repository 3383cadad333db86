//! The bare servers that the service is held against: each reads the same
//! request and answers the same number of bytes, and does nothing else.

use std::{convert::Infallible, hint::black_box, net::SocketAddr};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    routing::{get, post},
    serve::ListenerExt,
};
use bytes::Bytes;
use flagstaff::wire::v1::{EvaluateFlagRequest, EvaluateFlagsRequest};
use futures::future::BoxFuture;
use http::{Response, StatusCode, header};
use serde_json::Value;
use tokio::net::TcpListener;
use tonic::{
    Status,
    body::Body as GrpcBody,
    server::UnaryService,
    transport::{Server, server::TcpIncoming},
};
use tonic_prost::ProstCodec;

/// An answer of one field, which is copied to the wire and nowhere else.
#[derive(Clone, PartialEq, prost::Message)]
struct Fixed {
    #[prost(bytes = "bytes", tag = "1")]
    content: Bytes,
}

/// Serves until the process is ended: `KIND ADDRESS FILE`.
pub(crate) async fn run(arguments: &[String]) {
    let [kind, address, answer] = arguments else { panic!("KIND ADDRESS FILE") };
    let address: SocketAddr = address.parse().expect("an address");
    let listener = TcpListener::bind(address).await.expect("a port");
    let answer = Bytes::from(std::fs::read(answer).expect("an answer"));
    match kind.as_str() {
        "grpc" => grpc(listener, answer).await,
        _ => rest(listener, answer).await,
    }
}

async fn rest(listener: TcpListener, answer: Bytes) {
    let router = Router::new()
        .route("/flags", post(flags))
        .route("/flags/definitions", get(not_modified))
        .with_state(answer);
    let listener = listener.tap_io(|stream| {
        stream.set_nodelay(true).expect("an option of every socket");
    });
    axum::serve(listener, router).await.expect("served");
}

async fn flags(
    State(answer): State<Bytes>,
    Json(request): Json<Value>,
) -> ([(header::HeaderName, &'static str); 1], Bytes) {
    black_box(request);
    ([(header::CONTENT_TYPE, "application/json")], answer)
}

async fn not_modified() -> Response<Body> {
    let answer = Response::builder().status(StatusCode::NOT_MODIFIED);
    let answer = answer.header(header::CACHE_CONTROL, "private, must-revalidate");
    let answer = answer.header(header::ETAG, crate::rows::ETAG);
    answer.body(Body::empty()).expect("an answer")
}

async fn grpc(listener: TcpListener, answer: Bytes) {
    // Two bytes or three go to the field's tag and length.
    let overhead = if answer.len() < 130 { 2 } else { 3 };
    let service = Bare(Fixed { content: answer.slice(overhead.min(answer.len())..) });
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder().add_service(service).serve_with_incoming(incoming).await.expect("served");
}

#[derive(Clone)]
struct Bare(Fixed);

impl tonic::server::NamedService for Bare {
    const NAME: &'static str = "flagstaff.v1.EvaluationService";
}

impl tonic::codegen::Service<http::Request<GrpcBody>> for Bare {
    type Response = Response<GrpcBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(
        &mut self,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), Infallible>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<GrpcBody>) -> Self::Future {
        let answer = self.clone();
        match request.uri().path().ends_with("/EvaluateFlag") {
            true => Box::pin(answered::<EvaluateFlagRequest>(answer, request)),
            false => Box::pin(answered::<EvaluateFlagsRequest>(answer, request)),
        }
    }
}

async fn answered<R>(
    answer: Bare,
    request: http::Request<GrpcBody>,
) -> Result<Response<GrpcBody>, Infallible>
where
    R: prost::Message + Default + 'static,
    Bare: UnaryService<R, Response = Fixed>,
{
    let codec = ProstCodec::<Fixed, R>::default();
    Ok(tonic::server::Grpc::new(codec).unary(answer, request).await)
}

impl<R: Send + 'static> UnaryService<R> for Bare {
    type Response = Fixed;
    type Future = std::future::Ready<Result<tonic::Response<Fixed>, Status>>;

    fn call(&mut self, request: tonic::Request<R>) -> Self::Future {
        black_box(request);
        std::future::ready(Ok(tonic::Response::new(self.0.clone())))
    }
}
