//! One port, two dialects: a request on a REST path is answered by REST; any
//! other goes by its content type to gRPC, to gRPC-web, or to the REST 404.
//! Who sent it is found out on the way.

use std::{
    convert::Infallible,
    net::IpAddr,
    pin::Pin,
    task::{Context, Poll},
};

use axum::{
    Router,
    body::Body,
    extract::{MatchedPath, Request},
    middleware::{Next, from_fn},
    response::Response,
};
use http::{HeaderMap, HeaderValue, Method, Uri, header::CONTENT_TYPE};
use tonic::{Status, service::Routes};
use tonic_web::GrpcWebLayer;
use tower::{
    Layer, Service, ServiceExt,
    util::{BoxCloneSyncService, MapResponseLayer},
};

use super::{addresses::AddressLimits, headers, overload::LoadShedder};
use crate::{
    auth::{Authenticator, Identity},
    grpc::{self, Call, Calls, DeadlineLayer, Gate, OverWeb, blame_caller, holding},
    model::error::Error,
    rest::{self, PageRequest, Wire, Wires},
};

/// What the path of an RPC takes.
const RPC_METHODS: HeaderValue = HeaderValue::from_static("POST, OPTIONS");

type Boxed = BoxCloneSyncService<Request, Response, Infallible>;

/// Both dialects.
#[derive(Clone, Debug)]
pub(super) struct Dispatch {
    authenticator: Authenticator,
    /// REST's paths; others go by their content type.
    all: Router,
    grpc: GrpcBodies,
    /// What reads the messages of all gRPC calls.
    gate: Gate,
    /// The calls that programs make all day, which no router need find.
    calls: Calls,
    /// The same over REST.
    wires: Wires,
    addresses: AddressLimits,
    shedder: LoadShedder,
}

impl Dispatch {
    pub(super) fn new(
        authenticator: Authenticator,
        (addresses, shedder): (AddressLimits, LoadShedder),
        (wires, rest): (Wires, Router),
        routes: Routes,
        (calls, gate): (Calls, Gate),
    ) -> Self {
        let blamed = MapResponseLayer::new(blame_caller::<Body>);
        let router = routes.prepare().into_axum_router().layer(blamed);
        let router = GrpcBodies { router, gate: gate.clone() };
        let grpc = DeadlineLayer.layer(router.clone());
        // The gRPC-web layer answers 400 to plain HTTP, so it wraps these calls alone.
        let web = GrpcWebLayer::new().layer(DeadlineLayer.layer(router.clone()));
        let fallback = Dialects { grpc: boxed(grpc), web: boxed(web), gate: gate.clone() };
        let all = rest.layer(from_fn(tell_route)).fallback_service(fallback);
        Self { authenticator, all, grpc: router, gate, calls, wires, addresses, shedder }
    }

    pub(super) async fn answer(&self, client: IpAddr, request: Request) -> Response {
        let admitted = self.addresses.count_request(client).and_then(|()| self.shedder.admit());
        if let Err(error) = admitted {
            return refused(&request, error);
        }
        let wire = Wire::of(request.uri().path());
        let identity = match wire {
            // What comes with these is the public token in the body.
            Some(Wire::Flags | Wire::Decide) => Identity::default(),
            _ => self.identify(client, request.headers(), request.uri()).await,
        };
        if let Some(wire) = wire {
            let mut response = self.wires.answer(wire, identity, request).await;
            headers::forbid_sniffing(response.headers_mut());
            return response;
        }
        let is_plain = is_plain_call(&request);
        if let Some(call) = Call::of(request.uri().path()).filter(|_| is_plain) {
            let (request, held) = match self.gate.admit(&identity, request).await {
                Ok(admitted) => admitted,
                Err(status) => return status.into_http(),
            };
            let answer = self.calls.answer(call, identity, request).await;
            return blame_caller(holding(answer, held).map(Body::new));
        }
        // Apart, so that the calls above do not take room along for it.
        match is_plain {
            true => Box::pin(routed(self.grpc.clone(), identity, request)).await.map(Body::new),
            false => {
                let page = page_of_rpc(&request);
                let mut response = Box::pin(routed(self.all.clone(), identity, request)).await;
                if let Some(page) = page {
                    page.open_rpc(&mut response);
                }
                response
            }
        }
    }

