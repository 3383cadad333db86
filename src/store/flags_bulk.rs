//! Many flags in a few statements: looked up, and softly deleted.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::Expr,
};
use serde_json::Value;

use super::{
    ProjectWrite, Store,
    among::among,
    damage,
    entity::{
        feature_flag::{self, Column},
        flag_dependency, flag_link,
    },
    failure, flag_links, flag_list, flags,
    project_write::Kind,
};
use crate::model::{
    activity::NewActivity, error::Result, flag_filter::FlagFilter, guards::Named, link::Link,
};

/// What a bulk operation needs to know of a flag.
#[derive(Clone, Debug)]
pub(crate) struct BulkFlag {
    pub(crate) id: i64,
    pub(crate) key: String,
    pub(crate) name: String,
    pub(crate) filters: Value,
}

type Row = (i64, String, String, String);

impl Store {
    /// The keys of the flags among `ids` that are not softly deleted, by number.
    pub(crate) async fn flag_keys(
        &self,
        project_id: i64,
        ids: &[i64],
    ) -> Result<HashMap<i64, String>> {
        self.keys_of(flags::live(project_id), ids).await
    }

    /// The keys of the flags among `ids`, softly deleted ones included.
    pub(crate) async fn all_flag_keys(
        &self,
        project_id: i64,
        ids: &[i64],
    ) -> Result<HashMap<i64, String>> {
        self.keys_of(flags::of_project(project_id), ids).await
    }

    async fn keys_of(
        &self,
        flags: Select<feature_flag::Entity>,
        ids: &[i64],
    ) -> Result<HashMap<i64, String>> {
        let rows: Vec<(i64, String)> = flags
            .filter(among(self.reader(), Column::Id, ids.iter().copied()))
            .select_only()
            .columns([Column::Id, Column::Key])
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)?;
        Ok(rows.into_iter().collect())
    }
}

impl ProjectWrite {
    /// The flags among `ids` that are not softly deleted, newest first; those that the service
    /// made for itself only `with_internal`.
    pub(crate) async fn flags_among(
        &self,
        ids: impl IntoIterator<Item = i64>,
        with_internal: bool,
    ) -> Result<Vec<BulkFlag>> {
        let mut wanted = flags::live(self.project.id).filter(among(&self.txn, Column::Id, ids));
        if !with_internal {
            wanted = wanted.filter(Column::Internal.eq(false));
        }
        self.bulk(wanted.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id)).await
    }

    /// All flags that a list with this filter would show, newest first.
    pub(crate) async fn flags_matching(
        &self,
        filter: &FlagFilter,
        now: DateTime<Utc>,
    ) -> Result<Vec<BulkFlag>> {
        self.bulk(flag_list::all_matching(&self.txn, self.project.id, filter, now).await?).await
    }

    async fn bulk(&self, wanted: Select<feature_flag::Entity>) -> Result<Vec<BulkFlag>> {
        let rows: Vec<Row> = wanted
            .select_only()
            .columns([Column::Id, Column::Key, Column::Name, Column::Filters])
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)?;
        let read = |(id, key, name, filters): Row| {
            let filters = damage::object_or_null("feature_flag.filters", id, &filters);
            BulkFlag { id, key, name, filters }
        };
        Ok(rows.into_iter().map(read).collect())
    }

    /// What other products hold on to each of these flags; those that nothing holds are left out.
    pub(crate) async fn links_among(&self, ids: &[i64]) -> Result<HashMap<i64, Vec<Link>>> {
        let rows = flag_link::Entity::find()
            .filter(flag_link::Column::ProjectId.eq(self.project.id))
            .filter(among(&self.txn, flag_link::Column::FlagId, ids.iter().copied()))
            .order_by_asc(flag_link::Column::RefId)
            .all(&self.txn)
            .await
            .map_err(failure)?;
        let mut of_flag: HashMap<i64, Vec<Link>> = HashMap::new();
        for row in rows {
            of_flag.entry(row.flag_id).or_default().extend(flag_links::link(row));
        }
        Ok(of_flag)
    }

    /// The live, active flags that read each of these, by key; those that nothing reads are left out.
    pub(crate) async fn dependents_among(&self, ids: &[i64]) -> Result<HashMap<i64, Vec<Named>>> {
        let pairs: Vec<(i64, i64)> = flag_dependency::Entity::find()
            .select_only()
            .columns([flag_dependency::Column::DependsOnId, flag_dependency::Column::FlagId])
            .filter(flag_dependency::Column::ProjectId.eq(self.project.id))
            .filter(among(&self.txn, flag_dependency::Column::DependsOnId, ids.iter().copied()))
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)?;
        let readers: HashSet<i64> = pairs.iter().map(|(_, reader)| *reader).collect();
        let mut read_by: HashMap<i64, Vec<i64>> = HashMap::new();
        for (id, reader) in pairs.into_iter().filter(|(id, reader)| id != reader) {
            read_by.entry(reader).or_default().push(id);
        }
        let mut dependents: HashMap<i64, Vec<Named>> = HashMap::new();
        for reader in self.active_among(readers).await? {
            for id in read_by.remove(&reader.0).unwrap_or_default() {
                dependents.entry(id).or_default().push(reader.clone());
            }
        }
        Ok(dependents)
    }

    /// The live, active flags among `ids`, by key.
    async fn active_among(&self, ids: HashSet<i64>) -> Result<Vec<Named>> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        flags::live(self.project.id)
            .select_only()
            .columns([Column::Id, Column::Key])
            .filter(Column::Active.eq(true))
            .filter(among(&self.txn, Column::Id, ids))
            .order_by_asc(Column::Key)
            .into_tuple()
            .all(&self.txn)
            .await
            .map_err(failure)
    }

    /// Softly deletes live flags, with a row each; `renamed` are those among them whose key makes
    /// way at once. A flag is written once, its count of rows included: each time costs an entry in
    /// every index.
    pub(crate) async fn delete_flags(
        &mut self,
        rows: &[NewActivity],
        renamed: &[i64],
        user_id: Option<i64>,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let ids = || rows.iter().map(|row| row.flag_id);
        feature_flag::Entity::update_many()
            .col_expr(Column::Deleted, Expr::value(true))
            .col_expr(Column::ActivityCount, Expr::col(Column::ActivityCount).add(1))
            .col_expr(Column::LastModifiedById, Expr::value(user_id))
            .col_expr(Column::UpdatedAt, Expr::value(now))
            .filter(Column::ProjectId.eq(self.project.id))
            .filter(among(&self.txn, Column::Id, ids()))
            .exec(&self.txn)
            .await
            .map_err(failure)?;
        self.flags_added -= i64::try_from(rows.len()).unwrap_or(i64::MAX);
        ids().for_each(|id| self.touch(Kind::Flag, id, true));
        self.rename_deleted(renamed).await?;
        self.log_counted(rows, user_id, now).await
    }

    /// As [`crate::model::guards::deleted_key`] has it, for all at once.
    async fn rename_deleted(&self, ids: &[i64]) -> Result<()> {
        if ids.is_empty() {
            return Ok(());
        }
        let key = "\"key\" || ':deleted:' || CAST(\"id\" AS text)";
        feature_flag::Entity::update_many()
            .col_expr(Column::Key, Expr::cust(key))
            .filter(Column::ProjectId.eq(self.project.id))
            .filter(among(&self.txn, Column::Id, ids.iter().copied()))
            .exec(&self.txn)
            .await
            .map(|_| ())
            .map_err(failure)
    }
}
