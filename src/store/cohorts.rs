//! Cohorts: read for evaluation and for people, written under the project's lock.

use std::collections::BTreeSet;

use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    Select,
    sea_query::LockType,
};
use serde_json::{Value, json};

use super::{
    ProjectWrite, Store,
    among::among,
    damage,
    entity::{cohort, feature_flag, flag_cohort},
    failure,
    project_write::Kind,
    sizes::sizes,
};
use crate::model::{cohort::Cohort, error::Result, guards::Named};

impl Store {
    /// What evaluation reads of a project: the cohorts among `ids` that are not deleted, or all.
    pub(crate) async fn cohort_definitions(
        &self,
        project_id: i64,
        ids: Option<&[i64]>,
    ) -> Result<Vec<Cohort>> {
        let mut query = live(project_id);
        if let Some(ids) = ids {
            query = query.filter(cohort::Column::Id.is_in(ids.iter().copied()));
        }
        let rows = query.order_by_asc(cohort::Column::Id).all(self.reader()).await;
        Ok(rows.map_err(failure)?.into_iter().map(noun).collect())
    }

    /// A part of the cohorts that are not deleted, newest first, by number and size of the filters;
    /// and how many there are in all.
    pub(crate) async fn cohorts(
        &self,
        project_id: i64,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<(i64, i64)>, i64)> {
        let total = live(project_id).count(self.reader()).await.map_err(failure)?;
        let ids: Vec<i64> = live(project_id)
            .select_only()
            .column(cohort::Column::Id)
            .order_by_desc(cohort::Column::Id)
            .offset(offset)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        let texts = [cohort::Column::Filters];
        let project = (cohort::Column::ProjectId, project_id);
        let sizes =
            sizes::<cohort::Entity>(self.reader(), project, cohort::Column::Id, &texts, ids)
                .await?;
        Ok((sizes, i64::try_from(total).unwrap_or(i64::MAX)))
    }

    /// These cohorts, newest first, softly deleted ones included.
    pub(crate) async fn cohorts_among(
        &self,
        project_id: i64,
        ids: Vec<i64>,
    ) -> Result<Vec<Cohort>> {
        let rows = cohort::Entity::find()
            .filter(cohort::Column::ProjectId.eq(project_id))
            .filter(among(self.reader(), cohort::Column::Id, ids))
            .order_by_desc(cohort::Column::Id)
            .all(self.reader())
            .await
            .map_err(failure)?;
        Ok(rows.into_iter().map(noun).collect())
    }

    /// A cohort by number, softly deleted ones included.
    pub(crate) async fn cohort(&self, project_id: i64, id: i64) -> Result<Option<Cohort>> {
        let row = by_id(project_id, id).one(self.reader()).await.map_err(failure)?;
        Ok(row.map(noun))
    }
}

pub(super) fn live(project_id: i64) -> Select<cohort::Entity> {
    cohort::Entity::find()
        .filter(cohort::Column::ProjectId.eq(project_id))
        .filter(cohort::Column::Deleted.eq(false))
}

pub(super) fn by_id(project_id: i64, id: i64) -> Select<cohort::Entity> {
    cohort::Entity::find_by_id(id).filter(cohort::Column::ProjectId.eq(project_id))
}

impl ProjectWrite {
    /// A cohort under its own lock, softly deleted ones included.
    pub(crate) async fn lock_cohort(&self, id: i64) -> Result<Option<Cohort>> {
        let locked = by_id(self.project.id, id).lock(LockType::NoKeyUpdate);
        Ok(locked.one(&self.txn).await.map_err(failure)?.map(noun))
    }

    /// Every cohort of the project that is not deleted.
    pub(crate) async fn cohorts(&self) -> Result<Vec<Cohort>> {
        let rows = live(self.project.id).all(&self.txn).await.map_err(failure)?;
        Ok(rows.into_iter().map(noun).collect())
    }

    /// Stores a new cohort, and answers its number.
    pub(crate) async fn insert_cohort(
        &mut self,
        cohort: &Cohort,
        created_by: Option<i64>,
    ) -> Result<i64> {
        let mut row = columns(cohort);
        row.project_id = Set(self.project.id);
        row.is_static = Set(cohort.is_static);
        row.count = Set(cohort.count);
        row.created_by_id = Set(created_by);
        row.created_at = Set(cohort.created_at);
        let id = row.insert(&self.txn).await.map_err(failure)?.id;
        self.touch(Kind::Cohort, id, false);
        Ok(id)
    }

    /// Stores a cohort's new state; its count is its members' affair.
    pub(crate) async fn update_cohort(&mut self, cohort: &Cohort) -> Result<()> {
        let mut row = columns(cohort);
        row.id = Set(cohort.id);
        row.update(&self.txn).await.map_err(failure)?;
        self.touch(Kind::Cohort, cohort.id, cohort.deleted);
        Ok(())
    }

    /// Live flags that name one of these cohorts, by key.
    pub(crate) async fn users_of_cohorts(&self, ids: Vec<i64>) -> Result<Vec<Named>> {
        let mut users = BTreeSet::new();
        // Databases bound the number of values in a statement.
        for ids in ids.chunks(10_000) {
            let naming = flag_cohort::Entity::find()
                .select_only()
                .column(flag_cohort::Column::FlagId)
                .filter(flag_cohort::Column::ProjectId.eq(self.project.id))
                .filter(flag_cohort::Column::CohortId.is_in(ids.iter().copied()));
            let found: Vec<(String, i64)> = feature_flag::Entity::find()
                .select_only()
                .columns([feature_flag::Column::Key, feature_flag::Column::Id])
                .filter(feature_flag::Column::ProjectId.eq(self.project.id))
                .filter(feature_flag::Column::Deleted.eq(false))
                .filter(feature_flag::Column::Id.in_subquery(naming.into_query()))
                .into_tuple()
                .all(&self.txn)
                .await
                .map_err(failure)?;
            users.extend(found);
        }
        Ok(users.into_iter().map(|(key, id)| (id, key)).collect())
    }
}

/// The columns that every save writes.
fn columns(cohort: &Cohort) -> cohort::ActiveModel {
    cohort::ActiveModel {
        name: Set(cohort.name.clone()),
        description: Set(cohort.description.clone()),
        filters: match &cohort.filters {
            // What cannot be read is not overwritten by a change of something else.
            Value::Null => NotSet,
            filters => Set((!cohort.is_static).then(|| filters.to_string())),
        },
        deleted: Set(cohort.deleted),
        ..Default::default()
    }
}

pub(super) fn noun(row: cohort::Model) -> Cohort {
    Cohort {
        id: row.id,
        project_id: row.project_id,
        name: row.name,
        description: row.description,
        is_static: row.is_static,
        filters: filters(row.id, row.filters.as_deref()),
        count: row.count,
        deleted: row.deleted,
        created_at: row.created_at,
    }
}

/// A static cohort has none, which is shown as an object all the same; what cannot be read is null.
fn filters(id: i64, stored: Option<&str>) -> Value {
    stored.map_or_else(|| json!({}), |text| damage::object_or_null("cohort.filters", id, text))
}
