//! One port, two dialects: a request on a REST path is answered by REST; any
//! other goes by its content type to gRPC, to gRPC-web, or to the REST 404.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::from_fn_with_state,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, header::CONTENT_TYPE};
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::{Layer, Service, ServiceExt, util::BoxCloneSyncService};
use tower_http::catch_panic::CatchPanicLayer;

use crate::{
    auth::{Authenticator, authenticate},
    grpc::{DeadlineLayer, OverWeb},
    model::error::Error,
    rest,
    telemetry::{Telemetry, traced},
};

type Boxed = BoxCloneSyncService<Request, Response, Infallible>;

/// The whole service as one router.
pub(super) fn app(
    rest: Router,
    routes: Routes,
    authenticator: Authenticator,
    telemetry: &Telemetry,
) -> Router {
    let router = routes.prepare().into_axum_router();
    let grpc = DeadlineLayer.layer(GrpcBodies(router.clone()));
    // The gRPC-web layer answers 400 to plain HTTP, so it wraps these calls alone.
    let web = GrpcWebLayer::new().layer(DeadlineLayer.layer(GrpcBodies(router)));
    let fallback = Dialects { grpc: boxed(grpc), web: boxed(web) };
    rest.fallback_service(fallback)
        .layer(CatchPanicLayer::custom(|_| panicked()))
        .layer(from_fn_with_state(authenticator, authenticate))
        .layer(from_fn_with_state(telemetry.clone(), traced))
}

fn panicked() -> Response {
    Error::internal("a handler panicked").into_response()
}

fn boxed<S>(service: S) -> Boxed
where
    S: Service<Request, Response = Response<tonic::body::Body>, Error = Infallible>
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    BoxCloneSyncService::new(service.map_response(|response| response.map(Body::new)))
}

/// gRPC's router, with its answers' bodies as tonic's layers want them.
#[derive(Clone)]
struct GrpcBodies(Router);

impl<B> Service<http::Request<B>> for GrpcBodies
where
    B: http_body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<axum::BoxError>,
{
    type Response = Response<tonic::body::Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let answer = self.0.clone().oneshot(request.map(Body::new));
        Box::pin(async move { Ok(answer.await?.map(tonic::body::Body::new)) })
    }
}

/// Answers what no REST path did.
#[derive(Clone)]
struct Dialects {
    grpc: Boxed,
    web: Boxed,
}

impl Service<Request> for Dialects {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        match dialect(request.headers()) {
            Dialect::Grpc => Box::pin(self.grpc.clone().oneshot(request)),
            Dialect::Web => {
                request.extensions_mut().insert(OverWeb);
                Box::pin(self.web.clone().oneshot(request))
            }
            Dialect::Neither => Box::pin(async { Ok(rest::not_found().await) }),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Dialect {
    Grpc,
    Web,
    Neither,
}

fn dialect(headers: &HeaderMap) -> Dialect {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("application/grpc-web") {
        Dialect::Web
    } else if kind.starts_with("application/grpc") {
        Dialect::Grpc
    } else {
        Dialect::Neither
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_type_tells_the_dialect() {
        let of = |kind: &'static str| {
            dialect(&HeaderMap::from_iter([(CONTENT_TYPE, http::HeaderValue::from_static(kind))]))
        };
        assert_eq!(of("application/grpc"), Dialect::Grpc);
        assert_eq!(of("application/grpc+proto"), Dialect::Grpc);
        assert_eq!(of("application/grpc-web-text"), Dialect::Web);
        assert_eq!(of("application/json"), Dialect::Neither);
        assert_eq!(dialect(&HeaderMap::new()), Dialect::Neither);
    }
}
