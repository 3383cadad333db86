//! Cohorts: read for evaluation and for people.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use super::{Store, entity::cohort, failure, stored_json};
use crate::model::{cohort::Cohort, error::Result};

impl Store {
    /// What evaluation reads of a project: the cohorts among `ids` that are not deleted, or all.
    pub(crate) async fn cohort_definitions(
        &self,
        project_id: i64,
        ids: Option<&[i64]>,
    ) -> Result<Vec<Cohort>> {
        let mut query = cohort::Entity::find()
            .filter(cohort::Column::ProjectId.eq(project_id))
            .filter(cohort::Column::Deleted.eq(false));
        if let Some(ids) = ids {
            query = query.filter(cohort::Column::Id.is_in(ids.iter().copied()));
        }
        let rows = query.order_by_asc(cohort::Column::Id).all(self.reader()).await;
        rows.map_err(failure)?.into_iter().map(noun).collect()
    }
}

fn noun(row: cohort::Model) -> Result<Cohort> {
    Ok(Cohort {
        id: row.id,
        project_id: row.project_id,
        name: row.name,
        description: row.description,
        is_static: row.is_static,
        filters: filters(row.filters.as_deref())?,
        count: row.count,
        deleted: row.deleted,
        created_at: row.created_at,
    })
}

/// A static cohort has none, which is shown as an object all the same.
fn filters(stored: Option<&str>) -> Result<Value> {
    stored.map_or_else(|| Ok(json!({})), stored_json)
}
