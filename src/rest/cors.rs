//! Lets pages of any site call the client paths and the client RPCs: without cookies, and with the
//! headers that they ask for (architecture 2, "CORS").
//!
//! Written out here because a preflight and a plain `OPTIONS` get one documented
//! answer on these paths, with `Allow`, which a ready-made layer would
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
const A_DAY: HeaderValue = HeaderValue::from_static("86400");

/// What pages may do on a path, and read of its answers.
#[derive(Debug)]
struct Policy {
    methods: HeaderValue,
    exposed: HeaderValue,
}

const CLIENT_PATH: Policy = Policy {
    methods: HeaderValue::from_static("GET, POST, OPTIONS, HEAD"),
    exposed: HeaderValue::from_static("ETag, Retry-After"),
};

/// gRPC-web reads the status of an answer without messages from its headers.
const CLIENT_RPC: Policy = Policy {
    methods: HeaderValue::from_static("POST, OPTIONS"),
    exposed: HeaderValue::from_static(
        "grpc-status, grpc-message, grpc-status-details-bin, retry-after, x-request-id",
    ),
};

/// Opens every path of a router to pages of any site.
pub(super) async fn open_to_all(request: Request, next: Next) -> Response {
    let page = PageRequest::of(&request);
    let mut response = next.run(request).await;
    page.open_path(&mut response);
    response
}

/// A request as far as a page may have made it.
#[derive(Debug)]
pub struct PageRequest {
    is_options: bool,
    headers: Option<HeaderValue>,
}

impl PageRequest {
    /// Reads what a preflight asks for.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        let is_options = request.method() == Method::OPTIONS;
        let headers = request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS);
        Self { is_options, headers: headers.filter(|_| is_options).cloned() }
    }

    /// Lets the page read the answer of a client path.
    pub(super) fn open_path(self, response: &mut Response) {
        self.open(&CLIENT_PATH, response);
    }

    /// Lets the page read the answer of a client RPC over gRPC-web.
    pub fn open_rpc(self, response: &mut Response) {
        self.open(&CLIENT_RPC, response);
    }

    fn open(self, policy: &Policy, response: &mut Response) {
        let headers = response.headers_mut();
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, policy.exposed.clone());
        if self.is_options {
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, policy.methods.clone());
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
