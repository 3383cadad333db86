//! Persons who became others: all that hangs on them moves, and they are gone.
//!
//! Where two claim one thing (a place in a cohort, the hash key of a flag),
//! the surviving person's claim stands, then that of whom they absorbed first.

use std::collections::BTreeMap;

use sea_orm::DbBackend;
use serde_json::{Value, json};

use super::{Write, people::Placed, rows};
use crate::{
    model::error::Result,
    store::{
        failure,
        persons_write::{ROWS, delete_persons},
    },
};

/// From whom, to whom, and how early.
const MOVES: [(&str, &str); 3] = [("f", "bigint"), ("t", "bigint"), ("place", "bigint")];

/// Moves everything of absorbed persons to those who absorbed them.
pub(super) async fn write(write: &Write<'_>, persons: &[Placed<'_>]) -> Result<()> {
    let moves: Vec<Value> = persons
        .iter()
        .flat_map(|(id, settled)| {
            let absorbed = settled.person.absorbed.iter().zip(0_u32..);
            absorbed.map(move |(from, place)| json!({"f": from, "t": id, "place": place}))
        })
        .collect();
    if moves.is_empty() {
        return Ok(());
    }
    for (id, settled) in persons {
        let absorbed = &settled.person.absorbed;
        if !absorbed.is_empty() {
            take_rows_along(write, *id, absorbed).await?;
            keep_the_earliest_time(write, *id, settled.person.created_at).await?;
        }
    }
    let moves = json!(moves).to_string();
    let values = || vec![moves.clone().into(), write.id.into()];
    rows::execute(write.txn, &overrides(write.backend()), values()).await?;
    take_memberships_along(write, values).await?;
    let gone: Vec<i64> =
        persons.iter().flat_map(|(_, settled)| settled.person.absorbed.iter().copied()).collect();
    for chunk in gone.chunks(ROWS) {
        delete_persons(write.txn, write.id, chunk.to_vec()).await?;
    }
    Ok(())
}

/// Ids and history.
async fn take_rows_along(write: &Write<'_>, to: i64, from: &[i64]) -> Result<()> {
    for table in ["person_distinct_id", "person_change"] {
        let values = vec![json!(from).to_string().into(), write.id.into(), to.into()];
        rows::execute(write.txn, &rows_along(write.backend(), table), values).await?;
    }
    Ok(())
}

pub(super) fn rows_along(backend: DbBackend, table: &str) -> String {
    format!(
        "UPDATE {table} SET person_id = $3 WHERE +project_id = $2 AND {}",
        rows::is_among(backend, "person_id", 1)
    )
}

/// A person was first known when the earliest of them was.
async fn keep_the_earliest_time(
    write: &Write<'_>,
    id: i64,
    created_at: chrono::DateTime<chrono::Utc>,
) -> Result<()> {
    let sql = "UPDATE person SET created_at = $1 WHERE id = $2 AND project_id = $3";
    let values = vec![created_at.into(), id.into(), write.id.into()];
    rows::execute(write.txn, sql, values).await.map(drop)
}

pub(super) fn overrides(backend: DbBackend) -> String {
    format!(
        "INSERT INTO hash_key_override \
         (project_id, person_id, feature_flag_key, hash_key, created_at) \
         SELECT found.project_id, x.t, found.feature_flag_key, found.hash_key, found.created_at \
         FROM {} WHERE true ORDER BY x.place ON CONFLICT DO NOTHING",
        of_absorbed(backend, "hash_key_override")
    )
}

/// The rows of a table that hang on absorbed persons, as `found`, with their moves as `x`.
pub(super) fn of_absorbed(backend: DbBackend, table: &str) -> String {
    rows::looked_up(backend, &MOVES, table, "r.person_id = x.f AND +r.project_id = $2")
}

/// Places in static cohorts; those that fall together are taken off the cohorts' totals.
async fn take_memberships_along(
    write: &Write<'_>,
    values: impl Fn() -> Vec<sea_orm::Value>,
) -> Result<()> {
    let found = of_absorbed(write.backend(), "cohort_member");
    let lost = format!(
        "SELECT found.cohort_id, CAST(COUNT(*) AS bigint) FROM {found} GROUP BY found.cohort_id"
    );
    let gained = format!(
        "INSERT INTO cohort_member (cohort_id, person_id, project_id) \
         SELECT found.cohort_id, x.t, found.project_id FROM {found} WHERE true \
         ON CONFLICT DO NOTHING RETURNING cohort_id"
    );
    let mut changes: BTreeMap<i64, i64> = BTreeMap::new();
    for row in rows::query(write.txn, &lost, values()).await? {
        let count: i64 = row.try_get_by_index(1).map_err(failure)?;
        *changes.entry(row.try_get_by_index(0).map_err(failure)?).or_default() -= count;
    }
    if changes.is_empty() {
        return Ok(());
    }
    for row in rows::query(write.txn, &gained, values()).await? {
        *changes.entry(row.try_get_by_index(0).map_err(failure)?).or_default() += 1;
    }
    for (cohort_id, change) in changes.into_iter().filter(|(_, change)| *change != 0) {
        let sql = "UPDATE cohort SET count = count + $1 WHERE id = $2 AND project_id = $3";
        rows::execute(write.txn, sql, vec![change.into(), cohort_id.into(), write.id.into()])
            .await?;
    }
    Ok(())
}
