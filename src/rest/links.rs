//! Absolute links to the next and the previous page.

use std::net::Ipv6Addr;

use http::{header::HOST, request::Parts};

use super::Settings;
use crate::auth::TokenKind;

/// Parameters that carry a credential, in lower case. Links never repeat them: they are logged,
/// shared and shown where a key has no place.
const CREDENTIALS: [&str; 12] = [
    "personal_api_key",
    "api_key",
    "apikey",
    "secret_api_key",
    "secret_api_token",
    "project_secret",
    "project_secret_api_key",
    "secret",
    "access_token",
    "auth_token",
    "authorization",
    "token",
];

/// The longest name of a host.
const MAX_HOST_LENGTH: usize = 253;

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

    /// The request's own address with other parameters. Those that hold a credential are left out.
    pub(super) fn with<'a>(&self, query: impl Iterator<Item = (&'a str, String)>) -> String {
        let mut parameters = form_urlencoded::Serializer::new(String::new());
        for (name, value) in query.filter(|(name, value)| !is_credential(name, value)) {
            parameters.append_pair(name, &value);
        }
        let parameters = parameters.finish();
        let mark = if parameters.is_empty() { "" } else { "?" };
        format!("{}{}{mark}{parameters}", self.origin, self.path)
    }
}

/// Returns whether a parameter is a credential: by its name, or by the form of its value. A
/// project's public token is none; with it `@current` names the project.
fn is_credential(name: &str, value: &str) -> bool {
    let named = CREDENTIALS.iter().any(|credential| name.eq_ignore_ascii_case(credential));
    match TokenKind::of(value.trim()) {
        Some(TokenKind::Personal | TokenKind::ProjectSecret) => true,
        Some(TokenKind::Project) => named && !name.eq_ignore_ascii_case("token"),
        None => named,
    }
}

/// HTTP/2 has the host in the address, HTTP/1.1 in a header. What is no host is not repeated.
fn host(parts: &Parts) -> &str {
    let named = parts.uri.authority().map(http::uri::Authority::as_str);
    let header = || parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    named.or_else(header).filter(|host| is_host(host)).unwrap_or("localhost")
}

/// Returns whether a text is a host with or without a port, as a link may repeat it: a name, an IPv4
/// address, or an IPv6 address in brackets. There are no credentials in it, and nothing encoded.
#[must_use]
pub fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, rest))) => {
            if address.parse::<Ipv6Addr>().is_err() {
                return false;
            }
            ("v6", rest.strip_prefix(':').or(rest.is_empty().then_some("0")))
        }
        Some(None) => return false,
        None => match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, Some("0")),
        },
    };
    let is_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-' | b'_');
    !host.is_empty()
        && host.len() <= MAX_HOST_LENGTH
        && host.bytes().all(is_name)
        && port.is_some_and(|port| port.parse::<u16>().is_ok() && !port.starts_with('+'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_and_nothing_else() {
        let hosts = [
            "flags.example.com",
            "flags.example.com:8443",
            "localhost",
            "my_service-1:80",
            "127.0.0.1:8080",
            "[::1]",
            "[2001:db8::1]:8080",
            "xn--bcher-kva.example",
        ];
        assert_eq!(hosts.into_iter().find(|host| !is_host(host)), None);
        let others = [
            "",
            "evil\">",
            "a b",
            "ann:secret@example.com",
            "ann@example.com",
            "a/b",
            "a?b",
            "a#b",
            "a%22",
            "[::1",
            "[::1]x",
            "[evil]",
            "::1",
            "a:",
            "a:x",
            "a:+1",
            "a:99999",
            "a:1:2",
            "<b>",
            "a\\b",
            "b\u{fc}cher.example",
            ":80",
        ];
        assert_eq!(others.into_iter().find(|other| is_host(other)), None);
    }

    #[test]
    fn credentials_are_known_by_name_or_by_form() {
        let cases = [
            ("personal_api_key", "anything", true),
            ("Personal_API_Key", "x", true),
            ("token", "phx_1", true),
            ("token", "junk", true),
            ("token", "phc_1", false),
            ("api_key", "phc_1", true),
            ("search", "phs_1", true),
            ("search", " phx_1", true),
            ("search", "beta", false),
            ("tags", "[]", false),
        ];
        for (name, value, expected) in cases {
            assert_eq!(is_credential(name, value), expected, "{name}={value}");
        }
    }
}
