//! What real clients speak: paths of their own, the token in the body, errors
//! as their SDKs expect them (client-wires 4.4, evaluation 13 to 15).
//!
//! What bodies mean is decided in `sdk`; here they meet HTTP.

mod browser;
mod cors;
pub(super) mod definitions;
mod events;
mod flags;
mod query;

use axum::{
    Router,
    middleware::from_fn,
    response::{IntoResponse, Response},
    routing::{MethodRouter, any},
};
use http::{HeaderValue, StatusCode, header::ALLOW};

pub(super) use events::PATHS as EVENT_PATHS;

use super::Rest;

/// The client paths, each with and without the last slash. Browsers of any site may ask those
/// that need no secret.
pub(super) fn router(rest: &Rest) -> Router {
    let router = open().layer(from_fn(cors::open_to_all)).merge(evaluation());
    router.with_state(rest.clone()).merge(definitions::router(rest))
}

/// A layer would copy and box each of these requests, so they are opened to all by hand.
fn evaluation() -> Router<Rest> {
    let router = both(Router::new(), "/flags", any(flags::flags));
    both(router, "/decide", any(flags::decide))
}

fn open() -> Router<Rest> {
    let events = |router, path: &str| both(router, path, any(events::events));
    events::PATHS
        .into_iter()
        .fold(Router::new(), events)
        .route("/array/{token}/config", any(browser::json))
        .route("/array/{token}/config.js", any(browser::script))
}

fn both(router: Router<Rest>, path: &str, route: MethodRouter<Rest>) -> Router<Rest> {
    router.route(path, route.clone()).route(&format!("{path}/"), route)
}

/// The answer to `OPTIONS`.
fn options(allowed: &'static str) -> Response {
    (StatusCode::NO_CONTENT, [(ALLOW, HeaderValue::from_static(allowed))]).into_response()
}
