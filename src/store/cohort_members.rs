//! The members of static cohorts, and how many there are.
//!
//! A membership changes under the lock that orders everything about a
//! project's persons ([`lock_persons`]), so that nobody is deleted or merged
//! meanwhile, and then under the cohort's own, so that its count is exact.
//! Whoever takes both takes them in that order.

use std::collections::BTreeSet;

use sea_orm::{ConnectionTrait, DbBackend, QuerySelect, Statement, sea_query::LockType};

use super::{Store, cohorts, failure, persons_write::lock_persons, project_write::run};
use crate::model::{
    cohort::Cohort,
    error::{Error, Result},
};

impl Store {
    /// A cohort whose members may now change, softly deleted ones included.
    pub(crate) async fn lock_members(
        &self,
        txn: &impl ConnectionTrait,
        project_id: i64,
        cohort_id: i64,
    ) -> Result<Option<Cohort>> {
        if self.is_postgres() {
            // A plan kept from when a table was small would read a million members for each of
            // 10,000 persons; these statements are few and long enough to be planned each time.
            run(txn, "SET LOCAL plan_cache_mode = force_custom_plan", Vec::new()).await?;
        }
        lock_persons(txn, project_id).await?;
        let locked = cohorts::by_id(project_id, cohort_id).lock(LockType::NoKeyUpdate);
        Ok(locked.one(txn).await.map_err(failure)?.map(cohorts::noun))
    }
}

/// Makes persons members of a cohort: how many were none before. The cohort is locked.
pub(crate) async fn add(
    txn: &impl ConnectionTrait,
    cohort: &Cohort,
    persons: &BTreeSet<i64>,
) -> Result<u64> {
    // What a statement holds must not depend on how many persons there are.
    let sql = match txn.get_database_backend() {
        DbBackend::Postgres => {
            "INSERT INTO cohort_member (cohort_id, person_id, project_id) \
             SELECT $1, value::bigint, $2 FROM json_array_elements_text($3::json) value \
             ON CONFLICT DO NOTHING"
        }
        _ => {
            "INSERT INTO cohort_member (cohort_id, person_id, project_id) \
             SELECT $1, value, $2 FROM json_each($3) WHERE true \
             ON CONFLICT DO NOTHING"
        }
    };
    let added = execute(txn, sql, cohort, persons).await?;
    count(txn, cohort, i64::try_from(added).unwrap_or(i64::MAX)).await?;
    Ok(added)
}

/// Takes persons out of a cohort: how many were members before. The cohort is locked.
pub(crate) async fn remove(
    txn: &impl ConnectionTrait,
    cohort: &Cohort,
    persons: &BTreeSet<i64>,
) -> Result<u64> {
    let sql = match txn.get_database_backend() {
        DbBackend::Postgres => {
            // As an array, since a planner without statistics would join row by row.
            "DELETE FROM cohort_member WHERE cohort_id = $1 AND project_id = $2 AND person_id = ANY \
             (ARRAY(SELECT value::bigint FROM json_array_elements_text($3::json) value))"
        }
        _ => {
            "DELETE FROM cohort_member WHERE cohort_id = $1 AND project_id = $2 AND person_id IN \
             (SELECT value FROM json_each($3))"
        }
    };
    let removed = execute(txn, sql, cohort, persons).await?;
    count(txn, cohort, -i64::try_from(removed).unwrap_or(i64::MAX)).await?;
    Ok(removed)
}

async fn execute(
    txn: &impl ConnectionTrait,
    sql: &str,
    cohort: &Cohort,
    persons: &BTreeSet<i64>,
) -> Result<u64> {
    let persons = serde_json::to_string(persons).map_err(Error::internal)?;
    let values = [cohort.id.into(), cohort.project_id.into(), persons.into()];
    let statement = Statement::from_sql_and_values(txn.get_database_backend(), sql, values);
    Ok(txn.execute_raw(statement).await.map_err(failure)?.rows_affected())
}

async fn count(txn: &impl ConnectionTrait, cohort: &Cohort, change: i64) -> Result<()> {
    let sql = "UPDATE cohort SET count = COALESCE(count, 0) + $1 WHERE id = $2";
    run(txn, sql, vec![change.into(), cohort.id.into()]).await
}

/// Counts a person out of every cohort they are a member of, before the person's row goes and
/// takes the memberships with it. Under the lock of the project's persons.
pub(crate) async fn count_out(txn: &impl ConnectionTrait, person_id: i64) -> Result<()> {
    let sql = "UPDATE cohort SET count = count - 1 WHERE id IN \
               (SELECT cohort_id FROM cohort_member WHERE person_id = $1)";
    run(txn, sql, vec![person_id.into()]).await
}
