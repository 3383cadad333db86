//! Whether a flag is in use (management-api 4.3).

use super::Services;
use crate::model::{
    caller::{Caller, Scope},
    error::{Error, Result},
    project::ProjectRef,
    status::{self, RolloutSummary, Verdict},
};

impl Services {
    /// Returns a flag's state, the reason for it and how far it is rolled out, softly deleted flags
    /// included.
    pub(crate) async fn flag_status(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<(Verdict, RolloutSummary)> {
        let project = self.open(caller, Scope::FLAG_READ, project).await?;
        let flag = self.store.flag(project.id, id).await?.ok_or_else(Error::not_found)?;
        Ok((status::of(&flag, self.clock.now()), RolloutSummary::of(&flag.filters)))
    }
}
