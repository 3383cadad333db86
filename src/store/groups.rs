//! Groups and their types: up to five of those, numbered from 0, which ingestion makes.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
};

use super::{ProjectWrite, Store, entity::group_type, failure, project_write::Kind};
use crate::model::{error::Result, group::GroupType};

/// The most kinds of group in a project.
const MOST_GROUP_TYPES: i32 = 5;

impl Store {
    /// A project's group types, by index.
    pub(crate) async fn group_types(&self, project_id: i64) -> Result<Vec<GroupType>> {
        of_project(self.reader(), project_id).await
    }
}

impl ProjectWrite {
    /// Makes the group types that are missing, each at the next free number, as far as there is
    /// room; answers all there are then.
    pub(crate) async fn ensure_group_types<'n>(
        &mut self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<BTreeMap<String, i32>> {
        let stored = of_project(&self.txn, self.project.id).await?;
        let mut types: BTreeMap<String, i32> =
            stored.into_iter().map(|kind| (kind.name, kind.index)).collect();
        let known = types.len();
        for name in names {
            let free = (0..MOST_GROUP_TYPES).find(|index| types.values().all(|used| used != index));
            let Some(index) = free.filter(|_| !types.contains_key(name)) else { continue };
            let row = group_type::ActiveModel {
                project_id: Set(self.project.id),
                group_type_index: Set(index),
                name: Set(name.to_owned()),
            };
            group_type::Entity::insert(row)
                .exec_without_returning(&self.txn)
                .await
                .map_err(failure)?;
            types.insert(name.to_owned(), index);
        }
        if types.len() > known {
            self.touch(Kind::Project, self.project.id, false);
        }
        Ok(types)
    }
}

async fn of_project(connection: &impl ConnectionTrait, project_id: i64) -> Result<Vec<GroupType>> {
    let rows = group_type::Entity::find()
        .filter(group_type::Column::ProjectId.eq(project_id))
        .order_by_asc(group_type::Column::GroupTypeIndex)
        .all(connection)
        .await
        .map_err(failure)?;
    let noun = |row: group_type::Model| GroupType { index: row.group_type_index, name: row.name };
    Ok(rows.into_iter().map(noun).collect())
}
