//! What a person's properties were at a moment of the past.

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr,
};

use super::{
    Store,
    entity::person_change::{Column, Entity, Model},
    failure,
    ingest::change,
};
use crate::model::{
    error::{Error, Result},
    json::Object,
    property_history::Properties,
};

/// The longest history that is replayed (management-api 4.4). A longer one is refused, since
/// what a part of it gives need not be what was.
const MOST_CHANGES: usize = 100_000;
const A_PAGE: usize = 1_000;

impl Store {
    /// A person's properties as they were at a moment: all changes that had occurred by then, in
    /// their order, and nothing else. Read in pages, so that a long history takes little memory.
    ///
    /// # Errors
    ///
    /// `Internal` when there are more than 100,000 changes.
    pub(crate) async fn properties_at(
        &self,
        project_id: i64,
        person_id: i64,
        at: DateTime<Utc>,
    ) -> Result<Object> {
        let (mut properties, mut read, mut last) = (Properties::default(), 0, None);
        loop {
            let page = self.changes_until(project_id, person_id, at, last).await?;
            read += page.len();
            if read > MOST_CHANGES {
                return Err(Error::internal(format!("more than {MOST_CHANGES} changes")));
            }
            let is_last = page.len() < A_PAGE;
            last = page.last().map(|row| (row.occurred_at, row.id));
            for row in page {
                if let Some(change) = change(row) {
                    // In order, nothing is ever uncovered.
                    let _ = properties.apply(&change);
                }
            }
            if is_last {
                return Ok(properties.values().clone());
            }
        }
    }

    /// The next changes after one, up to a moment.
    async fn changes_until(
        &self,
        project_id: i64,
        person_id: i64,
        at: DateTime<Utc>,
        last: Option<(DateTime<Utc>, i64)>,
    ) -> Result<Vec<Model>> {
        let mut wanted = Entity::find()
            .filter(Column::ProjectId.eq(project_id))
            .filter(Column::PersonId.eq(person_id))
            .filter(Column::OccurredAt.lte(at));
        if let Some((occurred_at, id)) = last {
            // Compared as one, so that the index leads straight to the next.
            let place = Expr::tuple([Expr::col(Column::OccurredAt), Expr::col(Column::Id)]);
            let last = Expr::tuple([Expr::value(occurred_at), Expr::value(id)]);
            wanted = wanted.filter(place.gt(last));
        }
        wanted
            .order_by_asc(Column::OccurredAt)
            .order_by_asc(Column::Id)
            .limit(A_PAGE as u64)
            .all(self.reader())
            .await
            .map_err(failure)
    }
}
