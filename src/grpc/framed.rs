//! Streams of messages that are written once and sent to many.
//!
//! tonic writes each message into a buffer of each stream's own, 8 KiB before
//! anything is sent and as large as the largest message after. Ten thousand
//! watchers would be given ten thousand copies. So a method may hand over a
//! body of finished frames instead: it leaves it in its response, and the
//! layer around the service sends it in place of the method's own stream.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures::{Stream, StreamExt, stream::BoxStream};
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use http_body_util::StreamBody;
use prost::Message;
use tonic::{Status, body::Body};
use tower::{Layer, Service};

/// A body that waits in a response's extensions to be sent.
#[derive(Clone)]
struct Framed(Arc<Mutex<Option<Body>>>);

/// A message as gRPC frames it: not compressed, as it is shared by those who can read that and
/// those who cannot.
pub(super) fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("messages are far smaller"));
    message.encode(&mut frame).expect("the buffer is large enough");
    frame.freeze()
}

/// An answer of finished frames, ended by a status.
pub(super) fn response<T>(
    frames: impl Stream<Item = Result<Bytes, Status>> + Send + 'static,
) -> tonic::Response<BoxStream<'static, Result<T, Status>>>
where
    T: Send + 'static,
{
    let frames = frames.map(|frame| match frame {
        Ok(bytes) => Ok(Frame::data(bytes)),
        Err(status) => {
            let mut trailers = HeaderMap::new();
            status.add_header(&mut trailers)?;
            Ok::<_, Status>(Frame::trailers(trailers))
        }
    });
    let body = Body::new(StreamBody::new(frames));
    let mut response = tonic::Response::new(futures::stream::empty().boxed());
    response.extensions_mut().insert(Framed(Arc::new(Mutex::new(Some(body)))));
    response
}

/// Sends what [`response`] left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FramedLayer;

impl<S> Layer<S> for FramedLayer {
    type Service = Frames<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Frames(inner)
    }
}

/// A service whose answers may be finished frames.
#[derive(Clone, Debug)]
pub(super) struct Frames<S>(S);

impl<S, B> Service<Request<B>> for Frames<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut answer = answer.await?;
            let framed = answer.extensions_mut().remove::<Framed>();
            let body = framed.and_then(|Framed(body)| {
                body.lock().unwrap_or_else(PoisonError::into_inner).take()
            });
            if let Some(body) = body {
                *answer.body_mut() = body;
            }
            Ok(answer)
        })
    }
}
