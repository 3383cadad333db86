//! Projects: made, listed, shown, changed.
//!
//! An operator at the command line sees and makes all of them. A caller of the
//! network makes one only with a key for all projects: a key for some projects
//! would make one that it does not open.

use chrono::{DateTime, Utc};

use super::{
    Services, Written,
    page::{Page, Wanted},
};
use crate::{
    auth::{Secret, TokenKind},
    model::{
        api_key::NewApiKey,
        caller::{Caller, CredentialKind, Reach, Scope},
        error::{Error, Result},
        history_point::HistoryPoint,
        json::Object,
        project::{Project, ProjectRef, settings},
        unknown_fields::{PROJECT, Strictness},
    },
    store::{keys, projects},
};

/// A new project and the secret that is shown this once.
#[derive(Debug)]
pub(crate) struct CreatedProject {
    pub(crate) project: Project,
    pub(crate) secret: Secret,
}

impl Services {
    /// Makes a project with a public token and a secret, in the caller's organization.
    ///
    /// # Errors
    ///
    /// `Forbidden` without the scope, or with a key for some projects; `Invalid` on the first
    /// field that holds no usable value.
    pub(crate) async fn create_project(
        &self,
        caller: &Caller,
        body: &Object,
    ) -> Result<CreatedProject> {
        caller.require(Scope::PROJECT_WRITE)?;
        if caller.reach != Reach::Organization {
            return Err(Error::forbidden("Creating a project needs an API key for all projects."));
        }
        self.make_project(caller.organization_id, body, caller.expires_at).await
    }

    /// As [`Services::create_project`], for the operator, in the first organization.
    ///
    /// # Errors
    ///
    /// `Invalid` for a name that is blank or too long.
    pub(crate) async fn create_operators_project(&self, name: &str) -> Result<CreatedProject> {
        let body = Object::from_iter([("name".to_owned(), name.into())]);
        self.make_project(self.organization().await?, &body, None).await
    }

    /// Makes a project whose secret expires as the credential that makes it does.
    async fn make_project(
        &self,
        organization_id: i64,
        body: &Object,
        expires_at: Option<DateTime<Utc>>,
    ) -> Result<CreatedProject> {
        let now = self.clock.now();
        let (token, secret) =
            (Secret::generate(TokenKind::Project), Secret::generate(TokenKind::ProjectSecret));
        let fresh = Project::fresh(organization_id, token.reveal(), now);
        let new = settings::created(body, &fresh)?;
        let txn = self.store.begin().await?;
        let project = projects::insert(&txn, new).await?;
        let new_secret = NewApiKey { expires_at, ..project_secret(&secret, &project) };
        keys::insert(&txn, new_secret, now).await?;
        self.store.commit(txn).await?;
        Ok(CreatedProject { project, secret })
    }

    /// The projects that the caller's credential opens, by number.
    pub(crate) async fn list_projects(
        &self,
        caller: &Caller,
        wanted: Wanted,
    ) -> Result<Page<Project>> {
        caller.require(Scope::PROJECT_READ)?;
        let among = match &caller.reach {
            Reach::Organization => None,
            Reach::Projects(ids) => Some(ids.as_slice()),
        };
        let part = (wanted.offset, wanted.limit);
        let (results, total) =
            self.store.projects_page(caller.organization_id, among, part).await?;
        Ok(Page { results, total, wanted })
    }

    /// Every project, oldest first, for the operator.
    pub(crate) async fn list_operators_projects(&self) -> Result<Vec<Project>> {
        self.store.projects().await
    }

    /// Changes a project's settings; what is absent stays.
    ///
    /// # Errors
    ///
    /// `Invalid` on the first field that holds no usable value.
    pub(crate) async fn update_project(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        body: &Object,
        strictness: Strictness,
    ) -> Result<Written<Project>> {
        let opened = self.open(caller, Scope::PROJECT_WRITE, project).await?;
        let warnings = strictness.check(body, &PROJECT, opened.strict_writes)?;
        let mut write = self.begin(opened.id).await?;
        let wanted = settings::apply(body, &write.project)?;
        write.update_project(&wanted).await?;
        let HistoryPoint { revision, token } = self.commit(write, self.clock.now()).await?;
        let value = Project { revision, history_token: token, ..wanted };
        Ok(Written { value, warnings })
    }

    /// One project, for those who may see it.
    pub(crate) async fn get_project(
        &self,
        caller: &Caller,
        project: &ProjectRef,
    ) -> Result<Project> {
        self.open(caller, Scope::PROJECT_READ, project).await
    }
}

/// A project's secret opens evaluation, definitions and remote configuration of it alone.
pub(super) fn project_secret(secret: &Secret, project: &Project) -> NewApiKey {
    NewApiKey {
        kind: CredentialKind::ProjectSecret,
        token_hash: secret.hash(),
        hint: secret.hint(),
        label: format!("secret of project {}", project.id),
        organization_id: project.organization_id,
        user_id: None,
        reach: Reach::Projects(vec![project.id]),
        scopes: vec![Scope::FLAG_READ.to_string()],
        expires_at: None,
    }
}
