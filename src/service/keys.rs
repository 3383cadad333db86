//! Credentials: made once in clear, kept as a hash, listed and revoked.

use chrono::{DateTime, Utc};

use super::Services;
use crate::{
    auth::{Secret, TokenKind},
    model::{
        api_key::{ApiKey, NewApiKey},
        caller::{CredentialKind, Reach, Scope},
        error::{Error, Result},
    },
    store::{Store, keys, users},
};

/// A personal key that an operator asks for.
#[derive(Clone, Debug)]
pub(crate) struct WantedKey {
    pub(crate) reach: Reach,
    pub(crate) scopes: Vec<String>,
    /// Made when new; `None` is the bootstrap user.
    pub(crate) user_email: Option<String>,
    pub(crate) label: String,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

impl Services {
    /// Makes a personal key, and shows it for the only time.
    ///
    /// # Errors
    ///
    /// `Invalid` for an unknown scope or project, or an odd mail address.
    pub(crate) async fn create_key(&self, wanted: WantedKey) -> Result<Secret> {
        check_scopes(&wanted.scopes)?;
        self.check_projects(&wanted.reach).await?;
        let organization_id = self.organization().await?;
        let now = self.clock.now();
        let secret = Secret::generate(TokenKind::Personal);
        let txn = self.store.begin().await?;
        let user_id = match wanted.user_email.as_deref().map(check_email).transpose()? {
            Some(email) => Some(users::find_or_insert(&txn, organization_id, email, now).await?),
            None => users::first(&txn).await?,
        };
        let new = NewApiKey {
            kind: CredentialKind::Personal,
            token_hash: secret.hash(),
            hint: secret.hint(),
            label: wanted.label,
            organization_id,
            user_id,
            reach: wanted.reach,
            scopes: wanted.scopes,
            expires_at: wanted.expires_at,
        };
        keys::insert(&txn, new, now).await?;
        self.store.commit(txn).await?;
        Ok(secret)
    }

    /// Every key, oldest first.
    pub(crate) async fn list_keys(&self) -> Result<Vec<ApiKey>> {
        self.store.keys(self.organization().await?).await
    }

    /// Takes a key back. Running servers stop to honour it within a second.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such key.
    pub(crate) async fn revoke_key(&self, id: i64) -> Result<()> {
        let organization_id = self.organization().await?;
        match self.store.revoke_key(organization_id, id, self.clock.now()).await? {
            true => Ok(()),
            false => Err(Error::not_found()),
        }
    }

    pub(super) async fn organization(&self) -> Result<i64> {
        first_organization(&self.store).await
    }

    async fn check_projects(&self, reach: &Reach) -> Result<()> {
        let Reach::Projects(ids) = reach else { return Ok(()) };
        for id in ids {
            if self.store.project(*id).await?.is_none() {
                let detail = format!("Invalid pk \"{id}\" - object does not exist.");
                return Err(Error::field("project", "does_not_exist", detail));
            }
        }
        Ok(())
    }
}

async fn first_organization(store: &Store) -> Result<i64> {
    let missing =
        || Error::blocked("The database has no organization yet; start `flagstaff serve` once.");
    store.first_organization().await?.ok_or_else(missing)
}

fn check_scopes(scopes: &[String]) -> Result<()> {
    let refuse = |detail: String| Error::field("scopes", "invalid_choice", detail);
    if scopes.is_empty() {
        return Err(refuse(format!("At least one scope is needed: {}.", Scope::known())));
    }
    match scopes.iter().find(|scope| !Scope::is_known(scope)) {
        None => Ok(()),
        Some(scope) => {
            let known = Scope::known();
            Err(refuse(format!("\"{scope}\" is not a valid choice. Scopes are {known}.")))
        }
    }
}

fn check_email(email: &str) -> Result<&str> {
    let email = email.trim();
    match email.split_once('@') {
        Some((user, host))
            if !user.is_empty() && !host.is_empty() && !email.contains(char::is_whitespace) =>
        {
            Ok(email)
        }
        _ => Err(Error::field("user", "invalid_input", "Enter a valid email address.")),
    }
}
