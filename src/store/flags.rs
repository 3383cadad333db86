//! Feature flags: read whole, written with the columns that queries need.

use futures::{TryFutureExt, future::try_join};
use sea_orm::{
    ActiveModelTrait,
    ActiveValue::{NotSet, Set},
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect, QueryTrait, Select, SqlErr,
    sea_query::LockType,
};
use serde_json::Value;

use super::{
    ProjectWrite, Store,
    among::among,
    damage,
    entity::{feature_flag, flag_dependency},
    failure, flag_links,
    flag_links::Beside,
    flags_labels,
    project_write::Kind,
    users,
};
use crate::model::{
    error::{Error, Result},
    flag::{FeatureFlag, FlagRef, User},
    flag_filter::loosened,
    status,
    write::key_taken,
};

impl Store {
    /// A flag by number, softly deleted ones included.
    pub(crate) async fn flag(&self, project_id: i64, id: i64) -> Result<Option<FeatureFlag>> {
        find(self.reader(), project_id, id).await
    }

    /// A flag that is not softly deleted, without what hangs on it: no names, labels or links.
    pub(crate) async fn bare_flag(
        &self,
        project_id: i64,
        wanted: &FlagRef,
    ) -> Result<Option<FeatureFlag>> {
        let query = match wanted {
            FlagRef::Id(id) => live(project_id).filter(feature_flag::Column::Id.eq(*id)),
            FlagRef::Key(key) => live(project_id).filter(feature_flag::Column::Key.eq(key)),
        };
        Ok(query.one(self.reader()).await.map_err(failure)?.map(bare))
    }

    /// One part of all flags that are not softly deleted nor made by the service for itself,
    /// newest first, archived ones included; and how many there are in all.
    pub(crate) async fn live_flags(
        &self,
        project_id: i64,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<FeatureFlag>, i64)> {
        let wanted = live(project_id).filter(feature_flag::Column::Internal.eq(false));
        let total = wanted.clone().count(self.reader()).await.map_err(failure)?;
        let rows = wanted
            .order_by_desc(feature_flag::Column::CreatedAt)
            .order_by_desc(feature_flag::Column::Id)
            .offset(offset)
            .limit(limit)
            .all(self.reader())
            .await
            .map_err(failure)?;
        let flags = whole(self.reader(), rows).await?;
        Ok((flags, i64::try_from(total).unwrap_or(i64::MAX)))
    }

    /// What evaluation reads of a project: the flags among `ids`, or all.
    ///
    /// Softly deleted flags are left out, but for those that others still read: evaluation
    /// tells a deleted dependency from one that never was.
    pub(crate) async fn definitions(
        &self,
        project_id: i64,
        ids: Option<&[i64]>,
    ) -> Result<Vec<FeatureFlag>> {
        let read_by_others = flag_dependency::Entity::find()
            .select_only()
            .column(flag_dependency::Column::DependsOnId)
            .filter(flag_dependency::Column::ProjectId.eq(project_id));
        let kept = Condition::any()
            .add(feature_flag::Column::Deleted.eq(false))
            .add(feature_flag::Column::Id.in_subquery(read_by_others.into_query()));
        let mut query = of_project(project_id).filter(kept);
        if let Some(ids) = ids {
            let wanted = among(self.reader(), feature_flag::Column::Id, ids.iter().copied());
            query = query.filter(wanted);
        }
        let rows = query.order_by_asc(feature_flag::Column::Key).all(self.reader());
        let beside = Beside::of(self.reader(), project_id, ids);
        // All at once: other replicas' changes are waited for.
        let (rows, beside) = try_join(rows.map_err(failure), beside).await?;
        let mut flags: Vec<_> = rows.into_iter().map(bare).collect();
        beside.fill(&mut flags);
        Ok(flags)
    }
}

/// Flags, softly deleted ones included.
pub(super) fn of_project(project_id: i64) -> Select<feature_flag::Entity> {
    feature_flag::Entity::find().filter(feature_flag::Column::ProjectId.eq(project_id))
}

/// Flags that are not softly deleted.
pub(super) fn live(project_id: i64) -> Select<feature_flag::Entity> {
    of_project(project_id).filter(feature_flag::Column::Deleted.eq(false))
}

async fn find(
    connection: &impl ConnectionTrait,
    project_id: i64,
    id: i64,
) -> Result<Option<FeatureFlag>> {
    let row = by_id(project_id, id).one(connection).await.map_err(failure)?;
    let flags = whole(connection, row.into_iter().collect()).await?;
    Ok(flags.into_iter().next())
}

fn by_id(project_id: i64, id: i64) -> Select<feature_flag::Entity> {
    feature_flag::Entity::find_by_id(id).filter(feature_flag::Column::ProjectId.eq(project_id))
}

impl ProjectWrite {
    /// A flag under its own lock, so that ingestion cannot change it meanwhile.
    pub(crate) async fn lock_flag(&self, id: i64) -> Result<Option<FeatureFlag>> {
        let locked = by_id(self.project.id, id).lock(LockType::NoKeyUpdate);
        let row = locked.one(&self.txn).await.map_err(failure)?;
        Ok(whole(&self.txn, row.into_iter().collect()).await?.into_iter().next())
    }

