//! Credentials other than public project tokens: only their hashes are here.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait,
    PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Select, sea_query::Expr,
};

use super::{
    Store,
    among::among,
    damage,
    entity::{api_key, api_key_project},
    failure,
    listen::{Announcement, announce},
};
use crate::model::{
    api_key::{ApiKey, NewApiKey},
    caller::{CredentialKind, Reach},
    error::{Error, Result},
};

const PERSONAL: &str = "personal";
const PROJECT_SECRET: &str = "project_secret";

impl Store {
    /// The key with this hash, revoked and expired ones included.
    pub(crate) async fn key_by_hash(&self, token_hash: &str) -> Result<Option<ApiKey>> {
        let found = api_key::Entity::find().filter(api_key::Column::TokenHash.eq(token_hash));
        let row = found.one(self.facts()).await.map_err(failure)?;
        let keys = with_projects(self.facts(), row.into_iter().collect()).await?;
        Ok(keys.into_iter().next())
    }

    /// The keys of these numbers, revoked and expired ones included. Like the revisions, they are
    /// asked for where a busy pool is not waited for.
    pub(crate) async fn keys_among(&self, ids: &[i64]) -> Result<Vec<ApiKey>> {
        let wanted = among(&self.probe, api_key::Column::Id, ids.iter().copied());
        let rows = api_key::Entity::find().filter(wanted).all(&self.probe).await;
        with_projects(&self.probe, rows.map_err(failure)?).await
    }

    /// All keys of an organization, oldest first.
    pub(crate) async fn keys(&self, organization_id: i64) -> Result<Vec<ApiKey>> {
        let rows = api_key::Entity::find()
            .filter(api_key::Column::OrganizationId.eq(organization_id))
            .order_by_asc(api_key::Column::Id)
            .all(self.reader())
            .await
            .map_err(failure)?;
        with_projects(self.reader(), rows).await
    }

    /// A part of the keys that open a project, newest first, and how many there are in all.
    pub(crate) async fn keys_page(
        &self,
        organization_id: i64,
        project_id: i64,
        (offset, limit): (u64, u64),
    ) -> Result<(Vec<ApiKey>, i64)> {
        let found = opening(organization_id, project_id);
        let total = found.clone().count(self.reader()).await.map_err(failure)?;
        let page = found.order_by_desc(api_key::Column::Id).offset(offset).limit(limit);
        let rows = page.all(self.reader()).await.map_err(failure)?;
        let keys = with_projects(self.reader(), rows).await?;
        Ok((keys, i64::try_from(total).unwrap_or(i64::MAX)))
    }

    /// A key by number, if it opens this project.
    pub(crate) async fn key(
        &self,
        organization_id: i64,
        project_id: i64,
        id: i64,
    ) -> Result<Option<ApiKey>> {
        let found = opening(organization_id, project_id).filter(api_key::Column::Id.eq(id));
        let row = found.one(self.reader()).await.map_err(failure)?;
        let keys = with_projects(self.reader(), row.into_iter().collect()).await?;
        Ok(keys.into_iter().next())
    }

    /// Takes a key back; `false` when there is no such key. Revoking twice keeps the first time.
    pub(crate) async fn revoke_key(
        &self,
        organization_id: i64,
        id: i64,
        now: DateTime<Utc>,
    ) -> Result<bool> {
        let txn = self.begin().await?;
        let found = api_key::Entity::find_by_id(id)
            .filter(api_key::Column::OrganizationId.eq(organization_id))
            .one(&txn)
            .await
            .map_err(failure)?;
        let Some(key) = found else { return Ok(false) };
        if key.revoked_at.is_none() {
            let mut row: api_key::ActiveModel = key.into();
            row.revoked_at = Set(Some(now));
            row.update(&txn).await.map_err(failure)?;
            announce(&txn, Announcement::Keys(Some(id))).await?;
        }
        self.commit(txn).await?;
        Ok(true)
    }

    /// Notes that a key was used `now`, unless a use within `precision` is noted: other replicas
    /// note the same.
    pub(crate) async fn key_used(
        &self,
        id: i64,
        now: DateTime<Utc>,
        precision: TimeDelta,
    ) -> Result<()> {
        let is_other = Condition::any()
            .add(api_key::Column::LastUsedAt.is_null())
            .add(api_key::Column::LastUsedAt.lte(now - precision))
            .add(api_key::Column::LastUsedAt.gte(now + precision));
        api_key::Entity::update_many()
            .col_expr(api_key::Column::LastUsedAt, Expr::value(now))
            .filter(api_key::Column::Id.eq(id))
            .filter(is_other)
            .exec(&self.write)
            .await
            .map(|_| ())
            .map_err(failure)
    }
}

