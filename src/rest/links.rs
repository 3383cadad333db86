//! Absolute links to the next and the previous page.

use http::{header::HOST, request::Parts};

use super::Settings;

/// Where links begin, and the path that a request came in on.
#[derive(Clone, Debug)]
pub(super) struct Base {
    origin: String,
    path: String,
}

impl Base {
    /// From the configured URL, else from the host that the request names.
    pub(super) fn of(settings: &Settings, parts: &Parts) -> Self {
        let origin = match &settings.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("{}://{}", settings.scheme, host(parts)),
        };
        Self { origin, path: parts.uri.path().to_owned() }
    }

    /// The request's own address with other parameters.
    pub(super) fn with<'a>(&self, query: impl Iterator<Item = (&'a str, String)>) -> String {
        let mut parameters = form_urlencoded::Serializer::new(String::new());
        for (name, value) in query {
            parameters.append_pair(name, &value);
        }
        let parameters = parameters.finish();
        let mark = if parameters.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{parameters}", self.origin, self.path)
    }
}

/// HTTP/2 has the host in the address, HTTP/1.1 in a header.
fn host(parts: &Parts) -> &str {
    let named = parts.uri.authority().map(http::uri::Authority::as_str);
    let header = || parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    named.or_else(header).unwrap_or("localhost")
}
