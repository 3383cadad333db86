//! Reads the request message of a call before tonic does, within the bounds of
//! [`BodyLimits`]: nothing is read for a caller without a valid credential, a
//! message is charged while it arrives and while it is decompressed, and what
//! it takes once decoded is estimated before it is decoded.
//!
//! The usual message, small and in one piece, passes at once.

use std::{
    collections::HashMap,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use foldhash::fast::RandomState;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, StreamBody};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep, timeout},
};
use tonic::{Status, body::Body, codegen::StdError};

use super::Limits;
use crate::{
    auth::Identity,
    limits::{BodyLimits, Compression, InflateError, MAX_INLINE_BYTES, Reservation, inflate},
    model::error::{Error, Result},
    wire::weight::Weights,
};

/// Messages up to this size pass without being weighed: there is one for each call that is
/// answered, and what it can take is small.
const MAX_UNWEIGHED_BYTES: usize = 4 * 1024;
/// A flag and the length, before each message.
const FRAME_BYTES: usize = 5;
/// The flag of a message that is not compressed, and of one that is.
const PLAIN: u8 = 0;
const COMPRESSED: u8 = 1;

/// Streams of reflection at a time, and of those that watch the health of a service: neither needs
/// a credential.
const MAX_REFLECTION_STREAMS: usize = 100;
const MAX_HEALTH_STREAMS: usize = 10_000;
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";

/// What passes the gate: the request, and what it holds until its answer has ended.
type Admitted = (Request<Body>, Held);

/// What a call holds: the memory of its message, and its place among the streams.
#[derive(Debug)]
pub struct Held {
    memory: Reservation,
    stream: Option<OwnedSemaphorePermit>,
}

/// Reads request messages. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Gate(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    bodies: BodyLimits,
    weights: Weights,
    /// The largest message of each method, in bytes, by its path.
    limits: HashMap<String, usize, RandomState>,
    reflection_streams: Arc<Semaphore>,
    health_streams: Arc<Semaphore>,
}

/// The request of one call, on its way.
struct Call<'a> {
    path: &'a str,
    max_bytes: usize,
    compression: Option<Compression>,
}

impl Gate {
    /// Creates the gate before the services of the contract.
    #[must_use]
    pub fn new(bodies: BodyLimits, limits: Limits) -> Self {
        let weights = Weights::new();
        let limit = |path: &str| (path.to_owned(), limits.of(path));
        let limits = weights.paths().map(limit).collect();
        let (reflection, health) = (MAX_REFLECTION_STREAMS, MAX_HEALTH_STREAMS);
        Self(Arc::new(Parts {
            bodies,
            weights,
            limits,
            reflection_streams: Arc::new(Semaphore::new(reflection)),
            health_streams: Arc::new(Semaphore::new(health)),
        }))
    }

    /// Whether a path is that of an RPC of the contract.
    #[must_use]
    pub fn knows(&self, path: &str) -> bool {
        self.0.limits.contains_key(path)
    }

    /// Reads the message of a call. Requests to other services than the contract's pass with a
    /// bound on the time between their messages alone.
    ///
    /// # Errors
    ///
    /// `UNAUTHENTICATED` without a valid credential; `RESOURCE_EXHAUSTED` for a message that is too
    /// large, or when messages in flight take all the memory that they may; `INVALID_ARGUMENT` for
    /// one that is broken or does not arrive in time.
    pub async fn admit<B>(
        &self,
        identity: &Identity,
        request: Request<B>,
    ) -> Result<Admitted, Status>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<StdError>,
    {
        let Parts { bodies, limits, .. } = &*self.0;
        let mut memory = bodies.memory.reservation();
        let Some(max_bytes) = limits.get(request.uri().path()).copied() else {
            let stream = self.stream(request.uri().path())?;
            let request = request.map(|body| Timed::stream(body, bodies.timeout));
            return Ok((request, Held { memory, stream }));
        };
        identity.caller()?;
        let (parts, mut body) = request.into_parts();
        let first = match futures::poll!(pin!(body.frame())) {
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Poll::Ready(Some(Err(_))) => return Err(broken_off().into()),
            Poll::Ready(None) | Poll::Pending => Bytes::new(),
        };
        let body = match is_small_message(&first) {
            true => Timed::one_message(first, body, bodies.timeout),
            false => {
                let compression = compression(&parts.headers);
                let call = Call { path: parts.uri.path(), max_bytes, compression };
                // Apart, so that the usual message does not take room along for it.
                Box::pin(self.collected(call, first, body, &mut memory)).await?
            }
        };
        Ok((Request::from_parts(parts, body), Held { memory, stream: None }))
    }