    /// The flags whose payloads are encrypted, softly deleted ones included.
    pub(crate) async fn encrypted_flags(&self) -> Result<Vec<FeatureFlag>> {
        let rows = of_project(self.project.id)
            .filter(feature_flag::Column::HasEncryptedPayloads.eq(true))
            .all(&self.txn)
            .await
            .map_err(failure)?;
        whole(&self.txn, rows).await
    }

    /// Whether any flag, softly deleted or live, has this key.
    pub(crate) async fn has_key(&self, key: &str) -> Result<bool> {
        Ok(self.key_holder(key).await?.is_some())
    }

    /// Gives a softly deleted flag another key, so that its own can be used anew.
    pub(crate) async fn rename_flag(&mut self, id: i64, key: String) -> Result<()> {
        let row = feature_flag::ActiveModel { id: Set(id), key: Set(key), ..Default::default() };
        row.update(&self.txn).await.map(|_| ()).map_err(failure)
    }

    /// The flag that holds a key, softly deleted or live.
    pub(crate) async fn key_holder(&self, key: &str) -> Result<Option<(i64, bool)>> {
        feature_flag::Entity::find()
            .filter(feature_flag::Column::ProjectId.eq(self.project.id))
            .filter(feature_flag::Column::Key.eq(key))
            .select_only()
            .columns([feature_flag::Column::Id, feature_flag::Column::Deleted])
            .into_tuple()
            .one(&self.txn)
            .await
            .map_err(failure)
    }

    /// Stores a new flag with its labels, and answers its number.
    pub(crate) async fn insert_flag(&mut self, flag: &FeatureFlag) -> Result<i64> {
        let mut row = columns(flag);
        row.project_id = Set(self.project.id);
        row.created_by_id = Set(flag.created_by.as_ref().map(|user| user.id));
        row.created_at = Set(flag.created_at);
        row.internal = Set(false);
        row.activity_count = Set(0);
        let id = row.insert(&self.txn).await.map_err(unique_key)?.id;
        self.flags_added += i64::from(!flag.deleted);
        self.touch(Kind::Flag, id, false);
        flags_labels::replace_tags(self, id, &flag.tags).await?;
        flags_labels::replace_contexts(self, id, &flag.evaluation_contexts).await?;
        flag_links::replace_dashboards(self, id, &flag.analytics_dashboards).await?;
        self.replace_references(flag, id).await?;
        Ok(id)
    }

    /// Stores a flag's new state, labels included where they differ.
    pub(crate) async fn update_flag(
        &mut self,
        before: &FeatureFlag,
        after: &FeatureFlag,
    ) -> Result<()> {
        let mut row = columns(after);
        row.id = Set(after.id);
        // What cannot be read is not overwritten by a change of something else.
        if before.filters == after.filters {
            row.filters = NotSet;
        }
        if before.rollback_conditions == after.rollback_conditions {
            row.rollback_conditions = NotSet;
        }
        if before.last_called_at == after.last_called_at {
            // Ingestion may have moved it; what was not changed here is not written here.
            row.last_called_at = NotSet;
        }
        row.update(&self.txn).await.map_err(unique_key)?;
        self.flags_added += i64::from(before.deleted) - i64::from(after.deleted);
        self.touch(Kind::Flag, after.id, after.deleted);
        if before.tags != after.tags {
            flags_labels::replace_tags(self, after.id, &after.tags).await?;
        }
        if before.evaluation_contexts != after.evaluation_contexts {
            flags_labels::replace_contexts(self, after.id, &after.evaluation_contexts).await?;
        }
        if before.analytics_dashboards != after.analytics_dashboards {
            flag_links::replace_dashboards(self, after.id, &after.analytics_dashboards).await?;
        }
        if before.filters != after.filters {
            self.replace_references(after, after.id).await?;
        }
        Ok(())
    }

    /// Removes a softly deleted flag for good, so that its key can be used anew.
    pub(crate) async fn remove_flag(&mut self, id: i64) -> Result<()> {
        flags_labels::replace_tags(self, id, &[]).await?;
        flags_labels::replace_contexts(self, id, &[]).await?;
        feature_flag::Entity::delete_many()
            .filter(feature_flag::Column::ProjectId.eq(self.project.id))
            .filter(feature_flag::Column::Id.eq(id))
            .exec(&self.txn)
            .await
            .map_err(failure)?;
        self.touch(Kind::Flag, id, true);
        Ok(())
    }

    /// A user's whole record, for signing a change. It is read once.
    pub(crate) async fn user(&mut self, id: Option<i64>) -> Result<Option<User>> {
        let is_known = self.audit.actor.as_ref().map(|user| user.id) == id;
        if !is_known {
            let users = users::by_ids(&self.txn, Vec::from_iter(id)).await?;
            self.audit.actor = users.into_values().next();
        }
        Ok(self.audit.actor.clone())
    }
}

