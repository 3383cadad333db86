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

use futures::future::BoxFuture;
use prost::Message;
use tonic::{
    body::Body,
    codec::{CompressionEncoding, EnabledCompressionEncodings},
    server::NamedService,
};
use tonic_prost::ProstCodec;
use tower::{Service, service_fn};

use super::{Grpc, evaluation};
use crate::wire::{
    v1::{BatchEvaluateFlagsRequest, EvaluateFlagRequest, EvaluateFlagsRequest},
    written::Written,
};

const EVALUATE_FLAG: &str = "/flagstaff.v1.EvaluationService/EvaluateFlag";
const EVALUATE_FLAGS: &str = "/flagstaff.v1.EvaluationService/EvaluateFlags";
const BATCH: &str = "/flagstaff.v1.EvaluationService/BatchEvaluateFlags";

/// The service of evaluation: these calls, and the generated server for the rest.
#[derive(Clone, Debug)]
pub(super) struct Direct<S> {
    grpc: Arc<Grpc>,
    rest: S,
    /// The largest request message, in bytes.
    message_bytes: usize,
}

impl<S> Direct<S> {
    pub(super) fn new(grpc: Grpc, rest: S, message_bytes: usize) -> Self {
        Self { grpc: Arc::new(grpc), rest, message_bytes }
    }

    fn server<R>(&self) -> tonic::server::Grpc<ProstCodec<Written, R>>
    where
        R: Message + Default + 'static,
    {
        let mut encodings = EnabledCompressionEncodings::default();
        encodings.enable(CompressionEncoding::Gzip);
        encodings.enable(CompressionEncoding::Zstd);
        tonic::server::Grpc::new(ProstCodec::default())
            .apply_compression_config(encodings, encodings)
            .apply_max_message_size_config(Some(self.message_bytes), None)
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
        let grpc = Arc::clone(&self.grpc);
        match request.uri().path() {
            EVALUATE_FLAG => {
                let mut server = self.server::<EvaluateFlagRequest>();
                let call = service_fn(move |asked| evaluation::flag(Arc::clone(&grpc), asked));
                Box::pin(async move { Ok(server.unary(call, request).await) })
            }
            EVALUATE_FLAGS => {
                let mut server = self.server::<EvaluateFlagsRequest>();
                let call = service_fn(move |asked| evaluation::flags(Arc::clone(&grpc), asked));
                Box::pin(async move { Ok(server.unary(call, request).await) })
            }
            BATCH => {
                let mut server = self.server::<BatchEvaluateFlagsRequest>();
                let call = service_fn(move |asked| evaluation::batch(Arc::clone(&grpc), asked));
                Box::pin(async move { Ok(server.server_streaming(call, request).await) })
            }
            _ => Box::pin(self.rest.call(request)),
        }
    }
}
