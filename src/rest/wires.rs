//! What real clients speak: paths of their own, the token in the body, errors
//! as their SDKs expect them (client-wires 4.4, evaluation 13 to 15).
//!
//! What bodies mean is decided in `sdk`; here they meet HTTP.

mod browser;
pub(super) mod definitions;
mod events;
mod flags;
pub(super) mod lists;
mod query;
mod unpack;

use axum::{
    Router,
    extract::Request,
    middleware::from_fn,
    response::Response,
    routing::{MethodRouter, any},
};
use http::{HeaderValue, StatusCode};

pub(super) use events::PATHS as EVENT_PATHS;

use super::{Rest, allow, cors};
use crate::auth::Identity;

/// The client paths but for those of [`Wire`], each with and without the last slash. Browsers of
/// any site may ask those that need no secret.
pub(super) fn router(rest: &Rest) -> Router {
    let router = open().layer(from_fn(cors::open_to_all)).with_state(rest.clone());
    router.merge(definitions::router(rest))
}

/// A path that programs ask all day, with any method: it is answered before any router, which
/// would copy and box each of these requests to find out the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// `/flags`.
    Flags,
    /// `/decide`.
    Decide,
    /// `/flags/definitions`.
    Definitions,
}

impl Wire {
    /// The one that a path names, with the last slash or without.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path.strip_suffix('/').unwrap_or(path) {
            "/flags" => Some(Self::Flags),
            "/decide" => Some(Self::Decide),
            "/flags/definitions" => Some(Self::Definitions),
            _ => None,
        }
    }
}

/// Answers [`Wire`]s. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Wires(Rest);

impl Wires {
    pub(super) fn new(rest: Rest) -> Self {
        Self(rest)
    }

    /// Answers one request of this caller, who matters for definitions alone: those who evaluate
    /// send the public token in the body.
    pub async fn answer(&self, wire: Wire, identity: Identity, request: Request) -> Response {
        match wire {
            Wire::Flags => flags::flags(&self.0, request).await,
            Wire::Decide => flags::decide(&self.0, request).await,
            Wire::Definitions => definitions::whole(&self.0, &identity, request).await,
        }
    }
}

/// Lets pages read an answer to this request, if they may make it.
pub(super) fn open_to_page(request: &Request, response: &mut Response) {
    let path = request.uri().path();
    let is_wire = matches!(Wire::of(path), Some(Wire::Flags | Wire::Decide));
    let is_list = |path| [lists::EARLY_ACCESS, lists::SURVEYS].contains(&path);
    let name = path.strip_suffix('/').unwrap_or(path);
    if is_wire || is_list(name) || events::PATHS.contains(&name) {
        cors::PageRequest::of(request).open_path(response);
    }
}

fn open() -> Router<Rest> {
    let events = |router, path: &str| both(router, path, any(events::events));
    let router = events::PATHS
        .into_iter()
        .fold(Router::new(), events)
        .route("/array/{token}/config", any(browser::json))
        .route("/array/{token}/config.js", any(browser::script));
    let router = both(router, lists::EARLY_ACCESS, any(lists::early_access));
    both(router, lists::SURVEYS, any(lists::surveys))
}

fn both(router: Router<Rest>, path: &str, route: MethodRouter<Rest>) -> Router<Rest> {
    router.route(path, route.clone()).route(&format!("{path}/"), route)
}

/// The answer to `OPTIONS` on a client path, as evaluation 4 and 15.1 have it.
fn options(allowed: &'static str) -> Response {
    let mut response = allow(HeaderValue::from_static(allowed));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

#[cfg(test)]
mod tests {
    use super::Wire;

    #[test]
    fn wires_are_known_by_their_paths_with_the_last_slash_and_without() {
        for (path, wire) in [
            ("/flags", Some(Wire::Flags)),
            ("/flags/", Some(Wire::Flags)),
            ("/decide/", Some(Wire::Decide)),
            ("/flags/definitions", Some(Wire::Definitions)),
            ("/flags/definitions/", Some(Wire::Definitions)),
            ("/flags//", None),
            ("/flags/x", None),
            ("/Flags", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(Wire::of(path), wire, "{path}");
        }
    }
}
