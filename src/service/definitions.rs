//! Gives a project's definitions to programs that evaluate flags themselves.
//!
//! Nothing here waits for the database once a feed was written, so that the
//! most frequent request of a fleet of servers costs next to nothing, and goes
//! on when the database is gone.

use std::sync::Arc;

use super::{Services, access::elsewhere, rate_limits::Limited};
use crate::{
    model::{
        caller::{Caller, CredentialKind, Scope},
        error::{Error, Result},
        project::ProjectRef,
    },
    sdk::feed::Form,
    snapshot::Feed,
};

impl Services {
    /// The definitions of the project that a request names.
    ///
    /// # Errors
    ///
    /// `Forbidden` for a public token, without `feature_flag:read`, and for another project;
    /// `Throttled` beyond 600 calls a minute, all forms and paths together;
    /// `Unauthenticated` for an unknown `token` beside `@current`; `Unavailable` when only the
    /// database knows, and it is gone.
    pub(crate) async fn definitions(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        form: Form,
    ) -> Result<Arc<Feed>> {
        if caller.kind == CredentialKind::ProjectToken {
            // The refusal of the management API says which kinds of credential do.
            caller.require(Scope::FLAG_READ)?;
        }
        caller.granted(Scope::FLAG_READ)?;
        self.throttle(caller, Limited::Definitions)?;
        let project = match project {
            ProjectRef::Current { token: Some(token) } => {
                &ProjectRef::Id(self.named_by(caller, token).await?)
            }
            named => named,
        };
        let snapshot = self.evaluated(caller, project).await?;
        self.snapshots.feed(snapshot.project.id, form).await
    }

    /// The definitions of the project that a `token` names. A project secret may leave it out; a
    /// personal key, which may open many projects, may not (management-api 5).
    ///
    /// # Errors
    ///
    /// As for [`Services::definitions`], and `Invalid` for a personal key without a token.
    pub(crate) async fn definitions_by_token(
        &self,
        caller: &Caller,
        token: Option<&str>,
        form: Form,
    ) -> Result<Arc<Feed>> {
        if caller.kind == CredentialKind::Personal && token.is_none() {
            caller.granted(Scope::FLAG_READ)?;
            let detail = "With a personal API key, the parameter `token` must name the project.";
            return Err(Error::field("token", "required", detail));
        }
        let project = ProjectRef::Current { token: token.map(str::to_owned) };
        self.definitions(caller, &project, form).await
    }

    /// The project with this public token, if the caller's credential reaches it.
    async fn named_by(&self, caller: &Caller, token: &str) -> Result<i64> {
        let unknown = || Error::authentication_failed("Invalid project token.");
        let project = self.snapshots.project_of_token(token).await?.ok_or_else(unknown)?;
        match caller.opens(project.id) && project.organization_id == caller.organization_id {
            true => Ok(project.id),
            false => Err(elsewhere(project.id)),
        }
    }
}
