//! Opens a project to a caller: the one place where scopes and projects meet.

use super::{Services, rate_limits::Limited};
use crate::model::{
    caller::{Caller, Reach, Scope},
    error::{Error, Result},
    project::{Project, ProjectRef},
};

impl Services {
    /// The project that a request of the management API names, if the caller may do this there.
    ///
    /// # Errors
    ///
    /// `Forbidden` when the scope is missing or the key was made for other projects;
    /// `NotFound` for a project that is not there, or is another organization's;
    /// `Unauthenticated` for an unknown `token` beside `@current`.
    pub(crate) async fn open(
        &self,
        caller: &Caller,
        scope: Scope,
        project: &ProjectRef,
    ) -> Result<Project> {
        caller.require(scope)?;
        self.reach(caller, project).await
    }

    /// As [`Services::open`] for reading flags, for the operations that deliver to programs: a
    /// project's secret opens them too, and each credential may call them only so often.
    ///
    /// # Errors
    ///
    /// As [`Services::open`], and `Throttled`.
    pub(crate) async fn open_delivery(
        &self,
        caller: &Caller,
        limited: Limited,
        project: &ProjectRef,
    ) -> Result<Project> {
        caller.require_or_secret(Scope::FLAG_READ)?;
        self.throttle(caller, limited)?;
        self.reach(caller, project).await
    }

    /// The project a request names, if the caller's credential reaches it.
    pub(crate) async fn reach(&self, caller: &Caller, project: &ProjectRef) -> Result<Project> {
        let found = match project {
            ProjectRef::Id(id) => self.reachable(caller, *id).await?,
            ProjectRef::Current { token: Some(token) } => self.by_token(caller, token).await?,
            ProjectRef::Current { token: None } => self.own(caller).await?,
        };
        found
            .filter(|project| project.organization_id == caller.organization_id)
            .ok_or_else(Error::not_found)
    }

    async fn reachable(&self, caller: &Caller, id: i64) -> Result<Option<Project>> {
        if !caller.opens(id) {
            return Err(elsewhere(id));
        }
        self.store.project(id).await
    }

    async fn by_token(&self, caller: &Caller, token: &str) -> Result<Option<Project>> {
        let unknown = || Error::authentication_failed("Invalid project token.");
        let project = self.snapshots.project_of_token(token).await?.ok_or_else(unknown)?;
        if !caller.opens(project.id) || project.organization_id != caller.organization_id {
            return Err(elsewhere(project.id));
        }
        self.store.project(project.id).await
    }

    async fn own(&self, caller: &Caller) -> Result<Option<Project>> {
        match &caller.reach {
            Reach::Projects(ids) => match ids.first() {
                Some(id) => self.store.project(*id).await,
                None => Ok(None),
            },
            Reach::Organization => {
                let projects = self.store.projects().await?;
                Ok(projects.into_iter().find(|p| p.organization_id == caller.organization_id))
            }
        }
    }
}

pub(super) fn elsewhere(project_id: i64) -> Error {
    Error::forbidden(format!(
        "API key does not have access to the requested project: ID {project_id}."
    ))
}
