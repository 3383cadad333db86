//! Groups and their types, which ingestion writes.

use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    Select,
    sea_query::{Expr, Func},
};

use super::{
    Store,
    entity::{group, group_type},
    failure,
    flag_list::anywhere,
    stored_json,
};
use crate::model::{
    error::Result,
    group::{Group, GroupType},
};

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

    /// A part of the groups of a type whose key holds a text, newest first, and how many there
    /// are in all.
    pub(crate) async fn groups(
        &self,
        project_id: i64,
        type_index: i32,
        search: Option<&str>,
        (offset, limit): (u64, u64),
    ) -> Result<(Vec<Group>, i64)> {
        let mut wanted = of_type(project_id, type_index);
        if let Some(term) = search {
            let key = Expr::expr(Func::lower(Expr::col(group::Column::GroupKey)));
            wanted = wanted.filter(key.like(anywhere(&term.to_lowercase())));
        }
        let total = wanted.clone().count(self.reader()).await.map_err(failure)?;
        let rows = wanted
            .order_by_desc(group::Column::Id)
            .offset(offset)
            .limit(limit)
            .all(self.reader())
            .await
            .map_err(failure)?;
        let groups = rows.into_iter().map(noun).collect::<Result<_>>()?;
        Ok((groups, i64::try_from(total).unwrap_or(i64::MAX)))
    }

    /// One group.
    pub(crate) async fn group(
        &self,
        project_id: i64,
        type_index: i32,
        key: &str,
    ) -> Result<Option<Group>> {
        let wanted = of_type(project_id, type_index).filter(group::Column::GroupKey.eq(key));
        wanted.one(self.reader()).await.map_err(failure)?.map(noun).transpose()
    }
}

fn of_type(project_id: i64, type_index: i32) -> Select<group::Entity> {
    group::Entity::find()
        .filter(group::Column::ProjectId.eq(project_id))
        .filter(group::Column::GroupTypeIndex.eq(type_index))
}

fn noun(row: group::Model) -> Result<Group> {
    Ok(Group {
        type_index: row.group_type_index,
        key: row.group_key,
        properties: stored_json(&row.properties)?,
        created_at: row.created_at,
    })
}
