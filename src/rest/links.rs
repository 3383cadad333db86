//! Absolute links to the next and the previous page.

use http::{header::HOST, request::Parts};

use super::Settings;

/// Where links begin, and the path that a request came in on.
#[derive(Clone, Debug)]
pub(super) struct Base {
    origin: String,
    path: String,
}

/// How a client reached the service, as a trusted proxy tells it.
#[derive(Clone, Debug, Default)]
pub struct Forwarded {
    /// `http` or `https`.
    pub scheme: Option<&'static str>,
    /// A host, with its port where it has one.
    pub host: Option<String>,
}

impl Base {
    /// From the configured URL, else from what a trusted proxy tells, else from the host that
    /// the request names.
    pub(super) fn of(settings: &Settings, parts: &Parts) -> Self {
        let nothing = Forwarded::default();
        let forwarded = parts.extensions.get::<Forwarded>().unwrap_or(&nothing);
        let origin = match &settings.public_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => {
                let scheme = forwarded.scheme.unwrap_or(settings.scheme);
                format!("{scheme}://{}", forwarded.host.as_deref().unwrap_or_else(|| host(parts)))
            }
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
