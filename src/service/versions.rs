//! A flag's earlier versions: read, listed, and brought back (management-api 4.5).

use super::{
    Services, flag_rules,
    flags::Update,
    page::{Page, Wanted},
};
use crate::model::{
    caller::{Caller, Scope},
    error::{Error, Result},
    history::{self, FlagVersion, Step, Target, VersionSummary},
    json::Object,
    project::ProjectRef,
    shown::ShownFlag,
    write::Method,
};

impl Services {
    /// A flag as it was at a version, softly deleted flags included.
    ///
    /// # Errors
    ///
    /// `NotFound` for an unknown flag or version; `Blocked` for flags whose history would tell
    /// secrets; `Unprocessable` when the log does not reach back that far.
    pub(crate) async fn flag_version(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
        wanted: i128,
    ) -> Result<FlagVersion> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let flag = self.store.flag(project.id, id).await?.ok_or_else(Error::not_found)?;
        match history::target(&flag, wanted)? {
            Target::Current => Ok(history::current(&flag)),
            Target::Past(wanted) => {
                let steps = self.store.steps(project.id, id, wanted).await?;
                history::past(&flag, wanted, &steps)
            }
        }
    }

    /// A flag's versions, newest first. Those that the log does not hold are left out.
    pub(crate) async fn flag_versions(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
        wanted: Wanted,
    ) -> Result<Page<VersionSummary>> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let flag = self.store.flag(project.id, id).await?.ok_or_else(Error::not_found)?;
        history::check_readable(&flag)?;
        let (part, current) = ((wanted.offset, wanted.limit), flag.version);
        let summary = move |step: &Step| step.summary(current);
        let (results, total) = self.store.version_steps(project.id, id, part, summary).await?;
        Ok(Page { results, total, wanted })
    }

    /// Writes the configuration of the `version` in a body as a new one: an ordinary PATCH, under
    /// whose lock the version is rebuilt.
    ///
    /// # Errors
    ///
    /// Those of [`Services::flag_version`] and [`Services::update_flag`].
    pub(crate) async fn restore_flag_version(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
        body: &Object,
    ) -> Result<ShownFlag> {
        let project = self.open(caller, Scope::FLAG_WRITE, project).await?;
        let draft = self.restoration(project.id, id, body).await.ok();
        let prepared = match &draft {
            Some(draft) => flag_rules::prepare(draft, Method::Patch).await?,
            None => None,
        };
        let (write, flag) = self.lock_flag(project.id, id).await?;
        let wanted = history::wanted(body)?;
        let version = match history::target(&flag, wanted)? {
            Target::Current => history::current(&flag),
            Target::Past(wanted) => history::past(&flag, wanted, &write.steps(id, wanted).await?)?,
        };
        let body = version.as_patch()?;
        // What was prepared holds only if nobody changed the flag before it was locked.
        let prepared = prepared.filter(|_| draft.as_ref() == Some(&body));
        let update = Update { prepared, ..Update::patch(id, body) };
        Ok(self.change(caller, write, flag, update).await?.value)
    }

    /// The PATCH that restores a version, as far as can be said before the project is locked.
    async fn restoration(&self, project_id: i64, id: i64, body: &Object) -> Result<Object> {
        let flag = self.store.flag(project_id, id).await?.ok_or_else(Error::not_found)?;
        match history::target(&flag, history::wanted(body)?)? {
            Target::Current => history::current(&flag).as_patch(),
            Target::Past(wanted) => {
                let steps = self.store.steps(project_id, id, wanted).await?;
                history::past(&flag, wanted, &steps)?.as_patch()
            }
        }
    }
}