/// A storage constraint that a concurrent writer ran into is the documented refusal.
fn unique_key(error: sea_orm::DbErr) -> Error {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => key_taken(),
        _ => failure(error),
    }
}

/// The columns that every save writes, derived ones included.
fn columns(flag: &FeatureFlag) -> feature_flag::ActiveModel {
    feature_flag::ActiveModel {
        key: Set(flag.key.clone()),
        name: Set(flag.name.clone()),
        filters: Set(flag.filters.to_string()),
        deleted: Set(flag.deleted),
        active: Set(flag.active),
        archived: Set(flag.archived),
        version: Set(flag.version),
        last_modified_by_id: Set(flag.last_modified_by.as_ref().map(|user| user.id)),
        updated_at: Set(flag.updated_at),
        ensure_experience_continuity: Set(flag.ensure_experience_continuity),
        rollback_conditions: Set(match &flag.rollback_conditions {
            Value::Null => None,
            conditions => Some(conditions.to_string()),
        }),
        performed_rollback: Set(flag.performed_rollback),
        usage_dashboard_id: Set(flag.usage_dashboard),
        has_enriched_analytics: Set(flag.has_enriched_analytics),
        is_remote_configuration: Set(flag.is_remote_configuration),
        has_encrypted_payloads: Set(flag.has_encrypted_payloads),
        evaluation_runtime: Set(flag.evaluation_runtime.clone()),
        bucketing_identifier: Set(flag.bucketing_identifier.clone()),
        last_called_at: Set(flag.last_called_at),
        has_variants: Set(!status::variants(&flag.filters).is_empty()),
        fully_rolled_out: Set(status::is_listed_as_full(&flag.filters)),
        search_text: Set(search_text(flag)),
        ..Default::default()
    }
}

/// What searches look in: key and name in lower case, as typed and with separators loosened.
fn search_text(flag: &FeatureFlag) -> String {
    let typed = format!("{}\n{}", flag.key, flag.name).to_lowercase();
    let loose = [&flag.key, &flag.name].map(|text| loosened(&text.to_lowercase()));
    format!("{typed}\n{}", loose.join("\n"))
}

/// Rows with all that hangs on them, in the order given.
pub(super) async fn whole(
    connection: &impl ConnectionTrait,
    rows: Vec<feature_flag::Model>,
) -> Result<Vec<FeatureFlag>> {
    let Some(project_id) = rows.first().map(|row| row.project_id) else { return Ok(Vec::new()) };
    let authors = rows.iter().flat_map(|row| [row.created_by_id, row.last_modified_by_id]);
    let users = users::by_ids(connection, authors.flatten().collect()).await?;
    let signed = |row: feature_flag::Model| {
        let user = |id: Option<i64>| id.and_then(|id| users.get(&id).cloned());
        let (created_by, last_modified_by) =
            (user(row.created_by_id), user(row.last_modified_by_id));
        FeatureFlag { created_by, last_modified_by, ..bare(row) }
    };
    let mut flags: Vec<_> = rows.into_iter().map(signed).collect();
    let ids: Vec<_> = flags.iter().map(|flag| flag.id).collect();
    let mut tags = flags_labels::tags_of(connection, project_id, Some(&ids)).await?;
    for flag in &mut flags {
        flag.tags = tags.remove(&flag.id).unwrap_or_default();
    }
    Beside::of(connection, project_id, Some(&ids)).await?.fill(&mut flags);
    flag_links::add_dashboards(connection, project_id, &mut flags).await?;
    Ok(flags)
}

/// What the row alone says; filters that cannot be read are null.
pub(super) fn bare(row: feature_flag::Model) -> FeatureFlag {
    let filters = damage::object_or_null("feature_flag.filters", row.id, &row.filters);
    let conditions = row
        .rollback_conditions
        .as_deref()
        .and_then(|text| damage::json("feature_flag.rollback_conditions", row.id, text));
    FeatureFlag {
        id: row.id,
        project_id: row.project_id,
        key: row.key,
        name: row.name,
        filters,
        deleted: row.deleted,
        active: row.active,
        archived: row.archived,
        version: row.version,
        created_by: None,
        last_modified_by: None,
        created_at: row.created_at,
        updated_at: row.updated_at,
        ensure_experience_continuity: row.ensure_experience_continuity,
        rollback_conditions: conditions.unwrap_or_default(),
        performed_rollback: row.performed_rollback,
        usage_dashboard: row.usage_dashboard_id,
        analytics_dashboards: Vec::new(),
        links: Vec::new(),
        has_enriched_analytics: row.has_enriched_analytics,
        is_remote_configuration: row.is_remote_configuration,
        has_encrypted_payloads: row.has_encrypted_payloads,
        evaluation_runtime: row.evaluation_runtime,
        bucketing_identifier: row.bucketing_identifier,
        last_called_at: row.last_called_at,
        tags: Vec::new(),
        evaluation_contexts: Vec::new(),
    }
}
