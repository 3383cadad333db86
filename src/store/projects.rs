//! Projects and the organizations that own them.

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
};

use super::{
    Store, change_log,
    entity::{organization, project},
    failure,
    project_write::{Kind, run},
};
use crate::model::{error::Result, history_point::HistoryToken, project::Project};

/// Any number will do, as long as every replica uses the same one.
const BOOTSTRAP_LOCK: i64 = 0x0F1A_65B0;

impl Store {
    /// All projects, by number.
    pub(crate) async fn projects(&self) -> Result<Vec<Project>> {
        let rows =
            project::Entity::find().order_by_asc(project::Column::Id).all(self.reader()).await;
        Ok(rows.map_err(failure)?.into_iter().map(noun).collect())
    }

    /// A part of an organization's projects, by number, and how many there are in all; with
    /// `among`, of these alone.
    pub(crate) async fn projects_page(
        &self,
        organization_id: i64,
        among: Option<&[i64]>,
        (offset, limit): (u64, u64),
    ) -> Result<(Vec<Project>, i64)> {
        let mut found =
            project::Entity::find().filter(project::Column::OrganizationId.eq(organization_id));
        if let Some(ids) = among {
            let ids = ids.iter().copied();
            found = found.filter(super::among::among(self.reader(), project::Column::Id, ids));
        }
        let total = found.clone().count(self.reader()).await.map_err(failure)?;
        let page = found.order_by_asc(project::Column::Id).offset(offset).limit(limit);
        let rows = page.all(self.reader()).await.map_err(failure)?;
        Ok((rows.into_iter().map(noun).collect(), i64::try_from(total).unwrap_or(i64::MAX)))
    }

    /// The project of an organization with the lowest id.
    pub(crate) async fn first_project(&self, organization_id: i64) -> Result<Option<i64>> {
        project::Entity::find()
            .filter(project::Column::OrganizationId.eq(organization_id))
            .select_only()
            .column(project::Column::Id)
            .order_by_asc(project::Column::Id)
            .into_tuple()
            .one(self.reader())
            .await
            .map_err(failure)
    }

    pub(crate) async fn project(&self, id: i64) -> Result<Option<Project>> {
        let row = project::Entity::find_by_id(id).one(self.facts()).await;
        Ok(row.map_err(failure)?.map(noun))
    }

    pub(crate) async fn project_by_token(&self, token: &str) -> Result<Option<Project>> {
        let found = project::Entity::find().filter(project::Column::ApiToken.eq(token));
        Ok(found.one(self.facts()).await.map_err(failure)?.map(noun))
    }

    /// Returns whether there is any project: the database is past its first start.
    pub(crate) async fn has_project(&self) -> Result<bool> {
        any_project(self.reader()).await
    }

    /// The first organization; `None` before the bootstrap.
    pub(crate) async fn first_organization(&self) -> Result<Option<i64>> {
        organization::Entity::find()
            .select_only()
            .column(organization::Column::Id)
            .order_by_asc(organization::Column::Id)
            .into_tuple()
            .one(self.reader())
            .await
            .map_err(failure)
    }
}

/// Lets one process at a time look whether the database is empty; released with the transaction.
/// On SQLite the transaction itself is that lock.
pub(crate) async fn lock_for_bootstrap(txn: &impl ConnectionTrait) -> Result<()> {
    match txn.get_database_backend() {
        DbBackend::Postgres => {
            run(txn, "SELECT pg_advisory_xact_lock($1)", vec![BOOTSTRAP_LOCK.into()]).await
        }
        _ => Ok(()),
    }
}

pub(crate) async fn any_project(txn: &impl ConnectionTrait) -> Result<bool> {
    Ok(project::Entity::find().limit(1).count(txn).await.map_err(failure)? > 0)
}

pub(crate) async fn insert_organization(
    txn: &impl ConnectionTrait,
    name: &str,
    now: DateTime<Utc>,
) -> Result<i64> {
    let row = organization::ActiveModel {
        name: Set(name.to_owned()),
        created_at: Set(now),
        ..Default::default()
    };
    Ok(row.insert(txn).await.map_err(failure)?.id)
}

/// Stores a new project, and answers it with its number.
pub(crate) async fn insert(txn: &impl ConnectionTrait, new: Project) -> Result<Project> {
    let row = project::ActiveModel {
        organization_id: Set(new.organization_id),
        name: Set(new.name),
        api_token: Set(new.api_token),
        timezone: Set(new.timezone),
        property_matching_version: Set(new.property_matching_version),
        feature_flag_limit: Set(i32::try_from(new.feature_flag_limit).unwrap_or(i32::MAX)),
        require_evaluation_contexts: Set(new.require_evaluation_contexts),
        strict_writes: Set(new.strict_writes),
        created_at: Set(new.created_at),
        revision: Set(new.revision),
        history_token: Set(new.history_token.as_stored()),
        definitions_token: Set(new.definitions_token.as_stored()),
        flag_count: Set(new.flag_count),
        activity_count: Set(new.activity_count),
        ..Default::default()
    };
    let project = row.insert(txn).await.map(noun).map_err(failure)?;
    let first = [((Kind::Project, project.id), false)].into();
    change_log::write(txn, project.id, project.point(), &first, project.created_at).await?;
    Ok(project)
}

pub(super) fn noun(row: project::Model) -> Project {
    Project {
        id: row.id,
        organization_id: row.organization_id,
        name: row.name,
        api_token: row.api_token,
        timezone: row.timezone,
        property_matching_version: row.property_matching_version,
        feature_flag_limit: i64::from(row.feature_flag_limit),
        require_evaluation_contexts: row.require_evaluation_contexts,
        strict_writes: row.strict_writes,
        created_at: row.created_at,
        revision: row.revision,
        history_token: HistoryToken::from_stored(row.history_token),
        definitions_token: HistoryToken::from_stored(row.definitions_token),
        flag_count: row.flag_count,
        activity_count: row.activity_count,
    }
}
