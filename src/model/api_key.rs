//! A stored credential: what it was made for, and whether it still holds.

use chrono::{DateTime, Utc};

use super::{
    caller::{Caller, CredentialKind, Reach},
    error::{Error, Result},
};

/// A personal API key or a project secret, without the secret itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// Its number, for listing and revoking.
    pub id: i64,
    /// Personal or project secret.
    pub kind: CredentialKind,
    /// The first and last characters, so that people can tell keys apart.
    pub hint: String,
    /// What its maker called it.
    pub label: String,
    /// The organization it opens.
    pub organization_id: i64,
    /// The user that a personal key acts for.
    pub user_id: Option<i64>,
    /// The projects it reaches.
    pub reach: Reach,
    /// Scope texts, as granted.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it stops to hold; `None` is never.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was taken back.
    pub revoked_at: Option<DateTime<Utc>>,
    /// About when it was last shown; kept to the minute.
    pub last_used_at: Option<DateTime<Utc>>,
}

impl ApiKey {
    /// Asks whether it holds at `now`.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` when it was revoked or has expired.
    pub fn require_valid(&self, now: DateTime<Utc>) -> Result<()> {
        if self.revoked_at.is_some() {
            return Err(Self::revoked());
        }
        if self.expires_at.is_some_and(|expiry| expiry <= now) {
            return Err(Error::authentication_failed("API key has expired."));
        }
        Ok(())
    }

    /// The refusal of a key that was revoked.
    #[must_use]
    pub fn revoked() -> Error {
        Error::authentication_failed("API key has been revoked.")
    }

    /// Whoever shows this key, for as long as it holds.
    #[must_use]
    pub fn caller(&self) -> Caller {
        Caller {
            kind: self.kind,
            credential_id: self.id,
            organization_id: self.organization_id,
            user_id: self.user_id,
            reach: self.reach.clone(),
            scopes: self.scopes.clone(),
            expires_at: self.expires_at,
        }
    }
}

/// Returns the expiry of a key that is asked for with a credential which itself expires at `maker`:
/// a key lives no longer than the one that makes it.
///
/// # Errors
///
/// `Invalid` on `expires_at` for a later time.
pub fn inherited_expiry(
    asked: Option<DateTime<Utc>>,
    maker: Option<DateTime<Utc>>,
) -> Result<Option<DateTime<Utc>>> {
    match (asked, maker) {
        (Some(asked), Some(maker)) if asked > maker => {
            let detail = "This key cannot outlive the API key that makes it.";
            Err(Error::field("expires_at", "invalid_input", detail))
        }
        (asked, maker) => Ok(asked.or(maker)),
    }
}

/// A key about to be stored.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Personal or project secret.
    pub kind: CredentialKind,
    /// SHA-256 of the token, in hex.
    pub token_hash: String,
    /// See [`ApiKey::hint`].
    pub hint: String,
    /// See [`ApiKey::label`].
    pub label: String,
    /// See [`ApiKey::organization_id`].
    pub organization_id: i64,
    /// See [`ApiKey::user_id`].
    pub user_id: Option<i64>,
    /// See [`ApiKey::reach`].
    pub reach: Reach,
    /// See [`ApiKey::scopes`].
    pub scopes: Vec<String>,
    /// See [`ApiKey::expires_at`].
    pub expires_at: Option<DateTime<Utc>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_lives_no_longer_than_the_one_that_makes_it() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0);
        let cases = [
            (None, None, Some(None)),
            (at(5), None, Some(at(5))),
            (None, at(9), Some(at(9))),
            (at(5), at(9), Some(at(5))),
            (at(9), at(9), Some(at(9))),
            (at(10), at(9), None),
        ];
        for (asked, maker, expected) in cases {
            let expiry = inherited_expiry(asked, maker);
            assert_eq!(expiry.as_ref().ok(), expected.as_ref(), "{asked:?} by {maker:?}");
            if let Err(error) = expiry {
                assert_eq!(error.attr.as_deref(), Some("expires_at"));
            }
        }
    }
}
