//! What happens to every request before a dialect answers it: where it came
//! from, its trace and its numbers; and a panic stops here.
//!
//! Written as one function rather than as layers of a router, which would
//! each be copied and boxed for every request.

use std::{
    net::IpAddr,
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use http::{HeaderValue, Version, header::CONNECTION};
use tower::ServiceExt;

use super::{accept::App, dispatch::Dispatch, forwarded::TrustedProxies};
use crate::{model::error::Error, telemetry::Telemetry};

/// The whole service, as connections see it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Edge(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    parts: Parts,
    draining: AtomicBool,
}

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) dispatch: Dispatch,
    pub(super) telemetry: Telemetry,
    pub(super) proxies: TrustedProxies,
}

impl Edge {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(Shared { parts, draining: AtomicBool::new(false) }))
    }

    /// Closes each HTTP/1.1 connection with its next answer from now on, so that a client that
    /// keeps connections opens its next one elsewhere, and loses none of its requests.
    pub(super) fn drain(&self) {
        self.0.draining.store(true, Ordering::Relaxed);
    }

    fn closes(&self, version: Version) -> bool {
        version <= Version::HTTP_11 && self.0.draining.load(Ordering::Relaxed)
    }

    async fn caught(&self, client: IpAddr, request: Request) -> Response {
        let answer = AssertUnwindSafe(self.0.parts.dispatch.answer(client, request)).catch_unwind();
        answer.await.unwrap_or_else(|_| Error::internal("a handler panicked").into_response())
    }
}

impl App for Edge {
    async fn answer(self, peer: IpAddr, mut request: Request) -> Response {
        let (parts, version) = (&self.0.parts, request.version());
        let client = parts.proxies.read(peer, &mut request);
        let mut answer =
            parts.telemetry.traced(client, request, |request| self.caught(client, request)).await;
        if self.closes(version) {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        answer
    }
}

impl App for Router {
    async fn answer(self, _: IpAddr, request: Request) -> Response {
        self.oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}
