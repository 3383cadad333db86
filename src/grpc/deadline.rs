//! Ends a call when its caller has stopped waiting, be it before the answer
//! or in the middle of a stream.
//!
//! tonic does this in its own server; ours is shared with REST, so the
//! `grpc-timeout` header is honoured here.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::Frame;
use tokio::time::{Instant, Sleep, sleep_until, timeout_at};
use tonic::{Status, body::Body};
use tower::{Layer, Service};

/// Adds the caller's deadline to every call.
#[derive(Clone, Copy, Debug, Default)]
pub struct DeadlineLayer;

impl<S> Layer<S> for DeadlineLayer {
    type Service = Deadline<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Deadline(inner)
    }
}

/// A service whose calls end at their caller's deadline.
#[derive(Clone, Debug)]
pub struct Deadline<S>(S);

impl<S, B> Service<Request<B>> for Deadline<S>
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
        let deadline =
            timeout(request.headers()).and_then(|timeout| Instant::now().checked_add(timeout));
        let answer = self.0.call(request);
        Box::pin(async move {
            let Some(deadline) = deadline else { return answer.await };
            match timeout_at(deadline, answer).await {
                Ok(answer) => Ok(answer?.map(|body| Body::new(Bounded::new(body, deadline)))),
                Err(_) => Ok(passed().into_http()),
            }
        })
    }
}

fn passed() -> Status {
    Status::deadline_exceeded("The deadline has passed.")
}

/// An answer's body that ends at the deadline, and lets go of what makes it.
struct Bounded {
    body: Option<Body>,
    deadline: Pin<Box<Sleep>>,
}

impl Bounded {
    fn new(body: Body, deadline: Instant) -> Self {
        Self { body: Some(body), deadline: Box::pin(sleep_until(deadline)) }
    }
}

impl http_body::Body for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, deadline } = &mut *self;
        let Some(open) = body else { return Poll::Ready(None) };
        // First, as a stream that is always ready would never let it be seen.
        if deadline.as_mut().poll(context).is_pending() {
            return Pin::new(open).poll_frame(context);
        }
        *body = None;
        let mut trailers = HeaderMap::new();
        passed().add_header(&mut trailers)?;
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    /// True for an error without an answer, which stands in the headers alone: an empty data frame
    /// after those is against the protocol, and gRPC's C core makes UNKNOWN of it.
    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(http_body::Body::is_end_stream)
    }
}

/// Up to eight digits and a unit, as the gRPC protocol has it; anything else is no deadline.
fn timeout(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let amount: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(amount * 3600)),
        "M" => Some(Duration::from_secs(amount * 60)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use http_body::Body as _;
    use tower::{ServiceExt, service_fn};

    use super::*;

    #[tokio::test]
    async fn an_error_stands_in_the_headers_alone_whether_there_is_a_deadline_or_not() {
        let refuse = service_fn(async |_: Request<()>| {
            Ok::<_, std::convert::Infallible>(Status::not_found("no").into_http::<Body>())
        });
        for timeout in ["", "5S"] {
            let request = Request::builder().header("grpc-timeout", timeout).body(()).unwrap();
            let answer = DeadlineLayer.layer(refuse).oneshot(request).await.unwrap();
            assert!(answer.headers().contains_key("grpc-status"));
            assert!(answer.body().is_end_stream(), "with the timeout {timeout:?}");
        }
    }

    #[test]
    fn deadlines_are_read_in_every_unit() {
        let read = |text: &str| {
            timeout(&HeaderMap::from_iter([(
                http::HeaderName::from_static("grpc-timeout"),
                text.parse().unwrap(),
            )]))
        };
        assert_eq!(read("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(read("1M"), Some(Duration::from_secs(60)));
        assert_eq!(read("3S"), Some(Duration::from_secs(3)));
        assert_eq!(read("250m"), Some(Duration::from_millis(250)));
        assert_eq!(read("7u"), Some(Duration::from_micros(7)));
        assert_eq!(read("9n"), Some(Duration::from_nanos(9)));
        for odd in ["", "m", "10", "-1S", "123456789S", "1x"] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }
}
