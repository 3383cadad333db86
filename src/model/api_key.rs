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
        }
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
