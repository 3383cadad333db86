//! The status that a call of gRPC ends with. It stands in the answer's headers if there are no
//! messages, in the trailers otherwise, and over gRPC-web in the last frame of the body.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::Body;
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use memchr::memmem;
use tonic::Code;
use tracing::Span;

use super::answered::Counters;

const STATUS: &str = "grpc-status";
/// The first byte of the frame in which gRPC-web sends trailers, and the same in base64: messages
/// begin with 0 or 1.
const WEB_TRAILERS: u8 = 0x80;
const WEB_TEXT_TRAILERS: u8 = b'g';

/// The codes as gRPC names them, by their numbers.
pub(super) const NAMES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// A call that has not ended. Dropped before it has, it counts as cancelled.
pub(super) struct OpenCall {
    counters: Arc<Counters>,
    /// The call's span, if it is recorded.
    span: Option<Span>,
    has_ended: bool,
}

impl OpenCall {
    pub(super) fn new(counters: Arc<Counters>, span: &Span) -> Self {
        let span = (!span.is_disabled()).then(|| span.clone());
        Self { counters, span, has_ended: false }
    }

    /// Ends with the answer: at once if its headers tell the status, else with its body.
    pub(super) fn end_with(mut self, response: Response<Body>) -> Response<Body> {
        match of(response.headers()) {
            Some(code) => {
                self.end(code);
                response
            }
            None if !response.status().is_success() => {
                self.end(of_http(response.status().as_u16()));
                response
            }
            None => response.map(|body| Body::new(Watched { body, call: self })),
        }
    }

    fn end(&mut self, code: Code) {
        if std::mem::replace(&mut self.has_ended, true) {
            return;
        }
        self.counters.count_rpc(code);
        if let Some(span) = &self.span {
            span.record("rpc.grpc.status_code", i32::from(code));
            if is_failure(code) {
                span.record("otel.status_code", "ERROR");
            }
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// Whether the service failed, and not its caller.
fn is_failure(code: Code) -> bool {
    matches!(
        code,
        Code::Unknown
            | Code::DeadlineExceeded
            | Code::Unimplemented
            | Code::Internal
            | Code::Unavailable
            | Code::DataLoss
    )
}

fn of(headers: &HeaderMap) -> Option<Code> {
    Some(Code::from_bytes(headers.get(STATUS)?.as_bytes()))
}

/// What a client of gRPC makes of an HTTP status without one of gRPC.
fn of_http(status: u16) -> Code {
    match status {
        400 => Code::Internal,
        401 => Code::Unauthenticated,
        403 => Code::PermissionDenied,
        404 => Code::Unimplemented,
        429 | 502..=504 => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// The status in a frame of gRPC-web, if it is the last one.
fn of_web(frame: &[u8]) -> Option<Code> {
    let decoded;
    let trailers = match *frame.first()? {
        WEB_TRAILERS => frame,
        WEB_TEXT_TRAILERS => {
            decoded = BASE64_STANDARD.decode(frame).ok()?;
            &decoded
        }
        _ => return None,
    };
    let at = memmem::find(trailers, b"grpc-status:")? + b"grpc-status:".len();
    let code: Vec<u8> = trailers[at..]
        .iter()
        .copied()
        .skip_while(|b| *b == b' ')
        .take_while(u8::is_ascii_digit)
        .collect();
    Some(Code::from_bytes(&code))
}

/// The body of an answer, which ends its call.
struct Watched {
    body: Body,
    call: OpenCall,
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(frame) = &polled {
            let code = match frame {
                Some(Ok(frame)) => match (frame.trailers_ref(), frame.data_ref()) {
                    (Some(trailers), _) => of(trailers),
                    (None, Some(data)) => of_web(data),
                    (None, None) => None,
                },
                Some(Err(_)) | None => Some(Code::Unknown),
            };
            if let Some(code) = code {
                self.call.end(code);
            }
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_the_numbers_of_their_codes() {
        for (at, name) in NAMES.into_iter().enumerate() {
            let code = Code::from(i32::try_from(at).unwrap());
            let debug = format!("{code:?}").to_uppercase();
            assert_eq!(name.replace('_', ""), debug, "{at}");
        }
    }

    #[test]
    fn the_last_frame_of_grpc_web_tells_the_status_and_a_message_does_not() {
        let trailers = b"\x80\0\0\0\x0fgrpc-status:5\r\n";
        assert_eq!(of_web(trailers), Some(Code::NotFound));
        assert_eq!(of_web(b"\x80\0\0\0\x10grpc-status: 16\r\n"), Some(Code::Unauthenticated));
        let text = BASE64_STANDARD.encode(trailers);
        assert_eq!(of_web(text.as_bytes()), Some(Code::NotFound));
        assert_eq!(of_web(b"\0\0\0\0\x0dgrpc-status:5"), None);
        assert_eq!(of_web(b""), None);
    }
}
