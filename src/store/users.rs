//! The people who manage flags.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveModelTrait, ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter,
    QueryOrder,
};
use uuid::Uuid;

use super::{Store, entity::user, failure};
use crate::model::{
    error::{Error, Result},
    flag::User,
};

/// The user with this address, made when new.
///
/// # Errors
///
/// `Invalid` when a user of another organization has the address.
pub(crate) async fn find_or_insert(
    txn: &impl ConnectionTrait,
    organization_id: i64,
    email: &str,
    now: DateTime<Utc>,
) -> Result<i64> {
    let known = user::Entity::find().filter(user::Column::Email.eq(email)).one(txn).await;
    if let Some(known) = known.map_err(failure)? {
        let elsewhere = || Error::field("user_email", "invalid_input", "Cannot be used here.");
        return (known.organization_id == organization_id)
            .then_some(known.id)
            .ok_or_else(elsewhere);
    }
    let uuid = Uuid::now_v7();
    let row = user::ActiveModel {
        uuid: Set(uuid),
        organization_id: Set(organization_id),
        email: Set(email.to_owned()),
        first_name: Set(email.split('@').next().unwrap_or_default().to_owned()),
        last_name: Set(String::new()),
        distinct_id: Set(uuid.to_string()),
        is_email_verified: Set(None),
        created_at: Set(now),
        ..Default::default()
    };
    Ok(row.insert(txn).await.map_err(failure)?.id)
}

/// The oldest user: the one that the bootstrap made.
pub(crate) async fn first(txn: &impl ConnectionTrait) -> Result<Option<i64>> {
    let row = user::Entity::find().order_by_asc(user::Column::Id).one(txn).await;
    Ok(row.map_err(failure)?.map(|user| user.id))
}

impl Store {
    /// A user by number.
    pub(crate) async fn user(&self, id: Option<i64>) -> Result<Option<User>> {
        Ok(by_ids(self.reader(), Vec::from_iter(id)).await?.into_values().next())
    }

    /// Users by number.
    pub(crate) async fn users(&self, ids: Vec<i64>) -> Result<HashMap<i64, User>> {
        by_ids(self.reader(), ids).await
    }
}

/// Users by number, each once, however often asked for.
pub(crate) async fn by_ids(
    connection: &impl ConnectionTrait,
    mut ids: Vec<i64>,
) -> Result<HashMap<i64, User>> {
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = user::Entity::find().filter(user::Column::Id.is_in(ids)).all(connection).await;
    Ok(rows.map_err(failure)?.into_iter().map(|row| (row.id, noun(row))).collect())
}

fn noun(row: user::Model) -> User {
    User {
        id: row.id,
        uuid: row.uuid,
        distinct_id: row.distinct_id,
        first_name: row.first_name,
        last_name: row.last_name,
        email: row.email,
        is_email_verified: row.is_email_verified,
    }
}
