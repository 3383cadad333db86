//! The history of persons: changes are written as they arrive, and read where
//! only they tell.

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
};
use serde_json::json;

use super::{Write, people::Placed, rows};
use crate::{
    model::{
        error::Result,
        property_history::{Change, ChangeKind},
    },
    store::{damage, entity::person_change, failure, persons_write::ROWS},
};

/// The most changes of a person that are replayed while events are taken in. Of a person with more,
/// a late `unset` removes the property and uncovers nothing.
const MAX_REPLAYED_CHANGES: i64 = 1_000;
/// The most bytes of such a history.
const MAX_REPLAYED_BYTES: i64 = 1024 * 1024;

/// Returns what was recorded of these rows' persons, in the order of arrival; `None` for more than
/// is replayed.
pub(super) async fn stored(
    connection: &impl ConnectionTrait,
    project_id: i64,
    person_ids: &[i64],
) -> Result<Option<Vec<Change>>> {
    let backend = connection.get_database_backend();
    let size = format!(
        "SELECT COUNT(*), CAST(COALESCE(SUM(bytes), 0) AS bigint) FROM \
         (SELECT octet_length(properties) AS bytes FROM person_change \
          WHERE project_id = $2 AND {} LIMIT $3) AS part",
        rows::is_among(backend, "person_id", 1)
    );
    let values = vec![
        json!(person_ids).to_string().into(),
        project_id.into(),
        (MAX_REPLAYED_CHANGES + 1).into(),
    ];
    let size = rows::query(connection, &size, values).await?;
    let Some(size) = size.first() else { return Ok(Some(Vec::new())) };
    let count: i64 = size.try_get_by_index(0).map_err(failure)?;
    let bytes: i64 = size.try_get_by_index(1).map_err(failure)?;
    if count > MAX_REPLAYED_CHANGES || bytes > MAX_REPLAYED_BYTES {
        return Ok(None);
    }
    let rows = person_change::Entity::find()
        .filter(person_change::Column::ProjectId.eq(project_id))
        .filter(person_change::Column::PersonId.is_in(person_ids.iter().copied()))
        .order_by_asc(person_change::Column::Id)
        .all(connection)
        .await
        .map_err(failure)?;
    Ok(Some(rows.into_iter().filter_map(change).collect()))
}

/// Records the changes to persons. Rows get their numbers in the order of arrival, which
/// decides between changes of one moment.
pub(super) async fn write(write: &Write<'_>, persons: &[Placed<'_>]) -> Result<()> {
    let row = |person_id: i64, change: &Change| person_change::ActiveModel {
        project_id: Set(write.id),
        person_id: Set(person_id),
        event_uuid: Set(change.event_uuid),
        kind: Set(change.kind.as_str().to_owned()),
        properties: Set(change.properties.to_string()),
        occurred_at: Set(change.occurred_at),
        recorded_at: Set(write.now),
        ..Default::default()
    };
    let changes: Vec<(i64, &Change)> = persons
        .iter()
        .flat_map(|(id, settled)| settled.person.changes.iter().map(|change| (*id, change)))
        .collect();
    for chunk in changes.chunks(ROWS) {
        let rows = chunk.iter().map(|(person_id, change)| row(*person_id, change));
        person_change::Entity::insert_many(rows)
            .exec_without_returning(write.txn)
            .await
            .map_err(failure)?;
    }
    Ok(())
}

/// A row as the change it stands for; `None` for a kind that is not known, and for damage.
pub(in crate::store) fn change(row: person_change::Model) -> Option<Change> {
    let kind = ChangeKind::parse(&row.kind)?;
    let properties = damage::json("person_change.properties", row.id, &row.properties)?;
    let (occurred_at, event_uuid) = (row.occurred_at, row.event_uuid);
    Some(Change { kind, properties, occurred_at, event_uuid })
}
