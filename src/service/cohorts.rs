//! Cohorts: made, listed, shown, changed, put away.

use chrono::{DateTime, Utc};

use super::{
    Services, Written,
    flag_rules::GRAMMAR,
    page::{Listing, Sized, Wanted},
};
use crate::{
    model::{
        caller::{Caller, Scope},
        cohort::{
            Cohort,
            others::{self, Others},
            write::{CohortWrite, Tree},
        },
        error::{Error, Result},
        filters::behavioural_cohort,
        project::ProjectRef,
        unknown_fields::{COHORT, Strictness},
    },
    store::ProjectWrite,
};

impl Services {
    /// Cohorts that are not deleted, newest first.
    pub(crate) async fn list_cohorts(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        wanted: Wanted,
    ) -> Result<Listing<Cohort>> {
        let project = self.open(caller, Scope::COHORT_READ, project).await?;
        let (sizes, total) = self.store.cohorts(project.id, wanted.offset, wanted.limit).await?;
        let sizes = sizes.into_iter().map(|(id, bytes)| Sized { id, bytes }).collect();
        let (store, project_id) = (self.store.clone(), project.id);
        Ok(Listing::new(wanted, total, sizes, move |ids| {
            let store = store.clone();
            async move { store.cohorts_among(project_id, ids).await }
        }))
    }

    /// A cohort by number, softly deleted ones included.
    pub(crate) async fn get_cohort(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
    ) -> Result<Cohort> {
        let project = self.open(caller, Scope::COHORT_READ, project).await?;
        self.store.cohort(project.id, id).await?.ok_or_else(Error::not_found)
    }

    /// Makes a cohort.
    ///
    /// # Errors
    ///
    /// `Invalid` on the first field that breaks a rule.
    pub(crate) async fn create_cohort(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        wanted: &CohortWrite,
        strictness: Strictness,
    ) -> Result<Written<Cohort>> {
        let project = self.open(caller, Scope::COHORT_WRITE, project).await?;
        let warnings = strictness.check(&wanted.body, &COHORT, project.strict_writes)?;
        let tree = tree(wanted).await?;
        let mut write = self.begin(project.id).await?;
        let now = self.clock.now();
        let cohort = self.created_cohort(caller, &mut write, wanted, tree, now).await?;
        self.commit(write, now).await?;
        Ok(Written { value: cohort, warnings })
    }

    /// Makes a cohort within a change of its project; nothing is written when a rule refuses it.
    pub(super) async fn created_cohort(
        &self,
        caller: &Caller,
        write: &mut ProjectWrite,
        wanted: &CohortWrite,
        tree: Tree,
        now: DateTime<Utc>,
    ) -> Result<Cohort> {
        let mut cohort = wanted.created(write.project.id, tree, now)?;
        Others::of(&write.cohorts().await?).check(&cohort)?;
        cohort.id = write.insert_cohort(&cohort, caller.user_id).await?;
        Ok(cohort)
    }

    /// Changes a cohort, or deletes it. What changes nothing is not written.
    ///
    /// # Errors
    ///
    /// `Invalid` on the first field that breaks a rule; `Blocked` for a deletion while a flag
    /// uses the cohort, directly or through another.
    pub(crate) async fn update_cohort(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        id: i64,
        wanted: &CohortWrite,
        strictness: Strictness,
    ) -> Result<Written<Cohort>> {
        let project = self.open(caller, Scope::COHORT_WRITE, project).await?;
        let warnings = strictness.check(&wanted.body, &COHORT, project.strict_writes)?;
        let tree = tree(wanted).await?;
        let mut write = self.begin(project.id).await?;
        let before = write.lock_cohort(id).await?.ok_or_else(Error::not_found)?;
        let after = self.changed_cohort(&mut write, &before, wanted, tree).await?;
        if after != before {
            self.commit(write, self.clock.now()).await?;
        }
        Ok(Written { value: after, warnings })
    }

    /// Changes a cohort within a change of its project. What changes nothing is not written, nor
    /// is what a rule refuses.
    pub(super) async fn changed_cohort(
        &self,
        write: &mut ProjectWrite,
        before: &Cohort,
        wanted: &CohortWrite,
        tree: Tree,
    ) -> Result<Cohort> {
        let after = wanted.applied(before, tree)?;
        if after != *before {
            check(write, before, &after).await?;
            write.update_cohort(&after).await?;
        }
        Ok(after)
    }
}

/// Checks the sent filters before the project is locked, on a thread for long computations.
async fn tree(wanted: &CohortWrite) -> Result<Tree> {
    if !wanted.body.contains_key("filters") {
        return Ok(None);
    }
    let wanted = wanted.clone();
    tokio::task::spawn_blocking(move || wanted.tree(&GRAMMAR)).await.map_err(Error::internal)
}

/// The rules that look at other cohorts and at flags.
async fn check(write: &ProjectWrite, before: &Cohort, after: &Cohort) -> Result<()> {
    let deletes = !before.deleted && after.deleted;
    let describes = !after.deleted && (before.deleted || before.filters != after.filters);
    if !deletes && !describes {
        return Ok(());
    }
    let others = Others::of(&write.cohorts().await?);
    if describes {
        others.check(after)?;
    }
    if deletes || others.is_behavioural(after) {
        let users = write.users_of_cohorts(others.affected_by(after.id)).await?;
        if deletes {
            others::deletion(&users)?;
        } else if !users.is_empty() {
            return Err(behavioural_cohort(&after.name));
        }
    }
    Ok(())
}
