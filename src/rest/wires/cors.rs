//! Lets pages of any site call the client paths: without cookies, and with the
//! headers that they ask for (architecture 2, "CORS").
//!
//! Written out here because a preflight and a plain `OPTIONS` get one documented
//! answer on these paths, 204 with `Allow`, which a ready-made layer would
//! take over.

use axum::{extract::Request, middleware::Next, response::Response};
use http::{
    HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
        VARY,
    },
};

const ANY: HeaderValue = HeaderValue::from_static("*");
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS, HEAD");
const EXPOSED: HeaderValue = HeaderValue::from_static("ETag, Retry-After");
const A_DAY: HeaderValue = HeaderValue::from_static("86400");

/// Says so in each answer, and says yes to each preflight.
pub(super) async fn open_to_all(request: Request, next: Next) -> Response {
    let asked = Asked::of(&request);
    let mut response = next.run(request).await;
    asked.tell(&mut response);
    response
}

/// What a page asked for.
#[derive(Debug)]
pub(super) struct Asked {
    is_options: bool,
    headers: Option<HeaderValue>,
}

impl Asked {
    pub(super) fn of(request: &Request) -> Self {
        let is_options = request.method() == Method::OPTIONS;
        let headers = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS);
        Self { is_options, headers: headers.filter(|_| is_options).cloned() }
    }

    pub(super) fn tell(self, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        if self.is_options {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            // An asterisk would not cover `Authorization`, which some clients add.
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, self.headers.unwrap_or(ANY));
            headers.insert(ACCESS_CONTROL_MAX_AGE, A_DAY);
            headers.insert(VARY, HeaderValue::from(ACCESS_CONTROL_REQUEST_HEADERS));
            if response.status() == StatusCode::METHOD_NOT_ALLOWED {
                *response.status_mut() = StatusCode::NO_CONTENT;
            }
        }
    }
}
