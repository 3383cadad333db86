//! Groups and their types: listed and shown, types renamed and deleted; events make them.

use super::{
    Services,
    page::{Listing, Sized, Wanted},
};
use crate::model::{
    caller::{Caller, Scope},
    error::{Error, Result},
    fields::search_term,
    group::{Group, GroupType, type_index, write},
    json::Object,
    people::PeopleChanged,
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

    /// Changes what people call a group type. What changes nothing is not written.
    ///
    /// # Errors
    ///
    /// `NotFound` for an index without a type; `Invalid` on a name that breaks a rule.
    pub(crate) async fn update_group_type(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        index: i32,
        body: &Object,
    ) -> Result<GroupType> {
        let project = self.open(caller, Scope::PERSON_WRITE, project).await?;
        let project = self.begin(project.id).await?;
        let before = project.group_type_at(index).await?.ok_or_else(Error::not_found)?;
        let after = write::renamed(&before, body)?;
        if after != before {
            project.rename_group_type(&after).await?;
            project.commit_unseen().await?;
        }
        Ok(after)
    }

    /// Deletes a group type with all of its groups, for good. Its index is free for another then.
    ///
    /// # Errors
    ///
    /// `NotFound` for an index without a type; `Blocked` while a flag or a cohort uses it.
    pub(crate) async fn delete_group_type(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        index: i32,
    ) -> Result<()> {
        let project = self.open(caller, Scope::PERSON_WRITE, project).await?;
        let mut change = self.begin(project.id).await?;
        change.group_type_at(index).await?.ok_or_else(Error::not_found)?;
        let (flags, cohorts) = change.users_of_group_type(index).await?;
        write::deletion(&flags, &cohorts)?;
        change.delete_group_type(index).await?;
        self.commit(change, self.clock.now()).await?;
        self.people_changed(project.id, &PeopleChanged::many());
        Ok(())
    }

    /// Groups of one type, newest first, those whose key holds `search` where it is given.
    ///
    /// # Errors
    ///
    /// `Invalid` for an index that no type can have, and for a search that no database can make.
    pub(crate) async fn list_groups(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        index: i32,
        search: Option<String>,
        wanted: Wanted,
    ) -> Result<Listing<Group>> {
        let project = self.open(caller, Scope::PERSON_READ, project).await?;
        let index = type_index(index)?;
        let search = search_term(search)?;
        let part = (wanted.offset, wanted.limit);
        let (sizes, total) = self.store.groups(project.id, index, search.as_deref(), part).await?;
        let sizes = sizes.into_iter().map(|(id, bytes)| Sized { id, bytes }).collect();
        let (store, project_id) = (self.store.clone(), project.id);
        Ok(Listing::new(wanted, total, sizes, move |ids| {
            let store = store.clone();
            async move { store.groups_among(project_id, ids).await }
        }))
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
