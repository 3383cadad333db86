//! Finds persons by the ids they are known under, and makes those that are missing.
//!
//! Everything that makes, merges or deletes persons of a project takes
//! [`lock_persons`] first, so that two writers never make one person twice,
//! nor wait for each other's rows in a circle. Whoever locks several projects
//! does so in the order of their numbers, and whoever needs the project's own
//! row as well (`ProjectWrite`) takes that before.

use std::collections::{BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter,
    QueryTrait, Statement, sea_query::OnConflict,
};
use uuid::Uuid;

use super::{
    entity::{person, person_distinct_id},
    failure,
    project_write::run,
};
use crate::model::error::{Error, Result};

/// Rows a statement; databases bound the number of values in one.
pub(super) const ROWS: usize = 1_000;

/// Any number will do, as long as every replica uses the same one.
const PERSONS_LOCK: i32 = 0x0F1A_6507;

/// Lets one transaction at a time make, merge or delete a project's persons; released with the
/// transaction. On SQLite the transaction itself is that lock.
pub(crate) async fn lock_persons(txn: &impl ConnectionTrait, project_id: i64) -> Result<()> {
    if txn.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    // Two projects that share a lock only wait for each other.
    let lock = "SELECT pg_advisory_xact_lock($1, ($2 % 2147483648)::int)";
    run(txn, lock, vec![PERSONS_LOCK.into(), project_id.into()]).await
}

/// As [`lock_persons`], without waiting: false if somebody else holds the lock.
pub(crate) async fn try_lock_persons(txn: &impl ConnectionTrait, project_id: i64) -> Result<bool> {
    if txn.get_database_backend() != DbBackend::Postgres {
        return Ok(true);
    }
    let lock = "SELECT pg_try_advisory_xact_lock($1, ($2 % 2147483648)::int)";
    let values = [PERSONS_LOCK.into(), project_id.into()];
    let statement = Statement::from_sql_and_values(DbBackend::Postgres, lock, values);
    let row = txn.query_one_raw(statement).await.map_err(failure)?;
    row.map_or(Ok(false), |row| row.try_get_by_index(0).map_err(failure))
}

/// The persons known by these ids: their rows' numbers by distinct id. Unknown ids are left out.
pub(crate) async fn known_persons(
    connection: &impl ConnectionTrait,
    project_id: i64,
    distinct_ids: &[impl AsRef<str>],
) -> Result<HashMap<String, i64>> {
    if distinct_ids.is_empty() {
        return Ok(HashMap::new());
    }
    // One value however many ids, so that it is one statement to the database. PostgreSQL is told to
    // look each of them up: left to itself it may, without statistics, read all ids of the project
    // and compare each with each, and keep to that plan while the project grows.
    let sql = match connection.get_database_backend() {
        DbBackend::Postgres => {
            "SELECT wanted.id, found.person_id FROM json_array_elements_text($2::json) AS wanted(id) \
             CROSS JOIN LATERAL (SELECT person_id FROM person_distinct_id \
             WHERE project_id = $1 AND distinct_id = wanted.id LIMIT 1) AS found"
        }
        _ => {
            "SELECT distinct_id, person_id FROM person_distinct_id WHERE project_id = $1 \
             AND distinct_id IN (SELECT value FROM json_each($2))"
        }
    };
    let ids: Vec<&str> = distinct_ids.iter().map(AsRef::as_ref).collect();
    let ids = serde_json::to_string(&ids).map_err(Error::internal)?;
    let values = [project_id.into(), ids.into()];
    let backend = connection.get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    let rows = connection.query_all_raw(statement).await.map_err(failure)?;
    let known = |row: sea_orm::QueryResult| {
        Ok((row.try_get_by_index(0).map_err(failure)?, row.try_get_by_index(1).map_err(failure)?))
    };
    rows.into_iter().map(known).collect()
}

/// The persons known by these ids, made where they are new: every id given is a key of the answer.
///
/// Safe beside other writers: an id that another process takes meanwhile keeps its person.
/// Ids must hold no NUL, which PostgreSQL cannot store.
pub(crate) async fn ensure_persons(
    txn: &impl ConnectionTrait,
    project_id: i64,
    distinct_ids: &[impl AsRef<str>],
    now: DateTime<Utc>,
) -> Result<HashMap<String, i64>> {
    let mut known = known_persons(txn, project_id, distinct_ids).await?;
    if distinct_ids.iter().all(|id| known.contains_key(id.as_ref())) {
        return Ok(known);
    }
    lock_persons(txn, project_id).await?;
    // What was committed while this waited for the lock is there now.
    known.extend(known_persons(txn, project_id, distinct_ids).await?);
    let ids = distinct_ids.iter().map(AsRef::as_ref);
    // Sorted, so that writers who hold no lock wait for one another in one direction.
    let missing: BTreeSet<&str> = ids.filter(|id| !known.contains_key(*id)).collect();
    let missing: Vec<&str> = missing.into_iter().collect();
    for chunk in missing.chunks(ROWS) {
        let made = insert_persons(txn, project_id, chunk.len(), now).await?;
        insert_distinct_ids(txn, project_id, chunk, &made).await?;
        let settled = known_persons(txn, project_id, chunk).await?;
        let spare = made.into_iter().zip(chunk).filter(|(id, of)| settled.get(**of) != Some(id));
        delete_persons(txn, project_id, spare.map(|(id, _)| id).collect()).await?;
        known.extend(settled);
    }
    Ok(known)
}

