//! When flags were last called.
//!
//! The only rows that ingestion shares with those who manage flags. A
//! transaction that changes several flags holds them in an order of its own, so
//! waiting for one here could be waiting in a circle. Flags that somebody is
//! changing are left out of the transaction, and noted one by one after it.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, Utc};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{CaseStatement, Expr, LockBehavior, LockType, SimpleExpr},
};

use super::Write;
use crate::{
    model::{
        error::Result,
        event::{Event, Usage},
    },
    store::{Store, entity::feature_flag, failure, persons_write::ROWS},
};

/// Flags of one statement, each of which is compared with each.
const FLAGS_A_STATEMENT: usize = 50;

/// A flag was called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    project_id: i64,
    flag_id: i64,
    at: DateTime<Utc>,
    /// By our clock: a call that was noted for later is an error of the clock.
    now: DateTime<Utc>,
}

/// A flag, as far as usage goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlagRow {
    id: i64,
    last_called_at: Option<DateTime<Utc>>,
}

/// The flags of these keys, deleted ones left out.
pub(super) async fn flags(
    connection: &impl ConnectionTrait,
    project_id: i64,
    keys: &[String],
) -> Result<HashMap<String, FlagRow>> {
    use feature_flag::Column;
    let mut flags = HashMap::new();
    for chunk in keys.chunks(ROWS) {
        let rows: Vec<(i64, String, Option<DateTime<Utc>>)> = feature_flag::Entity::find()
            .select_only()
            .columns([Column::Id, Column::Key, Column::LastCalledAt])
            .filter(Column::ProjectId.eq(project_id))
            .filter(Column::Deleted.eq(false))
            .filter(Column::Key.is_in(chunk.iter().map(String::as_str)))
            .into_tuple()
            .all(connection)
            .await
            .map_err(failure)?;
        let flag = |(id, key, last_called_at)| (key, FlagRow { id, last_called_at });
        flags.extend(rows.into_iter().map(flag));
    }
    Ok(flags)
}

/// The newest call of each flag whose stored one is older, or is in the future. A call counts as
/// of its arrival at the latest.
pub(super) fn behind<'e>(
    project_id: i64,
    events: impl Iterator<Item = &'e Arc<Event>>,
    flags: &HashMap<String, FlagRow>,
    now: DateTime<Utc>,
) -> Vec<Call> {
    let mut newest: BTreeMap<&str, DateTime<Utc>> = BTreeMap::new();
    for event in events {
        let usage = event.usage.as_ref().filter(|usage| usage.event == Usage::CALLED);
        let Some(usage) = usage else { continue };
        let called = Ord::min(Ord::min(event.occurred_at, event.arrived_at), now);
        let at = newest.entry(&usage.flag_key).or_insert(called);
        *at = Ord::max(called, *at);
    }
    let call = |(key, at): (&str, DateTime<Utc>)| {
        let flag = flags.get(key)?;
        let is_behind = flag.last_called_at.is_none_or(|known| known < at || known > now);
        is_behind.then_some(Call { project_id, flag_id: flag.id, at, now })
    };
    newest.into_iter().filter_map(call).collect()
}

/// Notes calls, and returns those of flags that somebody is changing.
pub(super) async fn write(write: &Write<'_>, calls: &[Call]) -> Result<Vec<Call>> {
    let mut left = Vec::new();
    for chunk in calls.chunks(FLAGS_A_STATEMENT) {
        let free: Vec<i64> = feature_flag::Entity::find()
            .select_only()
            .column(feature_flag::Column::Id)
            .filter(feature_flag::Column::ProjectId.eq(write.id))
            .filter(feature_flag::Column::Id.is_in(chunk.iter().map(|call| call.flag_id)))
            .order_by_asc(feature_flag::Column::Id)
            .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
            .into_tuple()
            .all(write.txn)
            .await
            .map_err(failure)?;
        let free: HashSet<i64> = free.into_iter().collect();
        let (now, later): (Vec<Call>, Vec<Call>) =
            chunk.iter().partition(|call| free.contains(&call.flag_id));
        write_some(write.txn, write.id, &now).await?;
        left.extend(later);
    }
    Ok(left)
}

/// Notes one call, in a transaction of its own; an older call than the one noted changes nothing.
pub(crate) async fn note_call(store: &Store, call: Call) -> Result<()> {
    let txn = store.begin().await?;
    write_some(&txn, call.project_id, &[call]).await?;
    store.commit(txn).await
}

async fn write_some(
    connection: &impl ConnectionTrait,
    project_id: i64,
    calls: &[Call],
) -> Result<()> {
    use feature_flag::Column;
    let Some(first) = calls.first() else { return Ok(()) };
    let case = calls.iter().fold(CaseStatement::new(), |case, call| {
        case.case(Column::Id.eq(call.flag_id), Expr::value(call.at))
    });
    let at: SimpleExpr = case.into();
    let stored = || Expr::col(Column::LastCalledAt);
    feature_flag::Entity::update_many()
        .col_expr(Column::LastCalledAt, at.clone())
        .filter(Column::ProjectId.eq(project_id))
        .filter(Column::Id.is_in(calls.iter().map(|call| call.flag_id)))
        // Between the look and the lock somebody may have moved it.
        .filter(
            Column::LastCalledAt
                .is_null()
                .or(stored().lt(at))
                .or(Column::LastCalledAt.gt(first.now)),
        )
        .exec(connection)
        .await
        .map(|_| ())
        .map_err(failure)
}
