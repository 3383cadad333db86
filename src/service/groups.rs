//! Groups and their types: listed and shown; events write them.

use super::{
    Services,
    page::{Page, Wanted},
};
use crate::model::{
    caller::{Caller, Scope},
    error::{Error, Result},
    group::{Group, GroupType, type_index},
    project::ProjectRef,
};

impl Services {
    /// The project's group types, by index.
    pub(crate) async fn list_group_types(
        &self,
        caller: &Caller,
        project: &ProjectRef,
    ) -> Result<Vec<GroupType>> {
        let project = self.open(caller, Scope::PERSON_READ, project).await?;
        self.store.group_types(project.id).await
    }

    /// Groups of one type, newest first, those whose key holds `search` where it is given.
    ///
    /// # Errors
    ///
    /// `Invalid` for an index that no type can have.
    pub(crate) async fn list_groups(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        index: i32,
        search: Option<String>,
        wanted: Wanted,
    ) -> Result<Page<Group>> {
        let project = self.open(caller, Scope::PERSON_READ, project).await?;
        let index = type_index(index)?;
        let search = search.filter(|term| !term.is_empty());
        let part = (wanted.offset, wanted.limit);
        let (results, total) =
            self.store.groups(project.id, index, search.as_deref(), part).await?;
        Ok(Page { results, total, wanted })
    }

    /// One group.
    ///
    /// # Errors
    ///
    /// `Invalid` for an index that no type can have, `NotFound` for an unknown key.
    pub(crate) async fn get_group(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        index: i32,
        key: &str,
    ) -> Result<Group> {
        let project = self.open(caller, Scope::PERSON_READ, project).await?;
        let index = type_index(index)?;
        self.store.group(project.id, index, key).await?.ok_or_else(Error::not_found)
    }
}
