//! What happens to every request before a dialect answers it: where it came
//! from, its trace and its numbers; and a panic stops here.
//!
//! Written as one function rather than as layers of a router, which would
//! each be copied and boxed for every request.

use std::{net::IpAddr, panic::AssertUnwindSafe, sync::Arc};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use futures::FutureExt;
use tower::ServiceExt;

use super::{accept::App, dispatch::Dispatch, forwarded::TrustedProxies};
use crate::{model::error::Error, telemetry::Telemetry};

/// The whole service, as connections see it. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Edge(Arc<Parts>);

#[derive(Debug)]
pub(super) struct Parts {
    pub(super) dispatch: Dispatch,
    pub(super) telemetry: Telemetry,
    pub(super) proxies: TrustedProxies,
}

impl Edge {
    pub(super) fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    async fn caught(&self, request: Request) -> Response {
        let answer = AssertUnwindSafe(self.0.dispatch.answer(request)).catch_unwind();
        answer.await.unwrap_or_else(|_| Error::internal("a handler panicked").into_response())
    }
}

impl App for Edge {
    async fn answer(self, peer: IpAddr, mut request: Request) -> Response {
        let client = self.0.proxies.read(peer, &mut request);
        self.0.telemetry.traced(client, request, |request| self.caught(request)).await
    }
}

impl App for Router {
    async fn answer(self, _: IpAddr, request: Request) -> Response {
        self.oneshot(request).await.unwrap_or_else(|never| match never {})
    }
}