/// Persons without any id yet: their rows' numbers.
async fn insert_persons(
    txn: &impl ConnectionTrait,
    project_id: i64,
    count: usize,
    now: DateTime<Utc>,
) -> Result<Vec<i64>> {
    let row = |_| person::ActiveModel {
        project_id: Set(project_id),
        uuid: Set(Uuid::now_v7()),
        properties: Set("{}".into()),
        property_times: Set("{}".into()),
        is_identified: Set(false),
        created_at: Set(now),
        updated_at: Set(now),
        ..Default::default()
    };
    let mut insert = person::Entity::insert_many((0..count).map(row)).into_query();
    // Looking for them by their UUIDs would be a plan of its own, and a bad one without statistics.
    let rows = txn.query_all(insert.returning_col(person::Column::Id)).await.map_err(failure)?;
    rows.into_iter().map(|row| row.try_get_by_index(0).map_err(failure)).collect()
}

/// Gives each person the id at the same place; an id that somebody has stays theirs.
async fn insert_distinct_ids(
    txn: &impl ConnectionTrait,
    project_id: i64,
    distinct_ids: &[&str],
    persons: &[i64],
) -> Result<()> {
    let row = |(distinct_id, person_id): (&&str, &i64)| person_distinct_id::ActiveModel {
        project_id: Set(project_id),
        person_id: Set(*person_id),
        distinct_id: Set((*distinct_id).to_owned()),
        ..Default::default()
    };
    let taken = [person_distinct_id::Column::ProjectId, person_distinct_id::Column::DistinctId];
    person_distinct_id::Entity::insert_many(distinct_ids.iter().zip(persons).map(row))
        .on_conflict(OnConflict::columns(taken).do_nothing().to_owned())
        .exec_without_returning(txn)
        .await
        .map(|_| ())
        .map_err(failure)
}

/// Deletes persons, with all that is known of them.
pub(super) async fn delete_persons(
    txn: &impl ConnectionTrait,
    project_id: i64,
    ids: Vec<i64>,
) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    person::Entity::delete_many()
        .filter(person::Column::ProjectId.eq(project_id))
        .filter(person::Column::Id.is_in(ids))
        .exec(txn)
        .await
        .map(|_| ())
        .map_err(failure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Clock,
        model::project::Project,
        store::{
            Access, Store,
            projects::{insert, insert_organization},
        },
    };

    async fn store() -> (Store, [i64; 2]) {
        let store = Store::connect("sqlite::memory:", Access::Create).await.unwrap();
        store.migrate_up().await.unwrap();
        let (txn, now) = (store.begin().await.unwrap(), Clock::system().now());
        let organization_id = insert_organization(&txn, "one", now).await.unwrap();
        let mut projects = [0; 2];
        for (id, token) in projects.iter_mut().zip(["phc_1", "phc_2"]) {
            let new = Project::fresh(organization_id, token, now);
            *id = insert(&txn, new).await.unwrap().id;
        }
        store.commit(txn).await.unwrap();
        (store, projects)
    }

    #[tokio::test]
    async fn an_id_has_one_person_however_often_it_is_asked_for() {
        let (store, [one, two]) = store().await;
        let now = Clock::system().now();
        let txn = store.begin().await.unwrap();
        let first = ensure_persons(&txn, one, &["a", "b", "a"], now).await.unwrap();
        assert_eq!(first.len(), 2);
        assert_ne!(first["a"], first["b"]);
        let second = ensure_persons(&txn, one, &["b", "c"], now).await.unwrap();
        assert_eq!(second["b"], first["b"]);
        assert_eq!(known_persons(&txn, one, &["a", "c", "d"]).await.unwrap().len(), 2);
        let elsewhere = ensure_persons(&txn, two, &["a"], now).await.unwrap();
        assert_ne!(elsewhere["a"], first["a"], "another project's person is another");
    }

    #[tokio::test]
    async fn an_id_that_is_taken_meanwhile_keeps_its_person_and_leaves_no_spare() {
        let (store, [one, _]) = store().await;
        let now = Clock::system().now();
        let txn = store.begin().await.unwrap();
        let first = ensure_persons(&txn, one, &["a"], now).await.unwrap();
        let made = insert_persons(&txn, one, 1, now).await.unwrap();
        insert_distinct_ids(&txn, one, &["a"], &made).await.unwrap();
        assert_eq!(known_persons(&txn, one, &["a"]).await.unwrap(), first);
    }

    #[tokio::test]
    async fn more_ids_than_fit_a_statement_are_made() {
        let (store, [one, _]) = store().await;
        let ids: Vec<String> = (0..2 * ROWS + 1).map(|n| format!("person {n}")).collect();
        let txn = store.begin().await.unwrap();
        let known = ensure_persons(&txn, one, &ids, Clock::system().now()).await.unwrap();
        assert_eq!(known.len(), ids.len());
        let persons: BTreeSet<i64> = known.into_values().collect();
        assert_eq!(persons.len(), ids.len(), "each has a person of their own");
    }
}
