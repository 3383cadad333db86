//! Decides what a failure is called, and what its caller is told.
//!
//! There is one [`Error`] for the whole service. Both edges render it: REST as
//! the documented body (management-api 1.3), gRPC as a status with details
//! (1.6). The text in it is for callers; causes travel as [`source`] and are
//! for logs alone, so that no answer leaks how the service is built.
//!
//! Use the constructor that says what happened. Only when none fits, and the
//! document gives an exact body, reach for [`Error::with_body`].
//!
//! [`source`]: std::error::Error::source

use std::{borrow::Cow, sync::Arc, time::Duration};

/// The result of everything that can fail towards a caller.
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync>;
type SharedSource = Arc<dyn std::error::Error + Send + Sync>;

/// The few kinds of failure that callers can tell apart by status alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// A field or the request itself is wrong: 400, `INVALID_ARGUMENT`.
    Invalid,
    /// The request is fine, the state of other things forbids it: 400, `FAILED_PRECONDITION`.
    Blocked,
    /// No credential, or one that is not valid: 401, `UNAUTHENTICATED`.
    Unauthenticated,
    /// The credential does not reach this far: 403, `PERMISSION_DENIED`.
    Forbidden,
    /// Nothing of that name in the caller's sight: 404, `NOT_FOUND`.
    NotFound,
    /// The path exists, the verb does not: 405, `UNIMPLEMENTED`.
    MethodNotAllowed,
    /// Somebody else changed it meanwhile: 409, `ABORTED`.
    Conflict,
    /// The body is larger than the service takes: 413, `RESOURCE_EXHAUSTED`.
    TooLarge,
    /// The body is of a type the service does not read: 415, `INVALID_ARGUMENT`.
    UnsupportedMediaType,
    /// Stored data does not allow an answer: 422, `FAILED_PRECONDITION`.
    Unprocessable,
    /// Too many requests: 429, `RESOURCE_EXHAUSTED`.
    Throttled,
    /// More at once than the service takes; a retry may succeed: 503, `RESOURCE_EXHAUSTED`.
    Overloaded,
    /// A defect or damaged data: 500, `INTERNAL`.
    Internal,
    /// Part of the contract, not built yet: 501, `UNIMPLEMENTED`.
    Unimplemented,
    /// The database cannot be reached in time; a retry may succeed: 503, `UNAVAILABLE`.
    Unavailable,
}

impl Code {
    /// The HTTP status, which both edges report.
    #[must_use]
    pub const fn http_status(self) -> u16 {
        match self {
            Self::Invalid | Self::Blocked => 400,
            Self::Unauthenticated => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Unprocessable => 422,
            Self::Throttled => 429,
            Self::Internal => 500,
            Self::Unimplemented => 501,
            Self::Unavailable | Self::Overloaded => 503,
        }
    }

    /// The envelope's `type` (management-api 1.3; a 409 really is a `server_error`).
    const fn default_type(self) -> &'static str {
        match self {
            Self::Invalid | Self::Blocked => "validation_error",
            Self::Unauthenticated | Self::Forbidden => "authentication_error",
            Self::NotFound
            | Self::MethodNotAllowed
            | Self::TooLarge
            | Self::UnsupportedMediaType
            | Self::Unprocessable => "invalid_request",
            Self::Throttled => "throttled_error",
            Self::Conflict
            | Self::Overloaded
            | Self::Internal
            | Self::Unimplemented
            | Self::Unavailable => "server_error",
        }
    }
}

/// The shape of the documented REST body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// `{"type", "code", "detail", "attr"}`, the usual one.
    Envelope,
    /// `{"error": detail}`.
    Error,
    /// `{"success": false, "error": detail}`.
    SuccessError,
    /// `{"detail": detail}`.
    Detail,
    /// `{"detail": detail, "error": detail}`.
    DetailError,
    /// The detail as plain text.
    Text,
    /// No bytes at all.
    Empty,
}

impl BodyKind {
    /// The name used in gRPC's `ErrorInfo` metadata.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Envelope => "envelope",
            Self::Error => "error",
            Self::SuccessError => "success_error",
            Self::Detail => "detail",
            Self::DetailError => "detail_error",
            Self::Text => "text",
            Self::Empty => "empty",
        }
    }
}

/// A failure, as its caller is told of it.
///
/// Its parts are those of [`Failure`]; the box keeps results small.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct Error(Box<Failure>);

/// The parts of an [`Error`].
#[derive(Clone, Debug, thiserror::Error)]
#[error("{detail}")]
pub struct Failure {
    /// Which status it has.
    pub code: Code,
    /// The envelope's `type`.
    pub kind: &'static str,
    /// The envelope's `code`: what a program branches on.
    pub reason: Cow<'static, str>,
    /// The sentence for people.
    pub detail: String,
    /// The field that is to blame, nested names joined with `__`.
    pub attr: Option<String>,
    /// The shape of the REST body.
    pub body: BodyKind,
    /// When a retry makes sense; whole seconds on the wire.
    pub retry_after: Option<Duration>,
    /// What to do about it, where the documented sentence does not say; beside the body. ASCII, as
    /// it travels in a header.
    pub hint: Option<Cow<'static, str>>,
    #[source]
    source: Option<SharedSource>,
}

