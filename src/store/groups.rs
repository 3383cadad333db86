//! Groups and their types, which ingestion writes.

use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};

use super::{Store, entity::group_type, failure};
use crate::model::{error::Result, group::GroupType};

impl Store {
    /// A project's group types, by index.
    pub(crate) async fn group_types(&self, project_id: i64) -> Result<Vec<GroupType>> {
        let rows = group_type::Entity::find()
            .filter(group_type::Column::ProjectId.eq(project_id))
            .order_by_asc(group_type::Column::GroupTypeIndex)
            .all(self.reader())
            .await
            .map_err(failure)?;
        let noun =
            |row: group_type::Model| GroupType { index: row.group_type_index, name: row.name };
        Ok(rows.into_iter().map(noun).collect())
    }
}
