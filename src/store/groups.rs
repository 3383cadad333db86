//! Groups and their types: up to five of those, numbered from 0, which ingestion makes.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, Select,
    sea_query::{Expr, Func},
};

use super::{
    ProjectWrite, Store,
    among::among,
    damage,
    entity::{group, group_type},
    failure,
    flag_list::anywhere,
    project_write::Kind,
    sizes::sizes,
};
use crate::model::{
    error::Result,
    group::{Group, GroupType},
    stored_id::looked_up_id,
};

/// The most kinds of group in a project.
const MOST_GROUP_TYPES: i32 = 5;

impl Store {
    /// A project's group types, by index.
    pub(crate) async fn group_types(&self, project_id: i64) -> Result<Vec<GroupType>> {
        of_project(self.reader(), project_id).await
    }

    /// A part of the groups of a type whose key holds a text, newest first, by number and size of
    /// the properties; and how many there are in all.
    pub(crate) async fn groups(
        &self,
        project_id: i64,
        type_index: i32,
        search: Option<&str>,
        (offset, limit): (u64, u64),
    ) -> Result<(Vec<(i64, i64)>, i64)> {
        let mut wanted = of_type(project_id, type_index);
        if let Some(term) = search {
            let key = Expr::expr(Func::lower(Expr::col(group::Column::GroupKey)));
            wanted = wanted.filter(key.like(anywhere(&term.to_lowercase())));
        }
        let total = wanted.clone().count(self.reader()).await.map_err(failure)?;
        let ids: Vec<i64> = wanted
            .select_only()
            .column(group::Column::Id)
            .order_by_desc(group::Column::Id)
            .offset(offset)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        let texts = [group::Column::Properties];
        let project = (group::Column::ProjectId, project_id);
        let sizes =
            sizes::<group::Entity>(self.reader(), project, group::Column::Id, &texts, ids).await?;
        Ok((sizes, i64::try_from(total).unwrap_or(i64::MAX)))
    }

    /// These groups, newest first.
    pub(crate) async fn groups_among(&self, project_id: i64, ids: Vec<i64>) -> Result<Vec<Group>> {
        let rows = group::Entity::find()
            .filter(group::Column::ProjectId.eq(project_id))
            .filter(among(self.reader(), group::Column::Id, ids))
            .order_by_desc(group::Column::Id)
            .all(self.reader())
            .await
            .map_err(failure)?;
        Ok(rows.into_iter().map(noun).collect())
    }

    /// One group.
    pub(crate) async fn group(
        &self,
        project_id: i64,
        type_index: i32,
        key: &str,
    ) -> Result<Option<Group>> {
        let wanted =
            of_type(project_id, type_index).filter(group::Column::GroupKey.eq(looked_up_id(key)));
        Ok(wanted.one(self.reader()).await.map_err(failure)?.map(noun))
    }
}

fn of_type(project_id: i64, type_index: i32) -> Select<group::Entity> {
    group::Entity::find()
        .filter(group::Column::ProjectId.eq(project_id))
        .filter(group::Column::GroupTypeIndex.eq(type_index))
}

fn noun(row: group::Model) -> Group {
    Group {
        type_index: row.group_type_index,
        key: row.group_key,
        properties: damage::object_or_null("group.properties", row.id, &row.properties),
        created_at: row.created_at,
    }
}

impl ProjectWrite {
    /// Makes the group types that are missing, each at the next free number, as far as there is
    /// room; answers how many were made.
    pub(crate) async fn ensure_group_types<'n>(
        &mut self,
        names: impl IntoIterator<Item = &'n str>,
    ) -> Result<usize> {
        let stored = of_project(&self.txn, self.project.id).await?;
        let mut types: BTreeMap<String, i32> =
            stored.into_iter().map(|kind| (kind.name, kind.index)).collect();
        let before = types.len();
        for name in names {
            let free = (0..MOST_GROUP_TYPES).find(|index| types.values().all(|used| used != index));
            let Some(index) = free.filter(|_| !types.contains_key(name)) else { continue };
            self.insert_group_type(name, index).await?;
            types.insert(name.to_owned(), index);
        }
        Ok(types.len() - before)
    }

    /// The number of a group type, and whether it was made just now: at the preferred number where
    /// that is free. `None` where there is no room for another.
    pub(crate) async fn group_type(
        &mut self,
        name: &str,
        preferred: Option<i32>,
    ) -> Result<(Option<i32>, bool)> {
        let stored = of_project(&self.txn, self.project.id).await?;
        if let Some(known) = stored.iter().find(|kind| kind.name == name) {
            return Ok((Some(known.index), false));
        }
        let is_free = |index: &i32| stored.iter().all(|kind| kind.index != *index);
        let numbers = 0..MOST_GROUP_TYPES;
        let preferred = preferred.filter(|index| numbers.contains(index) && is_free(index));
        let Some(index) = preferred.or_else(|| numbers.clone().find(is_free)) else {
            return Ok((None, false));
        };
        self.insert_group_type(name, index).await?;
        Ok((Some(index), true))
    }

    async fn insert_group_type(&mut self, name: &str, index: i32) -> Result<()> {
        let row = group_type::ActiveModel {
            project_id: Set(self.project.id),
            group_type_index: Set(index),
            name: Set(name.to_owned()),
            ..Default::default()
        };
        group_type::Entity::insert(row).exec_without_returning(&self.txn).await.map_err(failure)?;
        self.touch(Kind::Project, self.project.id, false);
        Ok(())
    }
}

/// A project's group types, by index.
pub(super) async fn of_project(
    connection: &impl ConnectionTrait,
    project_id: i64,
) -> Result<Vec<GroupType>> {
    let rows = group_type::Entity::find()
        .filter(group_type::Column::ProjectId.eq(project_id))
        .order_by_asc(group_type::Column::GroupTypeIndex)
        .all(connection)
        .await
        .map_err(failure)?;
    let noun = |row: group_type::Model| GroupType {
        index: row.group_type_index,
        name: row.name,
        name_singular: row.name_singular,
        name_plural: row.name_plural,
    };
    Ok(rows.into_iter().map(noun).collect())
}
