//! When flags were last called.
//!
//! The only rows that ingestion shares with those who manage flags. A
//! transaction that changes several flags holds them in an order of its own, so
//! waiting for one here could be waiting in a circle. Flags that somebody is
//! changing are left out of the transaction, and noted one by one after it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{CaseStatement, Expr, LockBehavior, LockType},
};

use super::Project;
use crate::{
    model::{
        error::Result,
        event::{Event, Usage},
    },
    store::{Store, entity::feature_flag, failure, persons_write::ROWS},
};

/// A flag was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    project_id: i64,
    flag_id: i64,
    at: DateTime<Utc>,
}

impl Project<'_> {
    /// Notes the newest call of each flag, and answers those of flags that somebody is changing.
    pub(super) async fn write_calls(&self, events: &[(usize, &Event)]) -> Result<Vec<Call>> {
        let mut newest: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
        for (_, event) in events {
            let Some(usage) = event.usage.as_ref().filter(|usage| usage.event == Usage::CALLED)
            else {
                continue;
            };
            let at = newest.entry(&usage.flag_key).or_insert(event.occurred_at);
            *at = Ord::max(event.occurred_at, *at);
        }
        let keys: Vec<&str> = newest.keys().copied().collect();
        let mut left = Vec::new();
        for chunk in keys.chunks(ROWS) {
            let behind = self.behind(chunk, &newest).await?;
            let ids: Vec<i64> = behind.iter().map(|call| call.flag_id).collect();
            let free: Vec<i64> = feature_flag::Entity::find()
                .select_only()
                .column(feature_flag::Column::Id)
                .filter(feature_flag::Column::ProjectId.eq(self.id))
                .filter(feature_flag::Column::Id.is_in(ids))
                .order_by_asc(feature_flag::Column::Id)
                .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
                .into_tuple()
                .all(self.txn)
                .await
                .map_err(failure)?;
            let (now, later): (Vec<_>, Vec<_>) =
                behind.into_iter().partition(|call| free.contains(&call.flag_id));
            self.write_all(&now).await?;
            left.extend(later);
        }
        Ok(left)
    }

    /// Flags whose stored call is older than these.
    async fn behind(
        &self,
        keys: &[&str],
        newest: &BTreeMap<&str, DateTime<Utc>>,
    ) -> Result<Vec<Call>> {
        let rows: Vec<(i64, String, Option<DateTime<Utc>>)> = feature_flag::Entity::find()
            .select_only()
            .columns([
                feature_flag::Column::Id,
                feature_flag::Column::Key,
                feature_flag::Column::LastCalledAt,
            ])
            .filter(feature_flag::Column::ProjectId.eq(self.id))
            .filter(feature_flag::Column::Key.is_in(keys.iter().copied()))
            .into_tuple()
            .all(self.txn)
            .await
            .map_err(failure)?;
        let call = |(flag_id, key, known): (i64, String, Option<DateTime<Utc>>)| {
            let at = *newest.get(key.as_str())?;
            let is_behind = known.is_none_or(|known| known < at);
            is_behind.then_some(Call { project_id: self.id, flag_id, at })
        };
        Ok(rows.into_iter().filter_map(call).collect())
    }

    async fn write_all(&self, calls: &[Call]) -> Result<()> {
        use feature_flag::Column;
        if calls.is_empty() {
            return Ok(());
        }
        let case = calls.iter().fold(CaseStatement::new(), |case, call| {
            case.case(Column::Id.eq(call.flag_id), Expr::value(call.at))
        });
        let at: Expr = case.clone().into();
        feature_flag::Entity::update_many()
            .col_expr(Column::LastCalledAt, at.clone())
            .filter(Column::ProjectId.eq(self.id))
            .filter(Column::Id.is_in(calls.iter().map(|call| call.flag_id)))
            // Between the look and the lock somebody may have moved it.
            .filter(Column::LastCalledAt.is_null().or(Expr::col(Column::LastCalledAt).lt(at)))
            .exec(self.txn)
            .await
            .map(|_| ())
            .map_err(failure)
    }
}

/// Notes one call, in a transaction of its own; an older call than the one noted changes nothing.
pub(crate) async fn note_call(store: &Store, call: Call) -> Result<()> {
    use feature_flag::Column;
    let txn = store.begin().await?;
    feature_flag::Entity::update_many()
        .col_expr(Column::LastCalledAt, Expr::value(call.at))
        .filter(Column::ProjectId.eq(call.project_id))
        .filter(Column::Id.eq(call.flag_id))
        .filter(Column::LastCalledAt.is_null().or(Column::LastCalledAt.lt(call.at)))
        .exec(&txn)
        .await
        .map_err(failure)?;
    store.commit(txn).await
}