    /// Who is behind a request. An address that sent too many credentials that do not hold may use
    /// those alone that are known to hold.
    async fn identify(&self, client: IpAddr, headers: &HeaderMap, uri: &Uri) -> Identity {
        if let Err(error) = self.addresses.check_failures(client)
            && !self.authenticator.knows(headers, uri)
        {
            return Identity::refused(error);
        }
        let identity = self.authenticator.identify(headers, uri).await;
        if identity.is_invalid() {
            self.addresses.count_failure(client);
        }
        identity
    }
}

/// The request as a page makes it, where pages may make it over gRPC-web.
fn page_of_rpc(request: &Request) -> Option<PageRequest> {
    let is_open =
        dialect(request.headers()) != Dialect::Grpc && grpc::is_client_rpc(request.uri().path());
    is_open.then(|| PageRequest::of(request))
}

/// A refusal in the dialect of the request, before anything was done for it.
fn refused(request: &Request, error: Error) -> Response {
    match dialect(request.headers()) {
        Dialect::Neither => rest::refused(request, error),
        Dialect::Grpc => Status::from(error).into_http(),
        Dialect::Web => {
            let mut response = Status::from(error).into_http::<Body>();
            if let Some(kind) = request.headers().get(CONTENT_TYPE) {
                response.headers_mut().insert(CONTENT_TYPE, kind.clone());
            }
            if let Some(page) = page_of_rpc(request) {
                page.open_rpc(&mut response);
            }
            response
        }
    }
}

async fn routed<S, B>(router: S, identity: Identity, mut request: Request) -> Response<B>
where
    S: Service<Request, Response = Response<B>, Error = Infallible>,
{
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

/// Leaves the route in the answer, by which the request is counted.
async fn tell_route(route: MatchedPath, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.extensions_mut().insert(route);
    response
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

/// gRPC's router behind the gate, with its answers' bodies as tonic's layers want them.
#[derive(Clone, Debug)]
struct GrpcBodies {
    router: Router,
    gate: Gate,
}

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
        let Self { router, gate } = self.clone();
        let request = request.map(Body::new);
        Box::pin(async move {
            let identity = request.extensions().get::<Identity>().cloned().unwrap_or_default();
            let (request, held) = match gate.admit(&identity, request).await {
                Ok(admitted) => admitted,
                Err(status) => return Ok(status.into_http()),
            };
            let answer = router.oneshot(request.map(Body::new)).await?;
            Ok(holding(answer.map(tonic::body::Body::new), held))
        })
    }
}

/// Answers what no REST path did.
#[derive(Clone, Debug)]
struct Dialects {
    grpc: Boxed,
    web: Boxed,
    /// Knows the paths of the RPCs.
    gate: Gate,
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
            Dialect::Neither => {
                let response = match (self.gate.knows(request.uri().path()), request.method()) {
                    (true, &Method::OPTIONS) => rest::allow(RPC_METHODS),
                    (true, _) => rest::not_grpc(),
                    (false, _) => rest::unknown_path(),
                };
                Box::pin(async { Ok(response) })
            }
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
            dialect(&HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]))
        };
        assert_eq!(of("application/grpc"), Dialect::Grpc);
        assert_eq!(of("application/grpc+proto"), Dialect::Grpc);
        assert_eq!(of("application/grpc-web-text"), Dialect::Web);
        assert_eq!(of("application/json"), Dialect::Neither);
        assert_eq!(dialect(&HeaderMap::new()), Dialect::Neither);
    }
}
