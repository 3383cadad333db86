//! One port, two dialects: a request on a REST path is answered by REST; any
//! other goes by its content type to gRPC, to gRPC-web, or to the REST 404.
//! Who sent it is found out on the way.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{Router, body::Body, extract::Request, response::Response};
use http::{HeaderMap, header::CONTENT_TYPE};
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::{
    Layer, Service, ServiceExt,
    util::{BoxCloneSyncService, MapResponseLayer},
};

use super::headers;
use crate::{
    auth::{Authenticator, Identity},
    grpc::{Call, Calls, DeadlineLayer, OverWeb, blame_caller},
    rest::{self, Wire, Wires},
};

type Boxed = BoxCloneSyncService<Request, Response, Infallible>;

/// Both dialects.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    authenticator: Authenticator,
    /// REST's paths; others go by their content type.
    all: Router,
    grpc: Router,
    /// The calls that programs make all day, which no router need find.
    calls: Calls,
    /// The same over REST.
    wires: Wires,
}

impl Dispatch {
    pub(super) fn new(
        authenticator: Authenticator,
        (wires, rest): (Wires, Router),
        routes: Routes,
        calls: Calls,
    ) -> Self {
        let blamed = MapResponseLayer::new(blame_caller::<Body>);
        let router = routes.prepare().into_axum_router().layer(blamed);
        let grpc = DeadlineLayer.layer(GrpcBodies(router.clone()));
        // The gRPC-web layer answers 400 to plain HTTP, so it wraps these calls alone.
        let web = GrpcWebLayer::new().layer(DeadlineLayer.layer(GrpcBodies(router.clone())));
        let fallback = Dialects { grpc: boxed(grpc), web: boxed(web) };
        let all = rest.fallback_service(fallback);
        Self { authenticator, all, grpc: router, calls, wires }
    }

    pub(super) async fn answer(&self, request: Request) -> Response {
        let wire = Wire::of(request.uri().path());
        let identity = match wire {
            // What comes with these is the public token in the body.
            Some(Wire::Flags | Wire::Decide) => Identity::default(),
            _ => self.authenticator.identify(request.headers(), request.uri()).await,
        };
        if let Some(wire) = wire {
            let mut response = self.wires.answer(wire, identity, request).await;
            headers::forbid_sniffing(response.headers_mut());
            return response;
        }
        let is_plain = is_plain_call(&request);
        if let Some(call) = Call::of(request.uri().path()).filter(|_| is_plain) {
            let request = request.map(tonic::body::Body::new);
            let answer = self.calls.answer(call, identity, request).await;
            return blame_caller(answer.map(Body::new));
        }
        let router = if is_plain { &self.grpc } else { &self.all };
        // Apart, so that the calls above do not take room along for it.
        Box::pin(routed(router.clone(), identity, request)).await
    }
}

async fn routed(router: Router, identity: Identity, mut request: Request) -> Response {
    request.extensions_mut().insert(identity);
    let mut response = router.oneshot(request).await.unwrap_or_else(|never| match never {});
    headers::forbid_sniffing(response.headers_mut());
    headers::forbid_storing(response.headers_mut());
    response
}

/// Whether nothing but gRPC's own router can answer: the usual call, without a deadline to keep.
/// Paths of gRPC name a package, with dots; no path of REST begins so.
fn is_plain_call(request: &Request) -> bool {
    let service = request.uri().path().split('/').nth(1).unwrap_or_default();
    service.contains('.')
        && dialect(request.headers()) == Dialect::Grpc
        && !request.headers().contains_key("grpc-timeout")
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
#[derive(Clone, Debug)]
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
