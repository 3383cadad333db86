//! In front of both edges: from a request's credential to an [`Identity`].

use std::sync::Arc;

use http::{HeaderMap, Uri, header::AUTHORIZATION};

use super::Authenticator;
use crate::model::{
    caller::Caller,
    error::{Code, Error, Result},
};

/// Who is behind a request, or why that could not be told. Nobody, where no credential was sent.
#[derive(Clone, Debug, Default)]
pub struct Identity(Option<Result<Arc<Caller>>>);

impl Identity {
    /// The caller, for operations that need one.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` when no credential was sent, or one that does not hold.
    pub fn caller(&self) -> Result<Arc<Caller>> {
        self.0.clone().unwrap_or_else(|| Err(Error::not_authenticated()))
    }
}

impl Identity {
    /// An identity that was not looked up, for this reason.
    #[must_use]
    pub fn refused(error: Error) -> Self {
        Self(Some(Err(error)))
    }

    /// Whether a credential was sent that does not hold.
    #[must_use]
    pub fn is_invalid(&self) -> bool {
        matches!(&self.0, Some(Err(error)) if error.code == Code::Unauthenticated)
    }
}

impl Authenticator {
    /// Whether the credential of a request is one that was read lately, or there is none. Cheap: it
    /// asks nobody.
    #[must_use]
    pub fn knows(&self, headers: &HeaderMap, uri: &Uri) -> bool {
        match (bearer(headers), query_key(uri)) {
            (Some(token), _) => self.is_known(token),
            (None, Some(token)) => self.is_known(&token),
            (None, None) => true,
        }
    }

    /// Who is behind a request with these headers, sent to this place.
    pub async fn identify(&self, headers: &HeaderMap, uri: &Uri) -> Identity {
        let caller = match (bearer(headers), query_key(uri)) {
            (Some(token), _) => self.caller(token).await,
            (None, Some(token)) => self.caller(&token).await,
            (None, None) => return Identity::default(),
        };
        Identity(Some(caller))
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The older place for a key (management-api 1.2).
fn query_key(uri: &Uri) -> Option<String> {
    let query = uri.query()?;
    if !query.contains("personal_api_key") {
        return None;
    }
    form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "personal_api_key")
        .map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_found_in_the_header_or_the_query() {
        let headers = |value: &str| HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
        assert_eq!(bearer(&headers("Bearer phx_1")), Some("phx_1"));
        assert_eq!(bearer(&headers("bearer  phx_1 ")), Some("phx_1"));
        assert_eq!(bearer(&headers("Basic abc")), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
        let uri = "/api/projects/1/?limit=1&personal_api_key=phx_2".parse().unwrap();
        assert_eq!(query_key(&uri).as_deref(), Some("phx_2"));
    }
}
