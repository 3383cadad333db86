//! The stored payloads of encrypted flags, for checks of the encryption keys.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    Store, damage,
    entity::feature_flag::{Column, Entity},
    failure,
};
use crate::model::error::Result;

/// The filters of an encrypted flag.
#[derive(Debug)]
pub(crate) struct EncryptedFlag {
    pub(crate) id: i64,
    pub(crate) project_id: i64,
    pub(crate) key: String,
    /// Filters as stored, payloads encrypted. Null where they cannot be read.
    pub(crate) filters: serde_json::Value,
}

impl Store {
    /// Returns up to `limit` encrypted flags of all projects with ids above `after`, by id; softly
    /// deleted ones included.
    pub(crate) async fn encrypted_flags_after(
        &self,
        after: i64,
        limit: u64,
    ) -> Result<Vec<EncryptedFlag>> {
        let rows: Vec<(i64, i64, String, String)> = Entity::find()
            .select_only()
            .columns([Column::Id, Column::ProjectId, Column::Key, Column::Filters])
            .filter(Column::HasEncryptedPayloads.eq(true))
            .filter(Column::Id.gt(after))
            .order_by_asc(Column::Id)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        let flag = |(id, project_id, key, filters): (i64, i64, String, String)| {
            let filters = damage::object_or_null("feature_flag.filters", id, &filters);
            EncryptedFlag { id, project_id, key, filters }
        };
        Ok(rows.into_iter().map(flag).collect())
    }
}
