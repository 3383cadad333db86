//! Credentials: made once in clear, kept as a hash, listed and revoked.
//!
//! What every key has to be is decided here, for the operator at the command
//! line and for the callers of [`super::api_keys`] alike.

use chrono::{DateTime, Utc};

use super::Services;
use crate::{
    auth::{Secret, TokenKind},
    model::{
        api_key::{ApiKey, NewApiKey},
        caller::{Caller, CredentialKind, Reach, Scope},
        error::{Error, Result},
        fields,
    },
    store::{Store, keys, users},
};

/// The longest label, in characters.
const MAX_LABEL: usize = 200;
/// The longest mail address that can receive mail.
const MAX_EMAIL: usize = 254;

/// A personal key that somebody asks for.
#[derive(Clone, Debug)]
pub(crate) struct WantedKey {
    pub(crate) reach: Reach,
    pub(crate) scopes: Vec<String>,
    /// Made when new; `None` is the caller, or the bootstrap user for the operator.
    pub(crate) user_email: Option<String>,
    pub(crate) label: String,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// A new key, and the key itself, which is shown this once.
#[derive(Debug)]
pub(crate) struct CreatedKey {
    pub(crate) key: ApiKey,
    pub(crate) secret: Secret,
}

impl Services {
    /// Makes a personal key for the operator.
    ///
    /// # Errors
    ///
    /// `Invalid` for an unknown scope or project, or an odd mail address.
    pub(crate) async fn create_operators_key(&self, wanted: WantedKey) -> Result<CreatedKey> {
        self.check_projects(&wanted.reach).await?;
        self.make_key(self.organization().await?, None, wanted).await
    }

    /// Makes a personal key in an organization whose projects the reach names. Without an
    /// address it is the maker's own, or the bootstrap user's where nobody made it.
    ///
    /// # Errors
    ///
    /// `Invalid` for an unknown scope, a label that is too long, an odd mail address, or an
    /// expiry that has passed.
    pub(super) async fn make_key(
        &self,
        organization_id: i64,
        maker: Option<i64>,
        wanted: WantedKey,
    ) -> Result<CreatedKey> {
        let now = self.clock.now();
        let email = wanted.user_email.as_deref().map(check_email).transpose()?;
        check_scopes(&wanted.scopes)?;
        check_label(&wanted.label)?;
        check_expiry(wanted.expires_at, now)?;
        let secret = Secret::generate(TokenKind::Personal);
        let txn = self.store.begin().await?;
        let user_id = match (email, maker) {
            (Some(email), _) => {
                Some(users::find_or_insert(&txn, organization_id, &email, now).await?)
            }
            (None, Some(maker)) => Some(maker),
            (None, None) => users::first(&txn).await?,
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
        let key = keys::insert(&txn, new, now).await?;
        self.store.commit(txn).await?;
        Ok(CreatedKey { key, secret })
    }

    /// The operator as a caller of use-cases: everything, signed by this user, made when new, or
    /// by the first.
    ///
    /// # Errors
    ///
    /// `Invalid` for an odd mail address.
    pub(crate) async fn operator(&self, email: Option<&str>) -> Result<Caller> {
        let organization_id = self.organization().await?;
        let email = email.map(check_email).transpose()?;
        let txn = self.store.begin().await?;
        let user_id = match email {
            Some(email) => {
                let now = self.clock.now();
                Some(users::find_or_insert(&txn, organization_id, &email, now).await?)
            }
            None => users::first(&txn).await?,
        };
        self.store.commit(txn).await?;
        Ok(Caller {
            kind: CredentialKind::Personal,
            // No stored key has this number.
            credential_id: 0,
            organization_id,
            user_id,
            reach: Reach::Organization,
            scopes: vec!["*".into()],
            expires_at: None,
        })
    }

    /// Every key, oldest first, for the operator.
    pub(crate) async fn list_operators_keys(&self) -> Result<Vec<ApiKey>> {
        self.store.keys(self.organization().await?).await
    }

    /// Takes a key back, for the operator. Running servers stop to honour it within a second.
    ///
    /// # Errors
    ///
    /// `NotFound` when there is no such key.
    pub(crate) async fn revoke_operators_key(&self, id: i64) -> Result<()> {
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
                return Err(no_project("project", *id));
            }
        }
        Ok(())
    }
}

/// The refusal of a project that is not there, or is another organization's.
pub(super) fn no_project(attr: &'static str, id: i64) -> Error {
    let detail = format!("Invalid pk \"{id}\" - object does not exist.");
    Error::field(attr, "does_not_exist", detail)
}

async fn first_organization(store: &Store) -> Result<i64> {
    let missing =
        || Error::blocked("The database has no organization yet; start `flagstaff serve` once.");
    store.first_organization().await?.ok_or_else(missing)
}

pub(super) fn check_scopes(scopes: &[String]) -> Result<()> {
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

fn check_email(email: &str) -> Result<String> {
    let email = fields::short_text("user_email", &email.into(), MAX_EMAIL)?;
    match email.split_once('@') {
        Some((user, host))
            if !user.is_empty() && !host.is_empty() && !email.contains(char::is_whitespace) =>
        {
            Ok(email)
        }
        _ => Err(Error::field("user_email", "invalid_input", "Enter a valid email address.")),
    }
}

fn check_label(label: &str) -> Result<()> {
    if fields::text("label", &label.into())?.chars().count() > MAX_LABEL {
        let detail = format!("Ensure this field has no more than {MAX_LABEL} characters.");
        return Err(Error::field("label", "max_length", detail));
    }
    Ok(())
}

fn check_expiry(expires_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Result<()> {
    match expires_at {
        Some(at) if at <= now => {
            Err(Error::field("expires_at", "invalid_input", "This time has passed."))
        }
        _ => Ok(()),
    }
}
