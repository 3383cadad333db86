//! Reads usage: how often a flag was called or seen, by whom, hour by hour.
//!
//! A range may hold very many rows, and sketches are kilobytes each, so rows
//! are handed on one by one and never held together.

use chrono::{DateTime, Utc};
use futures::TryStreamExt;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, ExprTrait, FromQueryResult, Order,
    QueryFilter, QueryOrder, QueryResult, QuerySelect, QueryTrait,
    sea_query::{Expr, Query},
};

use super::{
    ProjectWrite, Store, damage,
    entity::{feature_flag, usage_hour, usage_unique},
    failure,
};
use crate::model::{
    dashboard::{INTERACTED, VIEWED},
    error::Result,
    sketch::UniqueSketch,
};

/// One event of one flag, from an hour until another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UsageOf<'a> {
    pub(crate) project_id: i64,
    pub(crate) flag_key: &'a str,
    pub(crate) event: &'a str,
    pub(crate) from: DateTime<Utc>,
    /// Not part of the range.
    pub(crate) until: DateTime<Utc>,
}

/// What narrows either table of usage down to one event of one flag; `Column` is the table's.
macro_rules! hours_of {
    ($of:expr) => {
        Condition::all()
            .add(Column::ProjectId.eq($of.project_id))
            .add(Column::FlagKey.eq($of.flag_key))
            .add(Column::Event.eq($of.event))
            .add(Column::Hour.gte($of.from))
            .add(Column::Hour.lt($of.until))
    };
}

/// The events of one hour with one answer.
#[derive(Debug, FromQueryResult)]
pub(crate) struct HourCount {
    pub(crate) variant: String,
    pub(crate) hour: DateTime<Utc>,
    pub(crate) count: i64,
}

/// The users of one hour with one answer.
#[derive(Debug)]
pub(crate) struct HourUsers {
    pub(crate) variant: String,
    pub(crate) hour: DateTime<Utc>,
    pub(crate) users: UniqueSketch,
}

impl Store {
    /// The answers that came most often, the most frequent first.
    pub(crate) async fn top_variants(&self, of: UsageOf<'_>, limit: u64) -> Result<Vec<String>> {
        use usage_hour::Column;
        usage_hour::Entity::find()
            .select_only()
            .column(Column::Variant)
            .filter(hours_of!(of))
            .group_by(Column::Variant)
            .order_by(Expr::col(Column::Count).sum(), Order::Desc)
            .order_by_asc(Column::Variant)
            .limit(limit)
            .into_tuple()
            .all(self.reader())
            .await
            .map_err(failure)
    }

    /// Hands on how often each answer came in each hour, in no order.
    pub(crate) async fn each_count(
        &self,
        of: UsageOf<'_>,
        mut each: impl FnMut(HourCount),
    ) -> Result<()> {
        use usage_hour::Column;
        let query = usage_hour::Entity::find()
            .select_only()
            .columns([Column::Variant, Column::Hour, Column::Count])
            .filter(hours_of!(of))
            .into_model::<HourCount>();
        let mut rows = query.stream(self.reader()).await.map_err(failure)?;
        while let Some(row) = rows.try_next().await.map_err(failure)? {
            each(row);
        }
        Ok(())
    }

    /// Hands on who got each answer in each hour, in no order. A sketch that cannot be read is
    /// passed over.
    pub(crate) async fn each_users(
        &self,
        of: UsageOf<'_>,
        mut each: impl FnMut(HourUsers),
    ) -> Result<()> {
        use usage_unique::Column;
        let query = usage_unique::Entity::find().filter(hours_of!(of));
        let mut rows = query.stream(self.reader()).await.map_err(failure)?;
        while let Some(row) = rows.try_next().await.map_err(failure)? {
            match UniqueSketch::from_bytes(&row.sketch) {
                Ok(users) => each(HourUsers { variant: row.variant, hour: row.hour, users }),
                Err(problem) => damage::note("usage_unique.sketch", row.flag_key, problem),
            }
        }
        Ok(())
    }

    /// Live flags that are not marked as enriched while views or interactions of their key were
    /// seen: project and flag, at most `limit`.
    ///
    /// It begins at the rare events and asks for their flags, however many others there are.
    pub(crate) async fn unmarked_enriched_flags(&self, limit: u64) -> Result<Vec<(i64, i64)>> {
        use feature_flag::Column;
        const SEEN: &str = "seen";
        let flag = |column: Column| Expr::col((feature_flag::Entity, column));
        let seen = Query::select()
            .distinct()
            .columns([usage_hour::Column::ProjectId, usage_hour::Column::FlagKey])
            .from(usage_hour::Entity)
            .and_where(enriching())
            .take();
        let same = Condition::all()
            .add(flag(Column::ProjectId).equals((SEEN, usage_hour::Column::ProjectId)))
            .add(flag(Column::Key).equals((SEEN, usage_hour::Column::FlagKey)));
        let unmarked = Condition::any()
            .add(flag(Column::HasEnrichedAnalytics).is_null())
            .add(flag(Column::HasEnrichedAnalytics).eq(false));
        let found = Query::select()
            .columns([Column::ProjectId, Column::Id].map(|column| (feature_flag::Entity, column)))
            .from_subquery(seen, SEEN)
            .inner_join(feature_flag::Entity, same)
            .and_where(flag(Column::Deleted).eq(false))
            .cond_where(unmarked)
            .order_by((feature_flag::Entity, Column::Id), Order::Asc)
            .limit(limit)
            .take();
        let rows = self.reader().query_all(&found).await.map_err(failure)?;
        let pair = |row: QueryResult| Ok((row.try_get_by_index(0)?, row.try_get_by_index(1)?));
        rows.into_iter().map(pair).collect::<Result<_, DbErr>>().map_err(failure)
    }
}

impl ProjectWrite {
    /// Whether views or interactions of a flag's key were seen.
    pub(crate) async fn has_enriching_usage(&self, flag_key: &str) -> Result<bool> {
        let found = usage_hour::Entity::find()
            .filter(usage_hour::Column::ProjectId.eq(self.project.id))
            .filter(usage_hour::Column::FlagKey.eq(flag_key))
            .filter(enriching())
            .limit(1);
        let statement = self.txn.get_database_backend().build(found.as_query());
        Ok(self.txn.query_one_raw(statement).await.map_err(failure)?.is_some())
    }
}

/// Spelled as the partial index spells it: a bound parameter would keep the planner from it.
fn enriching() -> Expr {
    let column = (usage_hour::Entity, usage_hour::Column::Event);
    Expr::col(column).is_in([VIEWED, INTERACTED].map(|event| Expr::cust(format!("'{event}'"))))
}
