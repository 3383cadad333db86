//! Removal of payloads from activity rows that were written before the payloads became secret.

use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};
use tokio::task::spawn_blocking;
use uuid::Uuid;

use super::{
    ProjectWrite, damage,
    entity::activity_log::{ActiveModel, Column, Entity},
    failure,
};
use crate::model::{
    activity::FLAG_SCOPE,
    encrypted::redaction,
    error::{Error, Result},
};

/// Rows read at a time; each may hold a flag's filters twice.
const PAGE_ROWS: u64 = 20;
/// What the detail of a row with payloads contains, as the service writes it.
const WITH_PAYLOADS: &str = "%\"payloads\"%";

impl ProjectWrite {
    /// Redacts the payloads in every activity row of a flag.
    ///
    /// A row that cannot be read is left as it is, and logged: it is shown to nobody.
    pub(crate) async fn redact_activity(&mut self, flag_id: i64) -> Result<()> {
        let mut after = Uuid::nil();
        loop {
            let rows = self.rows_with_payloads(flag_id, after).await?;
            let Some((last, _)) = rows.last() else { return Ok(()) };
            after = *last;
            let redacted = spawn_blocking(move || redacted(rows)).await.map_err(Error::internal)?;
            for (id, detail) in redacted {
                let row = ActiveModel { id: Set(id), detail: Set(detail), ..Default::default() };
                row.update(&self.txn).await.map_err(failure)?;
            }
        }
    }

    async fn rows_with_payloads(&self, flag_id: i64, after: Uuid) -> Result<Vec<(Uuid, String)>> {
        Entity::find()
            .select_only()
            .columns([Column::Id, Column::Detail])
            .filter(Column::ProjectId.eq(self.project.id))
            .filter(Column::Scope.eq(FLAG_SCOPE))
            .filter(Column::ItemId.eq(flag_id.to_string()))
            .filter(Column::Id.gt(after))
            .filter(Column::Detail.like(WITH_PAYLOADS))
            .order_by_asc(Column::Id)
            .limit(PAGE_ROWS)
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)
    }
}

/// Returns the rows that change, with their new detail.
fn redacted(rows: Vec<(Uuid, String)>) -> Vec<(Uuid, String)> {
    let redact = |(id, detail): (Uuid, String)| {
        let mut detail = damage::json("activity_log.detail", id, &detail)?;
        redaction::redact_detail(&mut detail).then(|| (id, detail.to_string()))
    };
    rows.into_iter().filter_map(redact).collect()
}
