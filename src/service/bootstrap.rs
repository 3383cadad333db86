//! The first start on an empty database: one organization, one project, an
//! admin, and the three credentials that open it (architecture 1).

use super::{Services, projects::project_secret};
use crate::{
    auth::{Secret, TokenKind},
    model::{
        api_key::NewApiKey,
        caller::{CredentialKind, Reach},
        error::Result,
        project::Project,
    },
    store::{keys, projects, users},
};

const ADMIN: &str = "admin@flagstaff.local";

/// Credentials that the operator chose; the others are made.
#[derive(Clone, Debug, Default)]
pub struct ChosenSecrets {
    /// The public project token.
    pub project_token: Option<Secret>,
    /// The project's secret.
    pub project_secret: Option<Secret>,
    /// The admin's personal key, of scope `*` for all projects.
    pub personal_api_key: Option<Secret>,
}

/// What the first start made, to be shown once.
#[derive(Debug)]
pub struct Bootstrapped {
    /// The project's number.
    pub project_id: i64,
    /// Its public token.
    pub project_token: Secret,
    /// Its secret.
    pub project_secret: Secret,
    /// The admin's key.
    pub personal_api_key: Secret,
}

impl Services {
    /// Fills an empty database; `None` on one that has a project, where chosen secrets are ignored.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is.
    pub async fn bootstrap(&self, chosen: ChosenSecrets) -> Result<Option<Bootstrapped>> {
        let now = self.clock.now();
        let txn = self.store.begin().await?;
        // Replicas that start together take turns here; the second finds the first's project.
        projects::lock_for_bootstrap(&txn).await?;
        if projects::any_project(&txn).await? {
            return Ok(None);
        }
        let made = |chosen: Option<Secret>, kind| chosen.unwrap_or_else(|| Secret::generate(kind));
        let token = made(chosen.project_token, TokenKind::Project);
        let secret = made(chosen.project_secret, TokenKind::ProjectSecret);
        let personal = made(chosen.personal_api_key, TokenKind::Personal);
        let organization_id =
            projects::insert_organization(&txn, "Default organization", now).await?;
        let fresh = Project::fresh(organization_id, token.reveal(), now);
        let new = Project { name: "Default project".into(), ..fresh };
        let project = projects::insert(&txn, new).await?;
        let admin = users::find_or_insert(&txn, organization_id, ADMIN, now).await?;
        keys::insert(&txn, project_secret(&secret, &project), now).await?;
        keys::insert(&txn, admin_key(&personal, organization_id, admin), now).await?;
        self.store.commit(txn).await?;
        Ok(Some(Bootstrapped {
            project_id: project.id,
            project_token: token,
            project_secret: secret,
            personal_api_key: personal,
        }))
    }
}

fn admin_key(personal: &Secret, organization_id: i64, user_id: i64) -> NewApiKey {
    NewApiKey {
        kind: CredentialKind::Personal,
        token_hash: personal.hash(),
        hint: personal.hint(),
        label: "bootstrap".into(),
        organization_id,
        user_id: Some(user_id),
        reach: Reach::Organization,
        scopes: vec!["*".into()],
        expires_at: None,
    }
}
