//! The one place where an [`Error`] becomes a gRPC status (management-api 1.6).
//!
//! The status carries `google.rpc` details from which the REST body can be
//! told exactly: `ErrorInfo` with the machine code and what the envelope says,
//! `BadRequest` for a field, `RetryInfo` where a retry makes sense.

use std::collections::HashMap;

use tonic::{Code as Grpc, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::model::error::{Code, Error};

const DOMAIN: &str = "flagstaff";

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        if matches!(error.code, Code::Internal | Code::Unavailable) {
            tracing::error!(code = ?error.code, causes = error.causes(), "request failed");
        }
        expected(error)
    }
}

/// The status of a failure that belongs to the course of things: nothing is logged.
pub(super) fn expected(error: Error) -> Status {
    Status::with_error_details(code(error.code), error.detail.clone(), details(error))
}

fn code(code: Code) -> Grpc {
    match code {
        Code::Invalid | Code::UnsupportedMediaType => Grpc::InvalidArgument,
        Code::Blocked | Code::Unprocessable => Grpc::FailedPrecondition,
        Code::Unauthenticated => Grpc::Unauthenticated,
        Code::Forbidden => Grpc::PermissionDenied,
        Code::NotFound => Grpc::NotFound,
        Code::MethodNotAllowed | Code::Unimplemented => Grpc::Unimplemented,
        Code::Conflict => Grpc::Aborted,
        Code::TooLarge | Code::Throttled | Code::Overloaded => Grpc::ResourceExhausted,
        Code::Internal => Grpc::Internal,
        Code::Unavailable => Grpc::Unavailable,
    }
}

fn details(error: Error) -> ErrorDetails {
    let error = error.into_parts();
    let mut metadata = HashMap::from([
        ("http_status".to_owned(), error.code.http_status().to_string()),
        ("type".to_owned(), error.kind.to_owned()),
        ("body".to_owned(), error.body.name().to_owned()),
    ]);
    metadata.extend(error.attr.clone().map(|attr| ("attr".to_owned(), attr)));
    metadata.extend(error.hint.map(|hint| ("hint".to_owned(), hint.into_owned())));
    let mut details = ErrorDetails::with_error_info(error.reason, DOMAIN, metadata);
    if let Some(attr) = error.attr {
        details.add_bad_request_violation(attr, error.detail);
    }
    if let Some(delay) = error.retry_after {
        details.set_retry_info(Some(delay));
    }
    details
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_error_carries_all_that_the_rest_body_says() {
        let status = Status::from(Error::field("key", "unique", "There is already one."));
        assert_eq!(status.code(), Grpc::InvalidArgument);
        let details = status.get_error_details();
        let info = details.error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("unique", DOMAIN));
        let said = |key: &str| info.metadata.get(key).map(String::as_str);
        assert_eq!(said("http_status"), Some("400"));
        assert_eq!(said("type"), Some("validation_error"));
        assert_eq!(said("attr"), Some("key"));
        assert_eq!(said("body"), Some("envelope"));
        let violation = &details.bad_request().unwrap().field_violations[0];
        assert_eq!(
            (violation.field.as_str(), violation.description.as_str()),
            ("key", "There is already one.")
        );
    }

    #[test]
    fn an_unavailable_database_says_when_to_try_again() {
        let status = Status::from(Error::unavailable("gone"));
        assert_eq!(status.code(), Grpc::Unavailable);
        assert!(status.get_error_details().retry_info().is_some());
        assert!(!status.message().contains("gone"));
    }
}
