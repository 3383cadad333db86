//! The REST edge: the documented paths over the same use-cases that gRPC calls.
//!
//! The management paths are not written here: they are read from the
//! `google.api.http` options of the contract (`paths`), and each is joined to
//! the handler of its RPC (`handlers`). A handler decodes, calls, encodes.
//! What real clients speak beside them is in `wires`.

mod activity;
mod body;
mod bulk;
mod call;
mod cohorts;
mod cors;
mod dashboard_page;
mod dashboards;
mod error;
mod feature_flags;
mod group_types;
mod handlers;
mod links;
mod openapi;
mod pages;
mod paths;
mod persons;
mod projects;
mod reasons;
mod representation;
mod test_evaluation;
mod versions;
mod wires;

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{MethodFilter, MethodRouter, get, on, options},
};
use http::{HeaderValue, Method, StatusCode, header::ALLOW};

pub use cors::PageRequest;
pub use links::{Forwarded, is_host};
pub use paths::{Binding, bindings};
pub use wires::{Wire, Wires};

use crate::{
    limits::BodyLimits,
    model::error::{Error, Result},
    service::Services,
};

/// The path of one flag, whose DELETE the document refuses.
const FLAG: &str = "/api/projects/{project_id}/feature_flags/{id}";

/// Its answer is a feed, kept as bytes with an entity tag, rather than a document.
const LOCAL_EVALUATION: &str = "flagstaff.v1.FeatureFlagService.GetLocalEvaluation";

/// They take 10,000 ids of up to 400 characters in one body.
const MEMBERS: [&str; 2] = [
    "flagstaff.v1.DirectoryService.AddCohortMembers",
    "flagstaff.v1.DirectoryService.RemoveCohortMembers",
];

/// Bounds on bodies, and how links are spelled.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The largest body of a request, in bytes, as sent and as unpacked.
    pub body_bytes: usize,
    /// The largest body of ingestion and of cohort members, in bytes, as sent and as unpacked.
    pub ingestion_bytes: usize,
    /// What all bodies in flight may take.
    pub bodies: BodyLimits,
    /// Where clients reach the service; `None` is the request's own host.
    pub public_url: Option<String>,
    /// How that host is reached: `http`, or `https` where the port speaks TLS.
    pub scheme: &'static str,
}

impl Settings {
    /// The largest body of an RPC's path, in bytes.
    fn body_limit(&self, rpc: &str) -> usize {
        if MEMBERS.contains(&rpc) { self.ingestion_bytes } else { self.body_bytes }
    }
}

/// What handlers stand on.
#[derive(Clone, Debug)]
struct Rest {
    services: Services,
    settings: Arc<Settings>,
}

/// Every REST path: the [`Wire`]s, and a router of the others, with the documented answers to
/// unknown verbs.
///
/// # Panics
///
/// When two RPCs claim one path, which the tests would have found.
pub fn edge(services: Services, settings: Settings) -> (Wires, Router) {
    let rest = Rest { services, settings: Arc::new(settings) };
    let described =
        get(openapi::get).options(async || allow(HeaderValue::from_static("GET, OPTIONS, HEAD")));
    let described = Router::new().route("/openapi.json", described);
    let router = management(&rest).merge(wires::router(&rest)).merge(described);
    (Wires::new(rest), router.method_not_allowed_fallback(method_not_allowed))
}

/// One route for each binding of the contract, with and without the last slash.
fn management(rest: &Rest) -> Router {
    let (feeds, documents): (Vec<_>, Vec<_>) =
        bindings().into_iter().partition(|binding| binding.rpc == LOCAL_EVALUATION);
    let routes = documents.into_iter().map(|b| {
        let handler = (handlers::find(&b.rpc), rest.settings.body_limit(&b.rpc));
        (b.method, b.path, handler)
    });
    let refused = (handlers::DELETE_REFUSED, rest.settings.body_bytes);
    let refused = (Method::DELETE, FLAG.to_owned(), refused);
    let router = routes.chain([refused]).fold(Router::new(), |router, (method, path, handler)| {
        let rest = rest.clone();
        let route = move |request: Request| answer(rest.clone(), handler, request);
        with_both(router, &path, on(verb(method), route))
    });
    let router = feeds.into_iter().fold(router, |router, Binding { method, path, .. }| {
        let rest = rest.clone();
        let route = move |request| wires::definitions::of_project(rest.clone(), request);
        with_both(router, &path, on(verb(method), route))
    });
    allowed().into_iter().fold(router, |router, (path, methods)| {
        with_both(router, &path, options(async move || allow(methods)))
    })
}

/// What `Allow` says of each management path, with the verbs that HTTP adds by itself.
fn allowed() -> BTreeMap<String, HeaderValue> {
    let mut methods: BTreeMap<String, Vec<Method>> = BTreeMap::new();
    for Binding { method, path, .. } in bindings() {
        let of_path = methods.entry(path).or_default();
        if method == Method::GET {
            of_path.push(Method::HEAD);
        }
        of_path.push(method);
    }
    let listed = |mut methods: Vec<Method>| {
        methods.push(Method::OPTIONS);
        methods.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        let names: Vec<_> = methods.iter().map(Method::as_str).collect();
        HeaderValue::try_from(names.join(", ")).expect("names of verbs are visible ASCII")
    };
    methods.into_iter().map(|(path, methods)| (path, listed(methods))).collect()
}

/// The answer to `OPTIONS`: the verbs that a path takes.
pub fn allow(methods: HeaderValue) -> Response {
    (StatusCode::OK, [(ALLOW, methods)]).into_response()
}

fn verb(method: Method) -> MethodFilter {
    MethodFilter::try_from(method).expect("a verb that HTTP knows")
}

/// With the last slash and without.
fn with_both(router: Router, path: &str, route: MethodRouter) -> Router {
    router.route(path, route.clone()).route(&format!("{path}/"), route)
}

async fn answer(
    rest: Rest,
    (handler, body_limit): (handlers::Handler, usize),
    request: Request,
) -> Response {
    match call::Call::read(&rest, body_limit, request).await {
        Ok(call) => error::respond(handler(rest.services.clone(), call).await),
        Err(error) => error.into_response(),
    }
}

async fn method_not_allowed(request: Request) -> Response {
    Error::method_not_allowed(request.method()).into_response()
}

/// A refusal before anything was done for a request. Pages may read it where they may read the
/// answer.
pub fn refused(request: &Request, error: Error) -> Response {
    let mut response = error.into_response();
    wires::open_to_page(request, &mut response);
    response
}

/// The answer to a path that nobody serves. The body is that of an absent object, so the words that
/// tell it from one travel beside it.
pub fn unknown_path() -> Response {
    let hint = "This path is unknown. GET /openapi.json lists all REST paths.";
    Error::not_found().with_hint(hint).into_response()
}

/// The answer to a request on the path of an RPC that is neither gRPC nor gRPC-web.
pub fn not_grpc() -> Response {
    let hint = "This is the path of an RPC. Call it with the content type application/grpc or \
                application/grpc-web; GET /openapi.json lists all REST paths.";
    Error::not_found().with_hint(hint).into_response()
}

/// The whole number in a path; what is none names nothing (management-api 1.1).
fn id(text: &str) -> Result<i64> {
    match text.bytes().all(|b| b.is_ascii_digit()) {
        true => text.parse().map_err(|_| Error::not_found()),
        false => Err(Error::not_found()),
    }
}
