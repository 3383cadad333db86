//! How often flags were used and by how many, by the hour of the event's own time.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, ExprTrait, QueryFilter,
    sea_query::{Expr, OnConflict},
};

use super::Project;
use crate::{
    model::{
        error::{Error, Result},
        event::Event,
        sketch::UniqueSketch,
    },
    store::{
        entity::{usage_hour, usage_unique},
        failure,
        persons_write::ROWS,
    },
};

/// The flag, the event's name, the answer, and the hour.
type Slot = (String, &'static str, String, DateTime<Utc>);

#[derive(Default)]
struct Tally {
    count: i64,
    users: UniqueSketch,
}

impl Project<'_> {
    /// Counts the use of flags.
    pub(super) async fn write_usage(&self, events: &[(usize, &Event)]) -> Result<()> {
        let mut tallies: BTreeMap<Slot, Tally> = BTreeMap::new();
        for (_, event) in events {
            let Some(usage) = &event.usage else { continue };
            let hour = event.occurred_at.duration_trunc(TimeDelta::hours(1));
            let hour = hour.map_err(Error::internal)?;
            let slot = (usage.flag_key.clone(), usage.event, usage.variant.clone(), hour);
            let tally = tallies.entry(slot).or_default();
            tally.count += 1;
            tally.users.add(&event.distinct_id);
        }
        if tallies.is_empty() {
            return Ok(());
        }
        self.write_counts(&tallies).await?;
        self.write_users(tallies).await
    }

    async fn write_counts(&self, tallies: &BTreeMap<Slot, Tally>) -> Result<()> {
        use usage_hour::Column;
        let row =
            |((flag_key, event, variant, hour), tally): (&Slot, &Tally)| usage_hour::ActiveModel {
                project_id: Set(self.id),
                flag_key: Set(flag_key.clone()),
                event: Set((*event).to_owned()),
                variant: Set(variant.clone()),
                hour: Set(*hour),
                count: Set(tally.count),
            };
        let rows: Vec<_> = tallies.iter().map(row).collect();
        let key =
            [Column::ProjectId, Column::FlagKey, Column::Event, Column::Variant, Column::Hour];
        let sum = Expr::col((usage_hour::Entity, Column::Count))
            .add(Expr::col(("excluded", Column::Count)));
        for chunk in rows.chunks(ROWS) {
            usage_hour::Entity::insert_many(chunk.to_vec())
                .on_conflict(OnConflict::columns(key).value(Column::Count, sum.clone()).to_owned())
                .exec_without_returning(self.txn)
                .await
                .map_err(failure)?;
        }
        Ok(())
    }

    /// Nobody else writes these rows while this transaction holds its lock.
    async fn write_users(&self, mut tallies: BTreeMap<Slot, Tally>) -> Result<()> {
        use usage_unique::Column;
        let hours: BTreeSet<DateTime<Utc>> = tallies.keys().map(|slot| slot.3).collect();
        let flags: BTreeSet<String> = tallies.keys().map(|slot| slot.0.clone()).collect();
        let names: BTreeMap<&str, &'static str> =
            tallies.keys().map(|slot| (slot.1, slot.1)).collect();
        let (hours, flags): (Vec<_>, Vec<_>) =
            (hours.into_iter().collect(), flags.into_iter().collect());
        for hours in hours.chunks(ROWS) {
            for flags in flags.chunks(ROWS) {
                let rows = usage_unique::Entity::find()
                    .filter(Column::ProjectId.eq(self.id))
                    .filter(Column::FlagKey.is_in(flags.iter().cloned()))
                    .filter(Column::Hour.is_in(hours.iter().copied()))
                    .all(self.txn)
                    .await
                    .map_err(failure)?;
                for row in rows {
                    let Some(event) = names.get(row.event.as_str()) else { continue };
                    let slot = (row.flag_key, *event, row.variant, row.hour);
                    let Some(tally) = tallies.get_mut(&slot) else { continue };
                    let stored = UniqueSketch::from_bytes(&row.sketch).map_err(Error::internal)?;
                    tally.users.merge(&stored);
                }
            }
        }
        let row = |((flag_key, event, variant, hour), tally): (&Slot, &Tally)| {
            usage_unique::ActiveModel {
                project_id: Set(self.id),
                flag_key: Set(flag_key.clone()),
                event: Set((*event).to_owned()),
                variant: Set(variant.clone()),
                hour: Set(*hour),
                sketch: Set(tally.users.to_bytes()),
            }
        };
        let rows: Vec<_> = tallies.iter().map(row).collect();
        let key =
            [Column::ProjectId, Column::FlagKey, Column::Event, Column::Variant, Column::Hour];
        for chunk in rows.chunks(ROWS) {
            usage_unique::Entity::insert_many(chunk.to_vec())
                .on_conflict(OnConflict::columns(key).update_column(Column::Sketch).to_owned())
                .exec_without_returning(self.txn)
                .await
                .map_err(failure)?;
        }
        Ok(())
    }
}
