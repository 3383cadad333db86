//! Which events are new: of two with one uuid the first counts.

use std::collections::HashSet;

use sea_orm::{ColumnTrait, DbBackend, EntityTrait, QueryFilter};
use serde_json::json;
use uuid::Uuid;

use super::{Project, Written, rows::query};
use crate::{
    model::{error::Result, event::Event},
    store::{entity::ingested_event, failure, persons_write::ROWS},
};

impl Project<'_> {
    /// The events that were never taken in before, and remembers them. One without a uuid is
    /// always new.
    pub(super) async fn unseen<'e>(
        &self,
        events: Vec<(usize, &'e Event)>,
        written: &mut Written,
    ) -> Result<Vec<(usize, &'e Event)>> {
        let uuids: HashSet<Uuid> = events.iter().filter_map(|(_, event)| event.uuid).collect();
        let mut fresh = self.remember(uuids).await?;
        let mut new = Vec::with_capacity(events.len());
        for (place, event) in events {
            // Removed, so that the second of two in this very transaction is not new.
            match event.uuid.is_none_or(|uuid| fresh.remove(&uuid)) {
                true => new.push((place, event)),
                false => drop(written.repeated.insert(place)),
            }
        }
        Ok(new)
    }

    /// Forgets events that were refused, so that they are refused again.
    pub(super) async fn forget_refused(
        &self,
        events: &[(usize, &Event)],
        written: &Written,
    ) -> Result<()> {
        let is_refused =
            |place: &usize| written.refused.iter().any(|(refused, _)| refused == place);
        if written.refused.is_empty() {
            return Ok(());
        }
        let refused = events.iter().filter(|(place, _)| is_refused(place));
        let uuids: Vec<Uuid> = refused.filter_map(|(_, event)| event.uuid).collect();
        for chunk in uuids.chunks(ROWS) {
            ingested_event::Entity::delete_many()
                .filter(ingested_event::Column::ProjectId.eq(self.id))
                .filter(ingested_event::Column::Uuid.is_in(chunk.iter().copied()))
                .exec(self.txn)
                .await
                .map_err(failure)?;
        }
        Ok(())
    }

    /// Writes the ids that are not there, and answers those.
    async fn remember(&self, uuids: HashSet<Uuid>) -> Result<HashSet<Uuid>> {
        if uuids.is_empty() {
            return Ok(uuids);
        }
        let each = match self.backend() {
            DbBackend::Postgres => {
                "$2::bigint, value::uuid, $3::timestamptz FROM json_array_elements_text($1::json)"
            }
            _ => "$2, unhex(value), $3 FROM json_each($1) WHERE true",
        };
        let sql = format!(
            "INSERT INTO ingested_event (project_id, uuid, received_at) SELECT {each} \
             ON CONFLICT DO NOTHING RETURNING uuid"
        );
        let mut ids: Vec<String> = uuids.iter().map(|uuid| uuid.simple().to_string()).collect();
        ids.sort_unstable();
        let values = vec![json!(ids).to_string().into(), self.id.into(), self.now.into()];
        let rows = query(self.txn, &sql, values).await?;
        rows.iter().map(|row| row.try_get_by_index(0).map_err(failure)).collect()
    }
}
