//! How often flags were used and by how many, by the hour of the event's own time.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use sea_orm::DbBackend;
use serde_json::{Value, json};

use super::{Write, calls::FlagRow, rows};
use crate::{
    model::{
        error::{Error, Result},
        event::Event,
        sketch::UniqueSketch,
    },
    store::{damage, failure, persons_write::ROWS},
};

/// What one row counts.
const KEY: [(&str, &str); 4] =
    [("flag_key", "text"), ("event", "text"), ("variant", "text"), ("hour", "timestamptz")];

/// The flag, the event's name, the answer, and the hour.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Slot {
    flag_key: String,
    event: &'static str,
    variant: String,
    hour: DateTime<Utc>,
}

#[derive(Clone, Debug, Default)]
struct Tally {
    count: i64,
    users: UniqueSketch,
}

/// The use of flags that some events tell of.
#[derive(Debug, Default)]
pub(super) struct Usage {
    tallies: Vec<(Slot, Tally)>,
    /// Events about flags that the project does not have.
    pub(super) unknown: usize,
    /// Events that happened too long ago to be counted.
    pub(super) too_old: usize,
}

impl Usage {
    /// Counts the events about flags that there are, as far as they are not older than `oldest`.
    pub(super) fn count<'e>(
        events: impl Iterator<Item = &'e Event>,
        flags: &HashMap<String, FlagRow>,
        oldest: DateTime<Utc>,
    ) -> Result<Self> {
        let (mut counted, mut tallies) = (Self::default(), BTreeMap::<Slot, Tally>::new());
        for event in events {
            let Some(usage) = &event.usage else { continue };
            if !flags.contains_key(&usage.flag_key) {
                counted.unknown += 1;
                continue;
            }
            if event.occurred_at < oldest {
                counted.too_old += 1;
                continue;
            }
            let hour = event.occurred_at.duration_trunc(TimeDelta::hours(1));
            let tally = tallies.entry(Slot {
                flag_key: usage.flag_key.clone(),
                event: usage.event,
                variant: usage.variant.clone(),
                hour: hour.map_err(Error::internal)?,
            });
            let tally = tally.or_default();
            tally.count += 1;
            tally.users.add(&event.distinct_id);
        }
        counted.tallies = tallies.into_iter().collect();
        Ok(counted)
    }

    /// Adds the counts to those that are stored.
    pub(super) async fn write(&self, write: &Write<'_>) -> Result<()> {
        for tallies in self.tallies.chunks(ROWS) {
            write_counts(write, tallies).await?;
            write_users(write, tallies).await?;
        }
        Ok(())
    }
}

impl Slot {
    fn json(&self) -> Value {
        json!({
            "flag_key": self.flag_key,
            "event": self.event,
            "variant": self.variant,
            // As the driver spells it where an instant is text.
            "hour": self.hour.to_rfc3339(),
        })
    }
}

/// One value for all slots, each with more fields.
fn list<T>(items: &[T], slot: impl Fn(&T) -> &Slot, more: impl Fn(&T, usize) -> Value) -> String {
    let item = |(place, item): (usize, &T)| {
        let (mut fields, more) = (slot(item).json(), more(item, place));
        if let (Some(fields), Value::Object(more)) = (fields.as_object_mut(), more) {
            fields.extend(more);
        }
        fields
    };
    Value::Array(items.iter().enumerate().map(item).collect()).to_string()
}

async fn write_counts(write: &Write<'_>, tallies: &[(Slot, Tally)]) -> Result<()> {
    let list = list(tallies, |tally| &tally.0, |tally, _| json!({"count": tally.1.count}));
    let sql = add_counts(write.backend());
    rows::execute(write.txn, &sql, vec![list.into(), write.id.into()]).await.map(drop)
}

pub(super) fn add_counts(backend: DbBackend) -> String {
    let columns = [&KEY[..], &[("count", "bigint")]].concat();
    format!(
        "INSERT INTO usage_hour (project_id, flag_key, event, variant, hour, count) \
         SELECT CAST($2 AS bigint), x.flag_key, x.event, x.variant, x.hour, x.count FROM {} \
         WHERE true ON CONFLICT (project_id, flag_key, event, variant, hour) \
         DO UPDATE SET count = usage_hour.count + excluded.count",
        rows::unfolded(backend, &columns)
    )
}

/// Nobody else writes these rows while this transaction holds its lock. What joining sketches
/// takes is bounded by their number, and is done where it holds nobody up.
async fn write_users(write: &Write<'_>, tallies: &[(Slot, Tally)]) -> Result<()> {
    let places = list(tallies, |tally| &tally.0, |_, place| json!({"place": place}));
    let sql = users_lookup(write.backend());
    let mut stored: Vec<(usize, Vec<u8>)> = Vec::new();
    for row in rows::query(write.txn, &sql, vec![places.into(), write.id.into()]).await? {
        let place: i64 = row.try_get_by_index(0).map_err(failure)?;
        let sketch = row.try_get_by_index(1).map_err(failure)?;
        stored.push((usize::try_from(place).map_err(Error::internal)?, sketch));
    }
    let tallies = tallies.to_vec();
    let joining = tokio::task::spawn_blocking(move || joined(tallies, stored));
    let list = joining.await.map_err(Error::internal)??;
    let sql = put_users(write.backend());
    rows::execute(write.txn, &sql, vec![list.into(), write.id.into()]).await.map(drop)
}

pub(super) fn users_lookup(backend: DbBackend) -> String {
    let columns = [&KEY[..], &[("place", "bigint")]].concat();
    let condition = "r.project_id = $2 AND r.flag_key = x.flag_key AND r.event = x.event \
                     AND r.variant = x.variant AND r.hour = x.hour";
    let found = rows::looked_up(backend, &columns, "usage_unique", condition);
    format!("SELECT x.place, found.sketch FROM {found}")
}

fn put_users(backend: DbBackend) -> String {
    let columns = [&KEY[..], &[("sketch", "text")]].concat();
    let sketch = match backend {
        DbBackend::Postgres => "decode(x.sketch, 'hex')",
        _ => "unhex(x.sketch)",
    };
    format!(
        "INSERT INTO usage_unique (project_id, flag_key, event, variant, hour, sketch) \
         SELECT CAST($2 AS bigint), x.flag_key, x.event, x.variant, x.hour, {sketch} FROM {} \
         WHERE true ON CONFLICT (project_id, flag_key, event, variant, hour) \
         DO UPDATE SET sketch = excluded.sketch",
        rows::unfolded(backend, &columns)
    )
}

/// The sketches of these tallies and the stored ones, as one value.
fn joined(mut tallies: Vec<(Slot, Tally)>, stored: Vec<(usize, Vec<u8>)>) -> Result<String> {
    for (place, sketch) in stored {
        let Some((slot, tally)) = tallies.get_mut(place) else { continue };
        match UniqueSketch::from_bytes(&sketch) {
            Ok(stored) => tally.users.merge(&stored),
            Err(problem) => damage::note("usage_unique.sketch", &slot.flag_key, problem),
        }
    }
    let sketch = |(_, tally): &(Slot, Tally), _| json!({"sketch": hex(&tally.users.to_bytes())});
    Ok(list(&tallies, |tally| &tally.0, sketch))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The flags that events tell of.
pub(super) fn flag_keys(events: &[Arc<Event>]) -> Vec<String> {
    let keys = events.iter().filter_map(|event| Some(event.usage.as_ref()?.flag_key.clone()));
    let keys: std::collections::BTreeSet<String> = keys.collect();
    keys.into_iter().collect()
}
