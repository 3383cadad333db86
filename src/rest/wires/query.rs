//! The query of a client's request.

use std::borrow::Cow;

use http::Uri;

use crate::sdk::protocol::is_true;

/// The query parameters, an empty one counting as absent.
#[derive(Debug)]
pub(super) struct Query<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Query<'a> {
    pub(super) fn of(uri: &'a Uri) -> Self {
        Self(form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).collect())
    }

    /// The first parameter of that name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.sent(name).filter(|value| !value.is_empty())
    }

    pub(super) fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(is_true)
    }

    /// Whether a parameter is there, with any value but `false`.
    pub(super) fn is_present(&self, name: &str) -> bool {
        self.sent(name).is_some_and(|value| !value.eq_ignore_ascii_case("false"))
    }

    fn sent(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| &**value)
    }
}