impl std::ops::Deref for Error {
    type Target = Failure;

    fn deref(&self) -> &Failure {
        &self.0
    }
}

impl Error {
    fn new(code: Code, reason: impl Into<Cow<'static, str>>, detail: impl Into<String>) -> Self {
        Self(Box::new(Failure {
            code,
            kind: code.default_type(),
            reason: reason.into(),
            detail: detail.into(),
            attr: None,
            body: BodyKind::Envelope,
            retry_after: None,
            hint: None,
            source: None,
        }))
    }

    /// The parts, to be taken apart.
    #[must_use]
    pub fn into_parts(self) -> Failure {
        *self.0
    }

    fn with_source(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into().into());
        self
    }

    /// One field does not hold a usable value.
    pub fn field(
        attr: impl Into<String>,
        reason: impl Into<Cow<'static, str>>,
        detail: impl Into<String>,
    ) -> Self {
        Self::new(Code::Invalid, reason, detail).on(attr)
    }

    /// A rule over several fields is broken.
    pub fn rule(detail: impl Into<String>) -> Self {
        Self::new(Code::Invalid, "invalid_input", detail)
    }

    /// Something else's state forbids it: dependents, links, limits.
    pub fn blocked(detail: impl Into<String>) -> Self {
        Self::new(Code::Blocked, "invalid_input", detail)
    }

    /// Text holds a NUL, which no database column takes.
    pub fn null_characters(attr: impl Into<String>) -> Self {
        Self::field(attr, "null_characters_not_allowed", "Null characters are not allowed.")
    }

    /// The body is not JSON.
    pub fn parse(problem: impl std::fmt::Display) -> Self {
        let detail = format!("JSON parse error - {problem}");
        let mut error = Self::new(Code::Invalid, "parse_error", detail);
        error.0.kind = "invalid_request";
        error
    }

    /// No credential was sent.
    #[must_use]
    pub fn not_authenticated() -> Self {
        let detail = "Authentication credentials were not provided.";
        Self::new(Code::Unauthenticated, "not_authenticated", detail)
    }

    /// A credential was sent that does not hold.
    pub fn authentication_failed(detail: impl Into<String>) -> Self {
        Self::new(Code::Unauthenticated, "authentication_failed", detail)
    }

    /// The credential does not reach this far.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(Code::Forbidden, "permission_denied", detail)
    }

    /// Nothing of that name is in the caller's sight.
    #[must_use]
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "not_found", "Not found.")
    }

    /// Something that is not there, told in an operation's own words.
    pub fn missing(detail: impl Into<String>) -> Self {
        Self::new(Code::NotFound, "not_found", detail)
    }

    /// What is stored does not allow an answer.
    pub fn unprocessable(detail: impl Into<String>) -> Self {
        Self::new(Code::Unprocessable, "unprocessable", detail)
    }

    /// Too many requests; another may succeed after `wait`, told in whole seconds.
    #[must_use]
    pub fn throttled(wait: Duration) -> Self {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let seconds = seconds.max(1);
        let detail = format!("Request was throttled. Expected available in {seconds} seconds.");
        let mut error = Self::new(Code::Throttled, "throttled", detail);
        error.0.retry_after = Some(Duration::from_secs(seconds));
        error
    }

    /// The path does not know this verb.
    pub fn method_not_allowed(method: impl std::fmt::Display) -> Self {
        let detail = format!("Method \"{method}\" not allowed.");
        Self::new(Code::MethodNotAllowed, "method_not_allowed", detail)
    }

    /// Somebody else changed it meanwhile.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(Code::Conflict, "conflict", detail)
    }

    /// The body is larger than `limit_bytes`.
    #[must_use]
    pub fn too_large(limit_bytes: usize) -> Self {
        let detail = format!("Request body is larger than {limit_bytes} bytes.");
        Self::new(Code::TooLarge, "request_too_large", detail)
    }

    /// The body's content type is not one the service reads.
    pub fn unsupported_media_type(media_type: impl std::fmt::Display) -> Self {
        let detail = format!("Unsupported media type \"{media_type}\" in request.");
        Self::new(Code::UnsupportedMediaType, "unsupported_media_type", detail)
    }

    /// Part of the contract, not built yet.
    pub fn unimplemented(what: impl std::fmt::Display) -> Self {
        Self::new(Code::Unimplemented, "unimplemented", format!("{what} is not implemented yet."))
    }

    /// A defect, or data that is damaged; the source goes to the log.
    pub fn internal(source: impl Into<Source>) -> Self {
        Self::new(Code::Internal, "error", "A server error occurred.").with_source(source)
    }

    /// A remote configuration's payload is under a key that is not known (management-api 4.2).
    #[must_use]
    pub fn undecryptable() -> Self {
        let detail = "Failed to decrypt the remote config payload. \
                      Please contact support if the problem persists.";
        Self::new(Code::Internal, "remote_config_decrypt_failed", detail)
            .with_source("no encryption key fits a stored payload")
            .with_hint(
                "No configured encryption key decrypts this payload. Give the service the key that \
                 it was encrypted with (--encryption-keys, FLAGSTAFF_ENCRYPTION_KEYS), or write the \
                 payload anew.",
            )
    }

    /// The database could not be reached in time; the source goes to the log.
    pub fn unavailable(source: impl Into<Source>) -> Self {
        let detail = "The service is temporarily unavailable. Please try again.";
        let mut error = Self::new(Code::Unavailable, "unavailable", detail).with_source(source);
        error.0.retry_after = Some(Duration::from_secs(1));
        error
    }

    /// More is waiting than the service takes on; whoever asks later may be served.
    #[must_use]
    pub fn overloaded() -> Self {
        let detail = "The service is overloaded. Please try again.";
        let mut error = Self::new(Code::Overloaded, "overloaded", detail);
        error.0.retry_after = Some(Duration::from_secs(1));
        error
    }

    /// The same failure, with advice that travels beside the body.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same failure, with another machine code.
    #[must_use]
    pub fn with_reason(mut self, reason: &'static str) -> Self {
        self.0.reason = reason.into();
        self
    }

    /// The same failure, with the body that the document gives for this operation.
    #[must_use]
    pub fn with_body(mut self, body: BodyKind) -> Self {
        self.0.body = body;
        self
    }

    /// The same failure, told in an operation's own words.
    #[must_use]
    pub fn saying(mut self, detail: impl Into<String>) -> Self {
        self.0.detail = detail.into();
        self
    }

    /// The same failure, blamed on a field.
    #[must_use]
    pub fn on(mut self, attr: impl Into<String>) -> Self {
        self.0.attr = Some(attr.into());
        self
    }

    /// The causes, outermost first, for a log line.
    #[must_use]
    pub fn causes(&self) -> String {
        let mut causes = Vec::new();
        let mut next = std::error::Error::source(&**self);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        causes.join(": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_has_the_documented_status_type_and_code() {
        let cases = [
            (Error::field("key", "unique", "…"), 400, "validation_error", "unique"),
            (Error::rule("…"), 400, "validation_error", "invalid_input"),
            (Error::blocked("…"), 400, "validation_error", "invalid_input"),
            (Error::parse("…"), 400, "invalid_request", "parse_error"),
            (Error::not_authenticated(), 401, "authentication_error", "not_authenticated"),
            (
                Error::authentication_failed("…"),
                401,
                "authentication_error",
                "authentication_failed",
            ),
            (Error::forbidden("…"), 403, "authentication_error", "permission_denied"),
            (Error::not_found(), 404, "invalid_request", "not_found"),
            (Error::method_not_allowed("PUT"), 405, "invalid_request", "method_not_allowed"),
            (Error::conflict("…"), 409, "server_error", "conflict"),
            (
                Error::unsupported_media_type("text/css"),
                415,
                "invalid_request",
                "unsupported_media_type",
            ),
            (Error::throttled(Duration::ZERO), 429, "throttled_error", "throttled"),
            (Error::internal("…"), 500, "server_error", "error"),
            (Error::overloaded(), 503, "server_error", "overloaded"),
            (Error::undecryptable(), 500, "server_error", "remote_config_decrypt_failed"),
        ];
        for (error, status, kind, reason) in cases {
            let got = (error.code.http_status(), error.kind, error.reason.as_ref());
            assert_eq!(got, (status, kind, reason), "{error:?}");
        }
    }

    #[test]
    fn a_wait_is_told_in_whole_seconds_and_never_as_none() {
        let waits = [(0, 1), (1, 1), (999, 1), (1000, 1), (1001, 2), (59_999, 60)];
        for (millis, seconds) in waits {
            let error = Error::throttled(Duration::from_millis(millis));
            let detail = format!("Request was throttled. Expected available in {seconds} seconds.");
            assert_eq!(error.detail, detail, "{millis} ms");
            assert_eq!(error.retry_after, Some(Duration::from_secs(seconds)), "{millis} ms");
        }
    }

    #[test]
    fn a_cause_is_for_the_log_and_never_in_the_text() {
        let error = Error::internal("disk on fire");
        assert_eq!(error.to_string(), "A server error occurred.");
        assert_eq!(error.causes(), "disk on fire");
    }
}