/// The keys of an organization that open one of its projects.
fn opening(organization_id: i64, project_id: i64) -> Select<api_key::Entity> {
    let listed = api_key_project::Entity::find()
        .select_only()
        .column(api_key_project::Column::ApiKeyId)
        .filter(api_key_project::Column::ProjectId.eq(project_id))
        .into_query();
    let opens = Condition::any()
        .add(api_key::Column::AllProjects.eq(true))
        .add(api_key::Column::Id.in_subquery(listed));
    api_key::Entity::find()
        .filter(api_key::Column::OrganizationId.eq(organization_id))
        .filter(opens)
}

/// Stores a key and tells running servers of it; answers the key as it is stored.
pub(crate) async fn insert(
    txn: &impl ConnectionTrait,
    new: NewApiKey,
    now: DateTime<Utc>,
) -> Result<ApiKey> {
    let (all_projects, projects) = match new.reach {
        Reach::Organization => (true, Vec::new()),
        Reach::Projects(ids) => (false, ids),
    };
    let row = api_key::ActiveModel {
        kind: Set(kind_name(new.kind)?.to_owned()),
        token_hash: Set(new.token_hash),
        token_hint: Set(new.hint),
        label: Set(new.label),
        organization_id: Set(new.organization_id),
        user_id: Set(new.user_id),
        all_projects: Set(all_projects),
        scopes: Set(serde_json::Value::from(new.scopes).to_string()),
        created_at: Set(now),
        expires_at: Set(new.expires_at),
        ..Default::default()
    };
    let row = row.insert(txn).await.map_err(failure)?;
    let id = row.id;
    let link = |project_id| api_key_project::ActiveModel {
        api_key_id: Set(id),
        project_id: Set(project_id),
    };
    if !projects.is_empty() {
        let links = api_key_project::Entity::insert_many(projects.into_iter().map(link));
        links.exec_without_returning(txn).await.map_err(failure)?;
    }
    announce(txn, Announcement::Keys(Some(id))).await?;
    let stored = with_projects(txn, vec![row]).await?.into_iter().next();
    stored.ok_or_else(|| Error::internal("a key that was stored is gone"))
}

fn kind_name(kind: CredentialKind) -> Result<&'static str> {
    match kind {
        CredentialKind::Personal => Ok(PERSONAL),
        CredentialKind::ProjectSecret => Ok(PROJECT_SECRET),
        CredentialKind::ProjectToken => Err(Error::internal("a project token is no stored key")),
    }
}

async fn with_projects(
    connection: &impl ConnectionTrait,
    rows: Vec<api_key::Model>,
) -> Result<Vec<ApiKey>> {
    let ids: Vec<_> = rows.iter().filter(|row| !row.all_projects).map(|row| row.id).collect();
    let mut projects: HashMap<i64, Vec<i64>> = HashMap::new();
    if !ids.is_empty() {
        let links = api_key_project::Entity::find()
            .filter(api_key_project::Column::ApiKeyId.is_in(ids))
            .order_by_asc(api_key_project::Column::ProjectId)
            .all(connection)
            .await
            .map_err(failure)?;
        for link in links {
            projects.entry(link.api_key_id).or_default().push(link.project_id);
        }
    }
    Ok(rows.into_iter().filter_map(|row| noun(row, &mut projects)).collect())
}

/// A row as the key it stands for; `None` for a kind that is not known. Scopes that cannot be read
/// are none.
fn noun(row: api_key::Model, projects: &mut HashMap<i64, Vec<i64>>) -> Option<ApiKey> {
    let kind = match row.kind.as_str() {
        PERSONAL => CredentialKind::Personal,
        PROJECT_SECRET => CredentialKind::ProjectSecret,
        _ => {
            damage::note("api_key.kind", row.id, "it is no kind of key");
            return None;
        }
    };
    let reach = match row.all_projects {
        true => Reach::Organization,
        // A key whose projects are all gone reaches nothing.
        false => Reach::Projects(projects.remove(&row.id).unwrap_or_default()),
    };
    let scopes = damage::json("api_key.scopes", row.id, &row.scopes).unwrap_or_default();
    let scopes = scopes.as_array().into_iter().flatten();
    Some(ApiKey {
        id: row.id,
        kind,
        hint: row.token_hint,
        label: row.label,
        organization_id: row.organization_id,
        user_id: row.user_id,
        reach,
        scopes: scopes.filter_map(|scope| scope.as_str().map(str::to_owned)).collect(),
        created_at: row.created_at,
        expires_at: row.expires_at,
        revoked_at: row.revoked_at,
        last_used_at: row.last_used_at,
    })
}
