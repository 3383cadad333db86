//! Serves the RPCs of evaluation, whose answers are written and not built
//! ([`crate::wire::written`]).
//!
//! The generated server knows only the generated messages. This one stands
//! before it, answers these calls by their paths, and hands on all others.

use std::{
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use futures::{FutureExt, future::BoxFuture};
use prost::Message;
use tonic::{
    body::Body,
    codec::{CompressionEncoding, EnabledCompressionEncodings},
    server::NamedService,
};
use tower::{Service, service_fn};

use super::{Grpc, Limits, evaluation};
use crate::{
    auth::Identity,
    service::Services,
    wire::{
        codec::Codec,
        v1::{BatchEvaluateFlagsRequest, EvaluateFlagRequest, EvaluateFlagsRequest},
        written::Written,
    },
};

const EVALUATE_FLAG: &str = "/flagstaff.v1.EvaluationService/EvaluateFlag";
const EVALUATE_FLAGS: &str = "/flagstaff.v1.EvaluationService/EvaluateFlags";
pub(super) const BATCH: &str = "/flagstaff.v1.EvaluationService/BatchEvaluateFlags";

/// Answers these calls. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Calls {
    grpc: Arc<Grpc>,
    limits: Limits,
}

/// One of the calls.
#[derive(Clone, Copy, Debug)]
pub enum Call {
    /// `EvaluateFlag`.
    One,
    /// `EvaluateFlags`.
    All,
    /// `BatchEvaluateFlags`.
    Batch,
}

impl Call {
    /// The call that a path names, if it is one of these.
    #[must_use]
    pub fn of(path: &str) -> Option<Self> {
        match path {
            EVALUATE_FLAG => Some(Self::One),
            EVALUATE_FLAGS => Some(Self::All),
            BATCH => Some(Self::Batch),
            _ => None,
        }
    }
}

impl Calls {
    /// Answers by these use-cases.
    #[must_use]
    pub fn new(services: Services, limits: Limits) -> Self {
        Self { grpc: Arc::new(Grpc(services)), limits }
    }

    /// Answers one call of this caller.
    pub fn answer(
        &self,
        call: Call,
        identity: Identity,
        request: http::Request<Body>,
    ) -> BoxFuture<'static, http::Response<Body>> {
        let grpc = Arc::clone(&self.grpc);
        match call {
            Call::One => {
                let mut server = self.server::<EvaluateFlagRequest>(EVALUATE_FLAG);
                let call = service_fn(move |asked| {
                    evaluation::flag(Arc::clone(&grpc), identity.clone(), asked)
                });
                Box::pin(async move { server.unary(call, request).await })
            }
            Call::All => {
                let mut server = self.server::<EvaluateFlagsRequest>(EVALUATE_FLAGS);
                let call = service_fn(move |asked| {
                    evaluation::flags(Arc::clone(&grpc), identity.clone(), asked)
                });
                Box::pin(async move { server.unary(call, request).await })
            }
            Call::Batch => {
                let mut server = self.server::<BatchEvaluateFlagsRequest>(BATCH);
                let call = service_fn(move |asked| {
                    evaluation::batch(Arc::clone(&grpc), identity.clone(), asked)
                });
                Box::pin(async move { server.server_streaming(call, request).await })
            }
        }
    }

    fn server<R>(&self, path: &str) -> tonic::server::Grpc<Codec<Written, R>>
    where
        R: Message + Default + 'static,
    {
        let mut encodings = EnabledCompressionEncodings::default();
        encodings.enable(CompressionEncoding::Gzip);
        encodings.enable(CompressionEncoding::Zstd);
        tonic::server::Grpc::new(Codec::default())
            .apply_compression_config(encodings, encodings)
            .apply_max_message_size_config(Some(self.limits.of(path)), None)
    }
}

/// The service of evaluation: these calls, and the generated server for the rest.
#[derive(Clone, Debug)]
pub(super) struct Direct<S> {
    calls: Calls,
    rest: S,
}

impl<S> Direct<S> {
    pub(super) fn new(calls: Calls, rest: S) -> Self {
        Self { calls, rest }
    }
}

impl<S: NamedService> NamedService for Direct<S> {
    const NAME: &'static str = S::NAME;
}

type Answer = Result<http::Response<Body>, Infallible>;

impl<S> Service<http::Request<Body>> for Direct<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Answer>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.rest.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        match Call::of(request.uri().path()) {
            Some(call) => {
                let identity = request.extensions().get().cloned().unwrap_or_default();
                Box::pin(self.calls.answer(call, identity, request).map(Ok))
            }
            None => Box::pin(self.rest.call(request)),
        }
    }
}
