//! Who changed what (management-api 4.6).

use super::{
    Services,
    page::{Page, Wanted},
};
use crate::{
    model::{
        activity::Activity,
        caller::{Caller, Scope},
        error::{Error, Result},
        project::ProjectRef,
    },
    store::activity::ActivityPage,
};

impl Services {
    /// Rows about all flags of a project, gone ones included, or about one.
    pub(crate) async fn activity(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        flag_id: Option<i64>,
        wanted: Wanted,
    ) -> Result<Page<Activity>> {
        let project = self.open(caller, Scope::ACTIVITY_READ, project).await?;
        let total = match flag_id {
            None => project.activity_count,
            Some(id) => self
                .store
                .flag_activity_count(project.id, id)
                .await?
                .ok_or_else(Error::not_found)?,
        };
        let page = ActivityPage { flag_id, offset: wanted.offset, limit: wanted.limit };
        let results = self.store.activity(project.id, page).await?;
        Ok(Page { results, total, wanted })
    }
}
