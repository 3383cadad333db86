//! Logs what a revision changed, in the transaction that commits it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::{NotSet, Set},
    ConnectionTrait, EntityTrait,
};

use super::{
    entity::change_log::{ActiveModel, Entity},
    failure,
    project_write::{Kind, ROWS},
};
use crate::model::{error::Result, history_point::HistoryPoint};

/// Logs the items of a revision, each with whether it is gone.
///
/// The last row alone stands in the order that polling reads, so that a large change costs it no
/// more than a small one.
pub(super) async fn write(
    txn: &impl ConnectionTrait,
    project_id: i64,
    point: HistoryPoint,
    changed: &BTreeMap<(Kind, i64), bool>,
    now: DateTime<Utc>,
) -> Result<()> {
    let row = |((kind, id), deleted): (&(Kind, i64), &bool)| ActiveModel {
        project_id: Set(project_id),
        revision: Set(point.revision),
        kind: Set(kind.as_str().to_owned()),
        item_id: Set(id.to_string()),
        deleted: Set(*deleted),
        created_at: Set(now),
        history_token: Set(Some(point.token.as_stored())),
        transaction_id: Set(None),
    };
    let mut rows: Vec<_> = changed.iter().map(row).collect();
    let last = rows.pop().map(|last| ActiveModel { transaction_id: NotSet, ..last });
    for rows in rows.chunks(ROWS).map(<[_]>::to_vec).chain(last.map(|last| vec![last])) {
        Entity::insert_many(rows).exec_without_returning(txn).await.map_err(failure)?;
    }
    Ok(())
}
