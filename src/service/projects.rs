//! Projects: made by operators, shown to those who may see them.

use super::Services;
use crate::{
    auth::{Secret, TokenKind},
    model::{
        api_key::NewApiKey,
        caller::{Caller, CredentialKind, Reach, Scope},
        error::Result,
        fields,
        json::Object,
        project::{Project, ProjectRef, settings},
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
    /// Makes a project with a public token and a secret.
    ///
    /// # Errors
    ///
    /// `Invalid` for a name that is blank or too long.
    pub(crate) async fn create_project(&self, name: &str) -> Result<CreatedProject> {
        let name = fields::short_text("name", &name.into(), 200)?;
        let organization_id = self.organization().await?;
        let now = self.clock.now();
        let (token, secret) =
            (Secret::generate(TokenKind::Project), Secret::generate(TokenKind::ProjectSecret));
        let txn = self.store.begin().await?;
        let new =
            projects::NewProject { organization_id, name, api_token: token.reveal().to_owned() };
        let project = projects::insert(&txn, new, now).await?;
        keys::insert(&txn, project_secret(&secret, &project), now).await?;
        self.store.commit(txn).await?;
        Ok(CreatedProject { project, secret })
    }

    /// Every project, oldest first.
    pub(crate) async fn list_projects(&self) -> Result<Vec<Project>> {
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
    ) -> Result<Project> {
        let opened = self.open(caller, Scope::PROJECT_WRITE, project).await?;
        let mut write = self.begin(opened.id).await?;
        let wanted = settings::apply(body, &write.project)?;
        write.update_project(&wanted).await?;
        let revision = self.commit(write, self.clock.now()).await?;
        Ok(Project { revision, ..wanted })
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
