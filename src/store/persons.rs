//! Persons as people see them: found, listed, deleted.
//!
//! Pages are cut from an index before any row is read, so that the last page
//! of a million costs about what the first does. Searches need trigrams to be
//! fast, which only PostgreSQL has (see the migration).

use std::collections::HashMap;

use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select,
    sea_query::{Expr, Func, SelectStatement, UnionType},
};
use uuid::Uuid;

use super::{
    Store, Transaction, cohort_members, damage,
    entity::{person, person_distinct_id},
    failure,
    flag_list::anywhere,
    persons_write::{delete_persons, lock_persons},
    sizes::sizes,
};
use crate::model::{
    error::Result,
    person::{Person, PersonFilter},
};

/// Databases bound the number of values in a statement.
const MOST_NAMED: usize = 10_000;

/// Where a page of persons begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// After so many.
    Offset(u64),
    /// With those made before this one.
    Before(i64),
}

impl Store {
    /// How many persons match.
    pub(crate) async fn count_persons(
        &self,
        project_id: i64,
        filter: &PersonFilter,
    ) -> Result<i64> {
        let total = matching(project_id, filter).count(self.reader()).await.map_err(failure)?;
        Ok(i64::try_from(total).unwrap_or(i64::MAX))
    }

    /// At most `limit` of those that match, newest first: their numbers, and the size of their
    /// properties.
    pub(crate) async fn person_sizes(
        &self,
        project_id: i64,
        filter: &PersonFilter,
        start: Start,
        limit: u64,
    ) -> Result<Vec<(i64, i64)>> {
        let page = matching(project_id, filter);
        let page = match start {
            Start::Offset(offset) => page.offset(offset),
            Start::Before(id) => page.filter(person::Column::Id.lt(id)),
        };
        let ids: Vec<i64> = page
            .select_only()
            .column(person::Column::Id)
            .order_by_desc(person::Column::Id)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        let texts = [person::Column::Properties];
        let project = (person::Column::ProjectId, project_id);
        sizes::<person::Entity>(self.reader(), project, person::Column::Id, &texts, ids).await
    }

    /// These persons, newest first.
    pub(crate) async fn persons_among(
        &self,
        project_id: i64,
        ids: Vec<i64>,
    ) -> Result<Vec<Person>> {
        let rows = of_project(project_id)
            .filter(person::Column::Id.is_in(ids))
            .order_by_desc(person::Column::Id)
            .all(self.reader())
            .await
            .map_err(failure)?;
        whole(self.reader(), rows).await
    }

    /// The newest of those that match.
    pub(crate) async fn first_person(
        &self,
        project_id: i64,
        filter: &PersonFilter,
    ) -> Result<Option<Person>> {
        let row = matching(project_id, filter).order_by_desc(person::Column::Id).one(self.reader());
        let rows = row.await.map_err(failure)?.into_iter().collect();
        Ok(whole(self.reader(), rows).await?.into_iter().next())
    }

    /// The person with this UUID.
    pub(crate) async fn person(&self, project_id: i64, uuid: Uuid) -> Result<Option<Person>> {
        find(self.reader(), project_id, uuid).await
    }

    /// Deletes a person and all that is known of them, in a transaction still to be committed:
    /// who it was; `None` where there was nobody.
    pub(crate) async fn delete_person(
        &self,
        txn: &Transaction,
        project_id: i64,
        uuid: Uuid,
    ) -> Result<Option<Person>> {
        lock_persons(txn, project_id).await?;
        let Some(person) = find(txn, project_id, uuid).await? else { return Ok(None) };
        cohort_members::count_out(txn, person.id).await?;
        delete_persons(txn, project_id, vec![person.id]).await?;
        Ok(Some(person))
    }

    /// All distinct ids of these persons.
    pub(crate) async fn distinct_ids_of(
        &self,
        txn: &impl ConnectionTrait,
        persons: impl IntoIterator<Item = i64>,
    ) -> Result<Vec<String>> {
        person_distinct_id::Entity::find()
            .select_only()
            .column(person_distinct_id::Column::DistinctId)
            .filter(person_distinct_id::Column::PersonId.is_in(persons))
            .into_tuple()
            .all(txn)
            .await
            .map_err(failure)
    }
}

fn of_project(project_id: i64) -> Select<person::Entity> {
    person::Entity::find().filter(person::Column::ProjectId.eq(project_id))
}

async fn find(
    connection: &impl ConnectionTrait,
    project_id: i64,
    uuid: Uuid,
) -> Result<Option<Person>> {
    let row = of_project(project_id).filter(person::Column::Uuid.eq(uuid)).one(connection).await;
    let found = whole(connection, row.map_err(failure)?.into_iter().collect()).await?;
    Ok(found.into_iter().next())
}

fn matching(project_id: i64, filter: &PersonFilter) -> Select<person::Entity> {
    let mut query = of_project(project_id);
    if let Some(distinct_id) = &filter.distinct_id {
        let known = ids_of_project(project_id)
            .filter(person_distinct_id::Column::DistinctId.eq(distinct_id.as_str()));
        query = query.filter(person::Column::Id.in_subquery(known.into_query()));
    }
    if let Some(term) = &filter.search {
        query = query.filter(person::Column::Id.in_subquery(found(project_id, term)));
    }
    query
}

fn ids_of_project(project_id: i64) -> Select<person_distinct_id::Entity> {
    person_distinct_id::Entity::find()
        .select_only()
        .column(person_distinct_id::Column::PersonId)
        .filter(person_distinct_id::Column::ProjectId.eq(project_id))
}

/// Two searches that each have an index, rather than one that could use neither.
fn found(project_id: i64, term: &str) -> SelectStatement {
    let pattern = anywhere(&term.to_lowercase());
    let in_properties = of_project(project_id)
        .select_only()
        .column(person::Column::Id)
        .filter(Expr::col(person::Column::SearchText).like(pattern.clone()));
    let lowered = Func::lower(Expr::col(person_distinct_id::Column::DistinctId));
    let in_ids = ids_of_project(project_id).filter(Expr::expr(lowered).like(pattern));
    in_properties.into_query().union(UnionType::Distinct, in_ids.into_query()).take()
}

/// Rows with their ids, in the order given.
async fn whole(connection: &impl ConnectionTrait, rows: Vec<person::Model>) -> Result<Vec<Person>> {
    let mut ids: HashMap<i64, Vec<String>> = HashMap::new();
    for rows in rows.chunks(MOST_NAMED) {
        let pairs: Vec<(i64, String)> = person_distinct_id::Entity::find()
            .select_only()
            .columns([person_distinct_id::Column::PersonId, person_distinct_id::Column::DistinctId])
            .filter(person_distinct_id::Column::PersonId.is_in(rows.iter().map(|row| row.id)))
            .into_tuple()
            .all(connection)
            .await
            .map_err(failure)?;
        pairs.into_iter().for_each(|(person, id)| ids.entry(person).or_default().push(id));
    }
    let noun = |row: person::Model| {
        let mut distinct_ids = ids.remove(&row.id).unwrap_or_default();
        distinct_ids.sort_unstable();
        Person {
            id: row.id,
            uuid: row.uuid,
            distinct_ids,
            properties: damage::object_or_null("person.properties", row.id, &row.properties),
            created_at: row.created_at,
        }
    };
    Ok(rows.into_iter().map(noun).collect())
}
