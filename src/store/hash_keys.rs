//! Fixes hash keys of people for flags with experience continuity
//! (evaluation 10).

use chrono::{DateTime, Utc};
use sea_orm::{ConnectionTrait, FromQueryResult, Statement};
use serde::Serialize;

use super::{Store, Transaction, failure};
use crate::model::{
    error::{Error, Result},
    people::PeopleChanged,
};

#[derive(FromQueryResult)]
struct Id {
    distinct_id: String,
}

impl Store {
    /// Keeps a hash key for each of these people and flags, where none is kept yet: the first
    /// one wins, whoever else is writing. People who are gone are passed over.
    ///
    /// Answers who they are, by every distinct id.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is.
    pub(crate) async fn fix_hash_keys(
        &self,
        txn: &Transaction,
        project_id: i64,
        hash_keys: &[(i64, String)],
        flag_keys: &[&str],
        now: DateTime<Utc>,
    ) -> Result<PeopleChanged> {
        let people: Vec<i64> = hash_keys.iter().map(|(person, _)| *person).collect();
        let statement = |sql, values: Vec<sea_orm::Value>| {
            Statement::from_sql_and_values(txn.get_database_backend(), sql, values)
        };
        let values = vec![project_id.into(), list(hash_keys)?, list(flag_keys)?, now.into()];
        txn.execute_raw(statement(self.insert(), values)).await.map_err(failure)?;
        let ids = statement(self.ids_of(), vec![project_id.into(), list(&people)?]);
        Ok(named(Id::find_by_statement(ids).all(txn).await.map_err(failure)?))
    }

    /// In the order of people and flags, so that two writers never wait for each other in a circle.
    fn insert(&self) -> &'static str {
        match self.is_postgres() {
            true => {
                "INSERT INTO hash_key_override \
                 (project_id, person_id, feature_flag_key, hash_key, created_at) \
                 SELECT p.project_id, p.id, flag.flag_key, w.pair ->> 1, $4 \
                 FROM json_array_elements(CAST($2 AS json)) AS w(pair) \
                 CROSS JOIN LATERAL (SELECT id, project_id FROM person \
                  WHERE id = CAST(w.pair ->> 0 AS bigint) AND project_id = $1 LIMIT 1) AS p \
                 CROSS JOIN json_array_elements_text(CAST($3 AS json)) AS flag(flag_key) \
                 WHERE true ORDER BY p.id, flag.flag_key ON CONFLICT DO NOTHING"
            }
            false => {
                "INSERT INTO hash_key_override \
                 (project_id, person_id, feature_flag_key, hash_key, created_at) \
                 SELECT p.project_id, p.id, flag.value, json_extract(pair.value, '$[1]'), $4 \
                 FROM json_each($2) AS pair \
                 CROSS JOIN person p \
                 ON p.id = json_extract(pair.value, '$[0]') AND +p.project_id = $1 \
                 CROSS JOIN json_each($3) AS flag \
                 WHERE true ORDER BY p.id, flag.value ON CONFLICT DO NOTHING"
            }
        }
    }

    /// One more than are ever named one by one.
    fn ids_of(&self) -> &'static str {
        match self.is_postgres() {
            true => {
                "SELECT distinct_id FROM person_distinct_id WHERE +project_id = $1 \
                 AND person_id = ANY (ARRAY(SELECT CAST(item AS bigint) \
                 FROM json_array_elements_text(CAST($2 AS json)) AS l(item))) LIMIT 1001"
            }
            false => {
                "SELECT distinct_id FROM person_distinct_id \
                 WHERE +project_id = $1 AND person_id IN (SELECT value FROM json_each($2)) LIMIT 1001"
            }
        }
    }
}

fn list<T: Serialize>(items: &[T]) -> Result<sea_orm::Value> {
    serde_json::to_string(items).map(Into::into).map_err(Error::internal)
}

fn named(ids: Vec<Id>) -> PeopleChanged {
    let mut changed = PeopleChanged::default();
    ids.into_iter().for_each(|id| changed.note_person(id.distinct_id));
    changed
}
