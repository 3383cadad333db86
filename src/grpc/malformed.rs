//! Requests that tonic cannot read: a malformed message, a frame cut short, a broken compression.
//!
//! tonic answers them with `INTERNAL`, which is the service's fault and not the caller's. Its own
//! statuses are told from those of the service by their details: each `INTERNAL` of
//! [`status`](super::status) has some.

use http::{HeaderValue, Response};
use tonic::Code;

const STATUS: &str = "grpc-status";
const DETAILS: &str = "grpc-status-details-bin";

/// Makes tonic's refusal of a request `INVALID_ARGUMENT`. Answers with a body are left alone: the
/// request was read.
pub fn blame_caller<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let is_internal =
        headers.get(STATUS).is_some_and(|code| Code::from_bytes(code.as_bytes()) == Code::Internal);
    if is_internal && !headers.contains_key(DETAILS) {
        headers.insert(STATUS, HeaderValue::from(i32::from(Code::InvalidArgument)));
    }
    response
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;
    use crate::model::error::Error;

    fn code(status: Status) -> Option<Code> {
        let response = blame_caller(status.into_http::<()>());
        Some(Code::from_bytes(response.headers().get(STATUS)?.as_bytes()))
    }

    #[test]
    fn what_cannot_be_read_is_the_callers_fault_and_a_defect_is_not() {
        assert_eq!(code(Status::internal("failed to decode")), Some(Code::InvalidArgument));
        assert_eq!(code(Error::internal("a defect").into()), Some(Code::Internal));
        assert_eq!(code(Status::unimplemented("no")), Some(Code::Unimplemented));
        let fine = blame_caller(Response::new(()));
        assert!(fine.headers().is_empty());
    }
}
