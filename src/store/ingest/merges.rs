//! Persons who became others: all that hangs on them moves, and they are gone.
//!
//! Where two claim one thing (a place in a cohort, the hash key of a flag),
//! the surviving person's claim stands, then that of whom they absorbed first.

use serde_json::{Value, json};

use super::{
    Project,
    people::Settled,
    rows::{execute, query, unfolded},
};
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
pub(super) async fn write(project: &Project<'_>, settled: &[Settled]) -> Result<()> {
    let moves: Vec<Value> = settled
        .iter()
        .flat_map(|(id, person)| {
            person.absorbed.iter().zip(0_u32..).map(move |(from, place)| (*from, *id, place))
        })
        .map(|(from, to, place)| json!({"f": from, "t": to, "place": place}))
        .collect();
    if moves.is_empty() {
        return Ok(());
    }
    let moves =
        Moves { project, all: json!(moves).to_string(), x: unfolded(project.backend(), &MOVES) };
    moves.take_rows_along("person_distinct_id").await?;
    moves.take_rows_along("person_change").await?;
    moves.take_overrides_along().await?;
    moves.take_memberships_along().await?;
    moves.keep_the_earliest_time().await?;
    let gone: Vec<i64> =
        settled.iter().flat_map(|(_, person)| person.absorbed.iter().copied()).collect();
    for chunk in gone.chunks(ROWS) {
        delete_persons(project.txn, project.id, chunk.to_vec()).await?;
    }
    Ok(())
}

/// The moves of a transaction, as a table `x` of statements; `$2` is the project in each.
struct Moves<'p> {
    project: &'p Project<'p>,
    all: String,
    x: String,
}

impl Moves<'_> {
    async fn run(&self, sql: &str) -> Result<()> {
        execute(self.project.txn, sql, self.values()).await.map(|_| ())
    }

    fn values(&self) -> Vec<sea_orm::Value> {
        vec![self.all.clone().into(), self.project.id.into()]
    }

    async fn take_rows_along(&self, table: &str) -> Result<()> {
        let sql = format!(
            "UPDATE {table} SET person_id = x.t FROM {} \
             WHERE {table}.person_id = x.f AND {table}.project_id = $2",
            self.x
        );
        self.run(&sql).await
    }

    async fn take_overrides_along(&self) -> Result<()> {
        let sql = format!(
            "INSERT INTO hash_key_override \
             (project_id, person_id, feature_flag_key, hash_key, created_at) \
             SELECT o.project_id, x.t, o.feature_flag_key, o.hash_key, o.created_at FROM {} \
             JOIN hash_key_override o ON o.person_id = x.f AND o.project_id = $2 \
             WHERE true ORDER BY x.place ON CONFLICT DO NOTHING",
            self.x
        );
        self.run(&sql).await
    }

    /// Places in static cohorts; those that fall together are taken off the cohorts' totals.
    async fn take_memberships_along(&self) -> Result<()> {
        // All that move, less one for each person who comes to be a member by it.
        let lost = format!(
            "SELECT m.cohort_id, \
               COUNT(*) - COUNT(DISTINCT CASE WHEN own.person_id IS NULL THEN x.t END) AS n \
             FROM {} JOIN cohort_member m ON m.person_id = x.f AND m.project_id = $2 \
             LEFT JOIN cohort_member own ON own.person_id = x.t AND own.cohort_id = m.cohort_id \
             GROUP BY m.cohort_id ORDER BY m.cohort_id",
            self.x
        );
        let lost = query(self.project.txn, &lost, self.values()).await?;
        if lost.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO cohort_member (cohort_id, person_id, project_id) \
             SELECT m.cohort_id, x.t, m.project_id FROM {} \
             JOIN cohort_member m ON m.person_id = x.f AND m.project_id = $2 \
             WHERE true ON CONFLICT DO NOTHING",
            self.x
        );
        self.run(&sql).await?;
        for row in lost {
            let cohort_id: i64 = row.try_get_by_index(0).map_err(failure)?;
            let lost: i64 = row.try_get_by_index(1).map_err(failure)?;
            if lost > 0 {
                let sql = "UPDATE cohort SET count = count - $1 WHERE id = $2 AND project_id = $3";
                let values = vec![lost.into(), cohort_id.into(), self.project.id.into()];
                execute(self.project.txn, sql, values).await?;
            }
        }
        Ok(())
    }

    /// A person was first known when the earliest of them was.
    async fn keep_the_earliest_time(&self) -> Result<()> {
        let sql = format!(
            "UPDATE person SET created_at = early.made FROM (\
               SELECT x.t AS id, MIN(p.created_at) AS made FROM {} \
               JOIN person p ON p.id = x.f AND p.project_id = $2 GROUP BY x.t) AS early \
             WHERE person.id = early.id AND early.made < person.created_at",
            self.x
        );
        self.run(&sql).await
    }
}
