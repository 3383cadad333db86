//! Who is in a static cohort.

use std::collections::{BTreeSet, HashMap};

use super::Services;
use crate::{
    model::{
        caller::{Caller, Scope},
        cohort::{
            Cohort,
            members::{Changed, distinct_ids},
        },
        error::{Error, Result},
        json::Object,
        people::PeopleChanged,
        project::ProjectRef,
    },
    store::{
        Transaction, cohort_members,
        persons_write::{ensure_persons, known_persons},
    },
};

/// How many persons are announced by name; of more, anyone of the project may have changed.
const MOST_ANNOUNCED: usize = 1_000;

/// What a call does with the persons it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    In,
    Out,
}

impl Services {
    /// Adds the persons that `distinct_ids` name; unknown ids become persons.
    ///
    /// # Errors
    ///
    /// `Invalid` for a list that is none, is empty or too long; `NotFound` for the cohort;
    /// `Invalid` or `Blocked` for one that is not static, or is deleted.
    pub(crate) async fn add_cohort_members(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        cohort_id: i64,
        body: &Object,
    ) -> Result<Changed> {
        self.change_members(caller, project, cohort_id, body, Wish::In).await
    }

    /// Removes the persons that `distinct_ids` name.
    ///
    /// # Errors
    ///
    /// As [`Services::add_cohort_members`].
    pub(crate) async fn remove_cohort_members(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        cohort_id: i64,
        body: &Object,
    ) -> Result<Changed> {
        self.change_members(caller, project, cohort_id, body, Wish::Out).await
    }

    async fn change_members(
        &self,
        caller: &Caller,
        project: &ProjectRef,
        cohort_id: i64,
        body: &Object,
        wish: Wish,
    ) -> Result<Changed> {
        let project = self.open(caller, Scope::COHORT_WRITE, project).await?;
        let ids: Vec<String> = distinct_ids(body)?.into_iter().collect();
        let txn = self.store.begin_persons(project.id).await?;
        let cohort = self.store.lock_members(&txn, project.id, cohort_id).await?;
        let cohort = listed(cohort.ok_or_else(Error::not_found)?)?;
        let known = known_persons(&txn, project.id, &ids).await?;
        let unknown = ids.len() - known.len();
        let persons = match wish {
            Wish::In => ensure_persons(&txn, project.id, &ids, self.clock.now()).await?,
            Wish::Out => known,
        };
        let persons = each(persons);
        let changed = match wish {
            Wish::In => cohort_members::add(&txn, &cohort, &persons).await?,
            Wish::Out => cohort_members::remove(&txn, &cohort, &persons).await?,
        };
        let announced = self.announced(&txn, &persons, changed).await?;
        self.commit_people(txn, [(project.id, &announced)]).await?;
        Ok(Changed { changed, unknown: u64::try_from(unknown).unwrap_or(u64::MAX) })
    }

    /// All ids of those whose membership may have changed.
    async fn announced(
        &self,
        txn: &Transaction,
        persons: &BTreeSet<i64>,
        changed: u64,
    ) -> Result<PeopleChanged> {
        let mut announced = PeopleChanged::default();
        if changed == 0 {
            return Ok(announced);
        }
        if persons.len() > MOST_ANNOUNCED {
            return Ok(PeopleChanged::many());
        }
        let ids = self.store.distinct_ids_of(txn, persons.iter().copied()).await?;
        ids.into_iter().for_each(|id| announced.note_person(id));
        Ok(announced)
    }
}

/// Two ids of one person count once.
fn each(persons: HashMap<String, i64>) -> BTreeSet<i64> {
    persons.into_values().collect()
}

/// A cohort whose members are listed, and that is not deleted.
fn listed(cohort: Cohort) -> Result<Cohort> {
    if !cohort.is_static {
        return Err(Error::rule("Only static cohorts have listed members."));
    }
    if cohort.deleted {
        let detail = "This cohort has been deleted. Restore it before changing its members.";
        return Err(Error::blocked(detail));
    }
    Ok(cohort)
}
