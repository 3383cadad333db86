//! Everyone of a project, read page by page: what a condition is held against
//! when its reach is counted.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use super::{
    Store, damage,
    entity::{cohort_member, group, person, person_distinct_id},
    failure,
    stored_facts::with_columns,
};
use crate::model::{error::Result, json::Object};

/// How many are held in memory at once.
pub(crate) const A_PAGE: usize = 1_000;

/// A person or a group, as far as conditions read them.
#[derive(Debug)]
pub(crate) struct Candidate {
    /// The row's number, by which pages are ordered.
    pub(crate) id: i64,
    /// The smallest distinct id, or the group's key.
    pub(crate) name: String,
    /// The static cohorts that list the person, of those asked about.
    pub(crate) static_cohorts: HashSet<i64>,
    properties: String,
    /// When the person was first known.
    created_at: Option<DateTime<Utc>>,
}

impl Candidate {
    /// The properties, with the columns of a person's row; parsed when asked for, which is where
    /// the work is. There are none where they cannot be read.
    pub(crate) fn properties(&self) -> Object {
        let properties = damage::object("properties", self.id, &self.properties);
        match (properties.unwrap_or_default(), self.created_at) {
            (properties, Some(created_at)) => with_columns(properties, created_at),
            (properties, None) => properties,
        }
    }
}

impl Store {
    /// The persons after a number, in the order of their numbers: at most [`A_PAGE`].
    pub(crate) async fn persons_after(
        &self,
        project_id: i64,
        after: i64,
        cohort_ids: &[i64],
    ) -> Result<Vec<Candidate>> {
        let rows = person::Entity::find()
            .filter(person::Column::ProjectId.eq(project_id))
            .filter(person::Column::Id.gt(after))
            .order_by_asc(person::Column::Id)
            .limit(A_PAGE as u64)
            .all(self.reader())
            .await
            .map_err(failure)?;
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
        let range = (first.id, last.id);
        let mut names = self.smallest_ids(project_id, range).await?;
        let mut lists = self.lists_of(project_id, range, cohort_ids).await?;
        let candidate = |row: person::Model| Candidate {
            id: row.id,
            name: names.remove(&row.id).unwrap_or_default(),
            static_cohorts: lists.remove(&row.id).unwrap_or_default(),
            properties: row.properties,
            created_at: Some(row.created_at),
        };
        Ok(rows.into_iter().map(candidate).collect())
    }

    async fn smallest_ids(
        &self,
        project_id: i64,
        (first, last): (i64, i64),
    ) -> Result<HashMap<i64, String>> {
        let ids: Vec<(i64, String)> = person_distinct_id::Entity::find()
            .select_only()
            .column(person_distinct_id::Column::PersonId)
            .column_as(person_distinct_id::Column::DistinctId.min(), "distinct_id")
            // Read through the index of persons: the project's own would lead to all of its ids.
            .filter(Expr::col(person_distinct_id::Column::ProjectId).add(0).eq(project_id))
            .filter(person_distinct_id::Column::PersonId.between(first, last))
            .group_by(person_distinct_id::Column::PersonId)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        Ok(ids.into_iter().collect())
    }

    /// Which of these static cohorts list which persons.
    async fn lists_of(
        &self,
        project_id: i64,
        (first, last): (i64, i64),
        cohort_ids: &[i64],
    ) -> Result<HashMap<i64, HashSet<i64>>> {
        let mut lists: HashMap<i64, HashSet<i64>> = HashMap::new();
        if cohort_ids.is_empty() {
            return Ok(lists);
        }
        let members: Vec<(i64, i64)> = cohort_member::Entity::find()
            .select_only()
            .columns([cohort_member::Column::PersonId, cohort_member::Column::CohortId])
            .filter(cohort_member::Column::ProjectId.eq(project_id))
            .filter(cohort_member::Column::CohortId.is_in(cohort_ids.iter().copied()))
            .filter(cohort_member::Column::PersonId.between(first, last))
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        for (person, cohort) in members {
            lists.entry(person).or_default().insert(cohort);
        }
        Ok(lists)
    }

    /// The groups of a type after a number, in the order of their numbers: at most [`A_PAGE`].
    pub(crate) async fn groups_after(
        &self,
        project_id: i64,
        type_index: i32,
        after: i64,
    ) -> Result<Vec<Candidate>> {
        let rows = group::Entity::find()
            .filter(group::Column::ProjectId.eq(project_id))
            .filter(group::Column::GroupTypeIndex.eq(type_index))
            .filter(group::Column::Id.gt(after))
            .order_by_asc(group::Column::Id)
            .limit(A_PAGE as u64)
            .all(self.reader())
            .await
            .map_err(failure)?;
        let candidate = |row: group::Model| Candidate {
            id: row.id,
            name: row.group_key,
            static_cohorts: HashSet::new(),
            properties: row.properties,
            created_at: None,
        };
        Ok(rows.into_iter().map(candidate).collect())
    }
}
