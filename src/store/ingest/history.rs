//! The history of persons: changes are written as they arrive, and read where
//! only they tell.

use sea_orm::{ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::{Project, people::Settled};
use crate::{
    model::{
        error::Result,
        property_history::{Change, ChangeKind},
    },
    store::{entity::person_change, failure, persons_write::ROWS, stored_json},
};

impl Project<'_> {
    /// What was recorded of these rows' persons, in the order of arrival.
    pub(super) async fn stored_changes(&self, person_ids: &[i64]) -> Result<Vec<Change>> {
        let rows = person_change::Entity::find()
            .filter(person_change::Column::ProjectId.eq(self.id))
            .filter(person_change::Column::PersonId.is_in(person_ids.iter().copied()))
            .order_by_asc(person_change::Column::Id)
            .all(self.txn)
            .await
            .map_err(failure)?;
        let change = |row: person_change::Model| {
            let Some(kind) = ChangeKind::parse(&row.kind) else { return Ok(None) };
            let properties = stored_json(&row.properties)?;
            let (occurred_at, event_uuid) = (row.occurred_at, row.event_uuid);
            Ok(Some(Change { kind, properties, occurred_at, event_uuid }))
        };
        rows.into_iter().filter_map(|row| change(row).transpose()).collect()
    }

    /// Records the changes to persons. Rows get their numbers in the order of arrival, which
    /// decides between changes of one moment.
    pub(super) async fn write_history(&self, settled: &[Settled]) -> Result<()> {
        let row = |person_id: i64, change: &Change| person_change::ActiveModel {
            project_id: Set(self.id),
            person_id: Set(person_id),
            event_uuid: Set(change.event_uuid),
            kind: Set(change.kind.as_str().to_owned()),
            properties: Set(change.properties.to_string()),
            occurred_at: Set(change.occurred_at),
            recorded_at: Set(self.now),
            ..Default::default()
        };
        let rows: Vec<_> = settled
            .iter()
            .flat_map(|(id, person)| person.changes.iter().map(|change| row(*id, change)))
            .collect();
        for chunk in rows.chunks(ROWS) {
            person_change::Entity::insert_many(chunk.to_vec())
                .exec_without_returning(self.txn)
                .await
                .map_err(failure)?;
        }
        Ok(())
    }
}