    /// Takes a place for a call that may stay open without a credential.
    fn stream(&self, path: &str) -> Result<Option<OwnedSemaphorePermit>> {
        let places = match path {
            HEALTH_WATCH => &self.0.health_streams,
            _ if path.starts_with("/grpc.reflection.") => &self.0.reflection_streams,
            _ => return Ok(None),
        };
        let place = Arc::clone(places).try_acquire_owned();
        place.map(Some).map_err(|_| Error::overloaded())
    }

    /// Reads a message that is large, compressed, or arrives in pieces.
    async fn collected<B>(
        &self,
        call: Call<'_>,
        first: Bytes,
        body: B,
        memory: &mut Reservation,
    ) -> Result<Body>
    where
        B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<StdError>,
    {
        let arriving = collect(first, body, call.max_bytes, memory);
        let message = timeout(self.0.bodies.timeout, arriving).await;
        let message = message.map_err(|_| Error::rule("The message did not arrive in time."))??;
        let message = match (message[0], call.compression) {
            (COMPRESSED, Some(compression)) => {
                let packed = message.slice(FRAME_BYTES..);
                self.inflated(&call, compression, packed, memory).await?
            }
            (PLAIN, _) => message.slice(FRAME_BYTES..),
            // Which encodings there are is told by tonic.
            _ => return Ok(body_of([message])),
        };
        self.weigh(&call, &message, memory).await?;
        Ok(body_of([frame_header(message.len()), message]))
    }

    async fn inflated(
        &self,
        call: &Call<'_>,
        compression: Compression,
        packed: Bytes,
        memory: &mut Reservation,
    ) -> Result<Bytes> {
        let limit = call.max_bytes.min(MAX_INLINE_BYTES);
        let inline = match packed.len() <= MAX_INLINE_BYTES {
            true => inflate(compression, &packed, limit, memory),
            false => Err(InflateError::TooLarge),
        };
        let (limit, mut own) = (call.max_bytes, memory.take());
        let (outcome, own) = match inline {
            Err(InflateError::TooLarge) => {
                let work = move || (inflate(compression, &packed, limit, &mut own), own);
                self.0.bodies.decode_pool.run(work).await?
            }
            outcome => (outcome, own),
        };
        *memory = own;
        match outcome {
            Ok(message) => Ok(message.into()),
            Err(InflateError::TooLarge) => Err(Error::too_large(limit)),
            Err(InflateError::Refused(error)) => Err(error),
            Err(InflateError::Malformed) => {
                Err(Error::rule(format!("The message is not {}.", compression.name())))
            }
        }
    }

    /// Charges what a message takes once decoded.
    async fn weigh(
        &self,
        call: &Call<'_>,
        message: &Bytes,
        memory: &mut Reservation,
    ) -> Result<()> {
        if message.len() <= MAX_UNWEIGHED_BYTES {
            return Ok(());
        }
        let weight = match message.len() <= MAX_INLINE_BYTES {
            true => self.0.weights.estimate(call.path, message),
            false => {
                let (parts, path) = (Arc::clone(&self.0), call.path.to_owned());
                let message = message.clone();
                let work = move || parts.weights.estimate(&path, &message);
                self.0.bodies.decode_pool.run(work).await?
            }
        };
        // And tonic copies what it decodes.
        memory.charge(weight + message.len())
    }
}

/// Holds what a call holds until its answer has ended.
pub fn holding(response: Response<Body>, held: Held) -> Response<Body> {
    match held.memory.is_empty() && held.stream.is_none() {
        true => response,
        false => response.map(|body| Body::new(Holding { body, _held: held })),
    }
}

