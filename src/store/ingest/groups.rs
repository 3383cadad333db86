//! Groups and their properties, by the same rule as those of persons.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter,
    sea_query::OnConflict,
};
use serde_json::{Value, json};

use super::{Write, rows, work};
use crate::{
    model::{
        error::Result,
        event::{Event, GroupSet},
        people::PeopleChanged,
        property_history::{Properties, Verdict},
    },
    store::{damage, entity::group, failure, persons_write::ROWS},
};

/// The index of a group's type, and its key.
type Place = (i32, String);

/// What is stored of a group, as far as writing it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: i64,
    pub(super) version: i64,
    pub(super) bytes: usize,
}

/// Groups as they stand while events are taken in.
#[derive(Debug, Default)]
pub(super) struct Groups {
    types: BTreeMap<String, i32>,
    all: BTreeMap<Place, Standing>,
}

#[derive(Debug, Default)]
struct Standing {
    properties: Properties,
    version: i64,
    is_changed: bool,
}

/// A group as it will be stored.
#[derive(Debug)]
pub(super) struct Settled {
    place: Place,
    version: i64,
    properties: String,
    times: String,
}

impl Groups {
    /// Starts from what is stored.
    pub(super) fn read(
        types: BTreeMap<String, i32>,
        rows: Vec<group::Model>,
        now: DateTime<Utc>,
    ) -> Self {
        let standing = |row: group::Model| {
            let (values, times) = (&row.properties, &row.property_times);
            let properties = damage::properties("group.properties", row.id, values, times);
            let properties = work::capped(properties.unwrap_or_default(), row.updated_at, now);
            let standing = Standing { properties, version: row.version, is_changed: false };
            ((row.group_type_index, row.group_key), standing)
        };
        Self { types, all: rows.into_iter().map(standing).collect() }
    }

    /// Takes in what an event says of a group.
    ///
    /// # Errors
    ///
    /// A sentence, for a group type that has no place and a group that would be too large.
    pub(super) fn apply(&mut self, group: &GroupSet) -> Result<(), String> {
        let Some(index) = self.types.get(&group.group_type) else { return Err(no_room(group)) };
        let standing = self.all.entry((*index, group.key.clone())).or_default();
        let changes = std::slice::from_ref(&group.change);
        // Only a late unset needs a history, and groups have none.
        let _: Verdict = standing
            .properties
            .apply_within_bounds(changes)
            .map_err(|error| format!("its group {error}"))?;
        standing.is_changed = true;
        Ok(())
    }

    /// Names the groups that changed, and returns their rows.
    pub(super) fn settle(self, changed: &mut PeopleChanged) -> Vec<Settled> {
        let all = self.all.into_iter().filter(|(_, standing)| standing.is_changed);
        let settled = |(place, mut standing): (Place, Standing)| {
            changed.note_group(place.0, place.1.clone());
            standing.properties.forget_oldest_unsets();
            let properties = Value::Object(standing.properties.values().clone()).to_string();
            let times = standing.properties.times().to_string();
            Settled { place, version: standing.version + 1, properties, times }
        };
        all.map(settled).collect()
    }
}

/// The groups that events name.
pub(super) fn named<'e>(
    events: impl Iterator<Item = &'e Event>,
    types: &BTreeMap<String, i32>,
) -> BTreeSet<Place> {
    let place = |event: &'e Event| {
        let group = event.group.as_ref()?;
        Some((*types.get(&group.group_type)?, group.key.clone()))
    };
    events.filter_map(place).collect()
}

/// Which of these groups are stored.
pub(super) async fn known(
    connection: &impl ConnectionTrait,
    project_id: i64,
    places: &BTreeSet<Place>,
) -> Result<HashMap<Place, Known>> {
    if places.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = lookup(connection.get_database_backend());
    let values = vec![json!(places).to_string().into(), project_id.into()];
    let rows = rows::query(connection, sql, values).await?;
    let known = |row: &sea_orm::QueryResult| {
        let place = (row.try_get_by_index(0)?, row.try_get_by_index(1)?);
        let (id, version) = (row.try_get_by_index(2)?, row.try_get_by_index(3)?);
        let bytes: i64 = row.try_get_by_index(4)?;
        Ok((place, Known { id, version, bytes: usize::try_from(bytes).unwrap_or_default() }))
    };
    rows.iter().map(|row| known(row).map_err(failure)).collect()
}

pub(super) const fn lookup(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "SELECT found.* FROM json_array_elements($1::json) AS x(place) CROSS JOIN LATERAL \
             (SELECT group_type_index, group_key, id, version, \
              CAST(octet_length(properties) + octet_length(property_times) AS bigint) \
              FROM \"group\" WHERE project_id = $2 \
              AND group_type_index = CAST(x.place ->> 0 AS integer) \
              AND group_key = x.place ->> 1 LIMIT 1) AS found"
        }
        _ => {
            "SELECT g.group_type_index, g.group_key, g.id, g.version, \
             octet_length(g.properties) + octet_length(g.property_times) \
             FROM json_each($1) AS x CROSS JOIN \"group\" AS g ON g.project_id = $2 \
             AND g.group_type_index = x.value ->> 0 AND g.group_key = x.value ->> 1"
        }
    }
}

/// The rows of groups, by their numbers.
pub(super) async fn stored(
    connection: &impl ConnectionTrait,
    project_id: i64,
    ids: &[i64],
) -> Result<Vec<group::Model>> {
    let mut rows = Vec::with_capacity(ids.len());
    for chunk in ids.chunks(ROWS) {
        let found = group::Entity::find()
            .filter(group::Column::ProjectId.eq(project_id))
            .filter(group::Column::Id.is_in(chunk.iter().copied()))
            .all(connection)
            .await
            .map_err(failure)?;
        rows.extend(found);
    }
    Ok(rows)
}

pub(super) async fn write(write: &Write<'_>, groups: &[Settled]) -> Result<()> {
    use group::Column;
    let row = |group: &Settled| group::ActiveModel {
        project_id: Set(write.id),
        group_type_index: Set(group.place.0),
        group_key: Set(group.place.1.clone()),
        properties: Set(group.properties.clone()),
        property_times: Set(group.times.clone()),
        created_at: Set(write.now),
        updated_at: Set(write.now),
        version: Set(group.version),
        ..Default::default()
    };
    for chunk in groups.chunks(ROWS) {
        let known = [Column::ProjectId, Column::GroupTypeIndex, Column::GroupKey];
        let anew = [Column::Properties, Column::PropertyTimes, Column::UpdatedAt, Column::Version];
        group::Entity::insert_many(chunk.iter().map(row))
            .on_conflict(OnConflict::columns(known).update_columns(anew).to_owned())
            .exec_without_returning(write.txn)
            .await
            .map_err(failure)?;
    }
    Ok(())
}

fn no_room(group: &GroupSet) -> String {
    format!("`{}` would be the project's sixth group type, and five are the most", group.group_type)
}
