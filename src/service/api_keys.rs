//! Keys as callers of the network make, list and revoke them.
//!
//! A key hands on no more than it has: no scope that its maker lacks, no
//! project that its maker does not open, no longer life than its maker's. And what a caller may not open it does
//! not learn of: a key is shown with those of its projects that the caller
//! opens.

use chrono::{DateTime, Utc};

use super::{
    Services,
    access::elsewhere,
    keys::{CreatedKey, WantedKey, no_project},
    page::{Page, Wanted},
};
use crate::{
    auth::Secret,
    model::{
        api_key::{ApiKey, inherited_expiry},
        caller::{Caller, Reach, Scope},
        error::{Error, Result},
        project::ProjectRef,
    },
};

/// The most projects that a request for a key may name.
const MOST_PROJECTS: usize = 1_000;

/// A key that a caller asks for, beside the project it is asked for in.
#[derive(Clone, Debug, Default)]
pub(crate) struct AskedKey {
    pub(crate) scopes: Vec<String>,
    pub(crate) label: String,
    /// Made when new; `None` is the caller.
    pub(crate) user_email: Option<String>,
    pub(crate) additional_project_ids: Vec<i64>,
    pub(crate) all_projects: bool,
    pub(crate) expires_at: Option<DateTime<Utc>>,
}

/// A key, and whose it is.
#[derive(Clone, Debug)]
pub(crate) struct ShownKey {
    pub(crate) key: ApiKey,
    /// `None` for a project secret.
    pub(crate) user_email: Option<String>,
}

impl Services {
    /// Makes a personal key, and shows it for the only time.
    ///
    /// # Errors
    ///
    /// `Forbidden` for a scope or a project that the caller does not have; `Invalid` for an
    /// unknown scope or project, a long label, an odd mail address, or an expiry that has passed or
    /// is later than that of the caller's key.
    pub(crate) async fn create_api_key(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        asked: AskedKey,
    ) -> Result<(ShownKey, Secret)> {
        let project = self.open(caller, Scope::PROJECT_WRITE, project).await?;
        let reach = self.wanted_reach(caller, project.id, &asked).await?;
        let AskedKey { scopes, label, user_email, expires_at, .. } = asked;
        let expires_at = inherited_expiry(expires_at, caller.expires_at)?;
        let wanted = WantedKey { reach, scopes, user_email, label, expires_at };
        super::keys::check_scopes(&wanted.scopes)?;
        wanted.scopes.iter().try_for_each(|scope| caller.may_grant(scope))?;
        let CreatedKey { key, secret } =
            self.make_key(caller.organization_id, caller.user_id, wanted).await?;
        Ok((self.shown_key(caller, key).await?, secret))
    }

    /// The keys that open a project, newest first; revoked ones included.
    pub(crate) async fn list_api_keys(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        wanted: Wanted,
    ) -> Result<Page<ShownKey>> {
        let project = self.open(caller, Scope::PROJECT_WRITE, project).await?;
        let part = (wanted.offset, wanted.limit);
        let (keys, total) = self.store.keys_page(caller.organization_id, project.id, part).await?;
        Ok(Page { results: self.shown_keys(caller, keys).await?, total, wanted })
    }

    /// Takes a key back. This process does not honour it from then on, and ends what was opened
    /// with it; others follow within a second.
    ///
    /// # Errors
    ///
    /// `NotFound` for a key that does not open the project; `Forbidden` for one that opens
    /// projects which the caller does not.
    pub(crate) async fn revoke_api_key(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<ShownKey> {
        let project = self.open(caller, Scope::PROJECT_WRITE, project).await?;
        let organization_id = caller.organization_id;
        let found = self.store.key(organization_id, project.id, id).await?;
        // What a key opens never changes, so this holds until it is revoked.
        if !caller.opens_all_of(&found.ok_or_else(Error::not_found)?.reach) {
            return Err(Error::forbidden("The key opens projects that this API key does not."));
        }
        self.store.revoke_key(organization_id, id, self.clock.now()).await?;
        self.watches.revoked(id);
        let revoked = self.store.key(organization_id, project.id, id).await?;
        self.shown_key(caller, revoked.ok_or_else(Error::not_found)?).await
    }

    async fn wanted_reach(
        &self,
        caller: &Caller,
        project_id: i64,
        asked: &AskedKey,
    ) -> Result<Reach> {
        let attr = "additional_project_ids";
        let additional = &asked.additional_project_ids;
        if asked.all_projects && !additional.is_empty() {
            let detail = "Not together with `all_projects`.";
            return Err(Error::field(attr, "invalid_input", detail));
        }
        if asked.all_projects {
            let some = || Error::forbidden("API key does not have access to all projects.");
            return (caller.reach == Reach::Organization)
                .then_some(Reach::Organization)
                .ok_or_else(some);
        }
        if additional.len() >= MOST_PROJECTS {
            let detail = format!("Ensure this field has less than {MOST_PROJECTS} elements.");
            return Err(Error::field(attr, "max_length", detail));
        }
        if let Some(id) = additional.iter().find(|id| !caller.opens(**id)) {
            return Err(elsewhere(*id));
        }
        let mut ids: Vec<_> = additional.iter().copied().chain([project_id]).collect();
        ids.sort_unstable();
        ids.dedup();
        let part = (0, u64::try_from(ids.len()).unwrap_or(u64::MAX));
        let (known, _) = self.store.projects_page(caller.organization_id, Some(&ids), part).await?;
        match ids.iter().find(|id| !known.iter().any(|project| project.id == **id)) {
            Some(id) => Err(no_project(attr, *id)),
            None => Ok(Reach::Projects(ids)),
        }
    }

    async fn shown_key(&self, caller: &Caller, key: ApiKey) -> Result<ShownKey> {
        let shown = self.shown_keys(caller, vec![key]).await?;
        shown.into_iter().next().ok_or_else(Error::not_found)
    }

    async fn shown_keys(&self, caller: &Caller, keys: Vec<ApiKey>) -> Result<Vec<ShownKey>> {
        let ids = keys.iter().filter_map(|key| key.user_id).collect();
        let users = self.store.users(ids).await?;
        let show = |mut key: ApiKey| {
            if let Reach::Projects(ids) = &mut key.reach {
                ids.retain(|id| caller.opens(*id));
            }
            let user = key.user_id.and_then(|id| users.get(&id));
            ShownKey { user_email: user.map(|user| user.email.clone()), key }
        };
        Ok(keys.into_iter().map(show).collect())
    }
}