fn broken_off() -> Error {
    Error::rule("The message could not be read to its end.")
}

fn compression(headers: &HeaderMap) -> Option<Compression> {
    match headers.get("grpc-encoding")?.as_bytes() {
        b"gzip" => Some(Compression::Gzip),
        b"zstd" => Some(Compression::Zstd),
        _ => None,
    }
}

/// The length that the head of a frame tells, once it is there.
fn announced(frame: &[u8]) -> Option<usize> {
    let length = frame.get(1..FRAME_BYTES)?.try_into().ok()?;
    usize::try_from(u32::from_be_bytes(length)).ok()
}

fn is_small_message(frame: &[u8]) -> bool {
    let is_whole = announced(frame).is_some_and(|length| FRAME_BYTES + length == frame.len());
    is_whole && frame[0] == PLAIN && frame.len() <= MAX_UNWEIGHED_BYTES
}

fn frame_header(length: usize) -> Bytes {
    let mut header = BytesMut::with_capacity(FRAME_BYTES);
    header.put_u8(PLAIN);
    header.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    header.freeze()
}

fn body_of<const N: usize>(frames: [Bytes; N]) -> Body {
    let frames = frames.map(|frame| Ok::<_, Status>(Frame::data(frame)));
    Body::new(StreamBody::new(futures::stream::iter(frames)))
}

/// Reads one message with its head, to the end of the request.
async fn collect<B>(
    first: Bytes,
    mut body: B,
    max_bytes: usize,
    memory: &mut Reservation,
) -> Result<Bytes>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let mut message = BytesMut::new();
    let mut data = first;
    loop {
        memory.charge(data.len())?;
        message.extend_from_slice(&data);
        if let Some(length) = announced(&message) {
            if length > max_bytes {
                return Err(Error::too_large(max_bytes));
            }
            if message.len() > FRAME_BYTES + length {
                return Err(Error::rule("The call takes one message."));
            }
        }
        data = match body.frame().await {
            Some(Ok(frame)) => frame.into_data().unwrap_or_default(),
            Some(Err(_)) => return Err(broken_off()),
            None => break,
        };
    }
    match announced(&message) {
        Some(length) if FRAME_BYTES + length == message.len() => Ok(message.freeze()),
        Some(_) => Err(broken_off()),
        None => Err(Error::rule("The call takes one message.")),
    }
}

/// A request body that may pause only for so long.
struct Timed<B> {
    /// What was read of it already.
    first: Option<Bytes>,
    rest: B,
    timeout: Duration,
    /// Runs while it is waited for.
    timer: Option<Pin<Box<Sleep>>>,
    /// Whether more than the first message may follow.
    is_stream: bool,
}

impl<B> Timed<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<StdError>,
{
    fn one_message(first: Bytes, rest: B, timeout: Duration) -> Body {
        Body::new(Self { first: Some(first), rest, timeout, timer: None, is_stream: false })
    }

    fn stream(rest: B, timeout: Duration) -> Body {
        Body::new(Self { first: None, rest, timeout, timer: None, is_stream: true })
    }

    fn poll_timer(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let start = || Box::pin(sleep(self.timeout));
        self.timer.get_or_insert_with(start).as_mut().poll(context)
    }
}

impl<B> HttpBody for Timed<B>
where
    B: HttpBody<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<StdError>,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        match Pin::new(&mut self.rest).poll_frame(context) {
            Poll::Ready(Some(Ok(frame))) => {
                let is_more = frame.data_ref().is_some_and(|data| !data.is_empty());
                if is_more && !self.is_stream {
                    let error = Error::rule("The call takes one message.");
                    return Poll::Ready(Some(Err(error.into())));
                }
                self.timer = None;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                Poll::Ready(Some(Err(Status::from_error(error.into()))))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                std::task::ready!(self.poll_timer(context));
                let error = Error::rule("The message did not arrive in time.");
                Poll::Ready(Some(Err(error.into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }
}

/// An answer that holds what its call holds.
struct Holding {
    body: Body,
    _held: Held,
}

impl HttpBody for Holding {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
