//! Persons: who the events are about is read, what becomes of them is written.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, DbBackend, EntityTrait, QueryFilter,
    QueryTrait, sea_query::Query,
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Write, merges, rows,
    work::{Settled, Stored},
};
use crate::{
    model::{
        error::{Error, Result},
        event::Event,
        people::{MAX_NAMES, PeopleChanged},
    },
    store::{entity::person, failure, persons_write::ROWS},
};

/// A person as they will stand, and the number of their row.
pub(super) type Placed<'p> = (i64, &'p Settled);

/// The most changes that move from one person to another in a merge.
const MAX_MOVED_CHANGES: i64 = 10_000;
/// The most ids that do.
const MAX_MOVED_IDS: i64 = 1_000;

/// What is stored of a person, as far as writing them goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) id: i64,
    pub(super) version: i64,
    /// The size of the row.
    pub(super) bytes: usize,
}

/// The ids of persons that an event names.
pub(super) fn ids_of(event: &Event) -> impl Iterator<Item = &str> {
    let event = Some(event).filter(|event| event.is_about_person());
    event.into_iter().flat_map(|event| {
        let other = event.identity.as_ref().map(|identity| identity.other.as_str());
        [Some(event.distinct_id.as_str()), other].into_iter().flatten()
    })
}

/// Who has these ids.
pub(super) async fn known(
    connection: &impl ConnectionTrait,
    project_id: i64,
    distinct_ids: &BTreeSet<String>,
) -> Result<HashMap<String, Known>> {
    if distinct_ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = lookup(connection.get_database_backend());
    let values = vec![json!(distinct_ids).to_string().into(), project_id.into()];
    let rows = rows::query(connection, sql, values).await?;
    let known = |row: &sea_orm::QueryResult| {
        let (id, version) = (row.try_get_by_index(1)?, row.try_get_by_index(2)?);
        let bytes: i64 = row.try_get_by_index(3)?;
        let known = Known { id, version, bytes: usize::try_from(bytes).unwrap_or_default() };
        Ok((row.try_get_by_index(0)?, known))
    };
    rows.iter().map(|row| known(row).map_err(failure)).collect()
}

pub(super) const fn lookup(backend: DbBackend) -> &'static str {
    match backend {
        DbBackend::Postgres => {
            "SELECT x.id, found.id, found.version, found.bytes \
             FROM json_array_elements_text($1::json) AS x(id) \
             CROSS JOIN LATERAL (SELECT person_id FROM person_distinct_id \
              WHERE project_id = $2 AND distinct_id = x.id LIMIT 1) AS d \
             CROSS JOIN LATERAL (SELECT id, version, \
              CAST(octet_length(properties) + octet_length(property_times) AS bigint) AS bytes \
              FROM person WHERE id = d.person_id AND project_id = $2 LIMIT 1) AS found"
        }
        _ => {
            "SELECT d.distinct_id, p.id, p.version, \
             octet_length(p.properties) + octet_length(p.property_times) \
             FROM json_each($1) AS x CROSS JOIN person_distinct_id AS d \
             ON d.project_id = $2 AND d.distinct_id = x.value \
             CROSS JOIN person AS p ON p.id = d.person_id AND +p.project_id = $2"
        }
    }
}

/// Adds the rows of those whom events name.
pub(super) async fn read(
    connection: &impl ConnectionTrait,
    project_id: i64,
    known: &HashMap<String, Known>,
    stored: &mut Stored,
) -> Result<()> {
    let mut names: HashMap<i64, Vec<String>> = HashMap::new();
    for (distinct_id, person) in known {
        names.entry(person.id).or_default().push(distinct_id.clone());
    }
    let mut numbers: Vec<i64> = names.keys().copied().collect();
    numbers.sort_unstable();
    for chunk in numbers.chunks(ROWS) {
        let rows = person::Entity::find()
            .filter(person::Column::ProjectId.eq(project_id))
            .filter(person::Column::Id.is_in(chunk.iter().copied()))
            .all(connection)
            .await
            .map_err(failure)?;
        let named = |row: person::Model| {
            let names = names.remove(&row.id).unwrap_or_default();
            (row, names)
        };
        stored.persons.extend(rows.into_iter().map(named));
    }
    Ok(())
}

/// Adds which of the persons that events may merge have too much to move.
pub(super) async fn read_unmergeable(
    connection: &impl ConnectionTrait,
    project_id: i64,
    persons: &BTreeSet<i64>,
    stored: &mut Stored,
) -> Result<()> {
    if persons.is_empty() {
        return Ok(());
    }
    let sql = unmergeable(connection.get_database_backend());
    let values = vec![json!(persons).to_string().into(), project_id.into()];
    for row in rows::query(connection, &sql, values).await? {
        stored.unmergeable.insert(row.try_get_by_index(0).map_err(failure)?);
    }
    Ok(())
}

pub(super) fn unmergeable(backend: DbBackend) -> String {
    let set = match backend {
        DbBackend::Postgres => {
            "(SELECT CAST(item AS bigint) AS id FROM json_array_elements_text($1::json) AS l(item))"
        }
        _ => "(SELECT value AS id FROM json_each($1))",
    };
    let count = |table: &str, limit: i64| {
        format!(
            "(SELECT COUNT(*) FROM (SELECT 1 FROM {table} AS r WHERE r.person_id = x.id \
             AND +r.project_id = $2 LIMIT {}) AS part) > {limit}",
            limit + 1
        )
    };
    format!(
        "SELECT x.id FROM {set} AS x WHERE {} OR {}",
        count("person_change", MAX_MOVED_CHANGES),
        count("person_distinct_id", MAX_MOVED_IDS)
    )
}

/// Names everybody who changes, by every id they have or had.
pub(super) async fn note(
    connection: &impl ConnectionTrait,
    project_id: i64,
    settled: &[Settled],
    changed: &mut PeopleChanged,
) -> Result<()> {
    let persons = || settled.iter().map(|settled| &settled.person);
    persons().flat_map(|person| &person.gained_ids).for_each(|id| changed.note_person(id));
    let rows: Vec<i64> =
        persons().flat_map(|person| person.id.iter().chain(&person.absorbed).copied()).collect();
    if rows.is_empty() || changed.is_many() {
        return Ok(());
    }
    if rows.len() > MAX_NAMES {
        *changed = PeopleChanged::many();
        return Ok(());
    }
    let sql = ids(connection.get_database_backend());
    let values = vec![json!(rows).to_string().into(), project_id.into()];
    for row in rows::query(connection, &sql, values).await? {
        changed.note_person(row.try_get_by_index::<String>(0).map_err(failure)?);
    }
    Ok(())
}

/// One more than are ever named one by one.
pub(super) fn ids(backend: DbBackend) -> String {
    format!(
        "SELECT distinct_id FROM person_distinct_id WHERE +project_id = $2 AND {} LIMIT {}",
        rows::is_among(backend, "person_id", 1),
        MAX_NAMES + 1
    )
}

/// Writes everybody who changed.
pub(super) async fn write(write: &Write<'_>, settled: &[Settled]) -> Result<()> {
    let persons = placed(write, settled).await?;
    merges::write(write, &persons).await?;
    write_distinct_ids(write, &persons).await?;
    write_known(write, &persons).await?;
    super::history::write(write, &persons).await
}

/// Makes rows for those who have none, as they will stand.
async fn placed<'p>(write: &Write<'_>, settled: &'p [Settled]) -> Result<Vec<Placed<'p>>> {
    let known = settled.iter().filter_map(|settled| Some((settled.person.id?, settled)));
    let mut placed: Vec<Placed<'p>> = known.collect();
    let new = settled.iter().filter(|settled| settled.person.id.is_none());
    let new: HashMap<Uuid, &Settled> = new.map(|settled| (settled.uuid, settled)).collect();
    let all: Vec<&Settled> = new.values().copied().collect();
    for chunk in all.chunks(ROWS) {
        let rows = chunk.iter().map(|settled| new_row(write, settled));
        let mut insert = person::Entity::insert_many(rows).into_query();
        let columns = [person::Column::Id, person::Column::Uuid];
        let insert = insert.returning(Query::returning().columns(columns));
        for row in write.txn.query_all(insert).await.map_err(failure)? {
            let uuid: Uuid = row.try_get_by_index(1).map_err(failure)?;
            let id: i64 = row.try_get_by_index(0).map_err(failure)?;
            let settled = new.get(&uuid).ok_or_else(|| Error::internal("another row was made"))?;
            placed.push((id, settled));
        }
    }
    Ok(placed)
}

fn new_row(write: &Write<'_>, settled: &Settled) -> person::ActiveModel {
    person::ActiveModel {
        project_id: Set(write.id),
        uuid: Set(settled.uuid),
        properties: Set(settled.properties.clone()),
        property_times: Set(settled.times.clone()),
        search_text: Set(settled.searched.clone()),
        is_identified: Set(settled.person.is_identified),
        created_at: Set(settled.person.created_at),
        updated_at: Set(write.now),
        version: Set(settled.version),
        ..Default::default()
    }
}

async fn write_distinct_ids(write: &Write<'_>, persons: &[Placed<'_>]) -> Result<()> {
    let gained = persons.iter().flat_map(|(id, settled)| {
        settled.person.gained_ids.iter().map(|gained| json!({"p": *id, "d": gained}))
    });
    let gained: Vec<Value> = gained.collect();
    if gained.is_empty() {
        return Ok(());
    }
    let sql = format!(
        "INSERT INTO person_distinct_id (project_id, person_id, distinct_id) \
         SELECT CAST($2 AS bigint), x.p, x.d FROM {} WHERE true ON CONFLICT DO NOTHING",
        rows::unfolded(write.backend(), &[("p", "bigint"), ("d", "text")])
    );
    let values = vec![json!(gained).to_string().into(), write.id.into()];
    let written = rows::execute(write.txn, &sql, values).await?;
    if usize::try_from(written) != Ok(gained.len()) {
        // Somebody without the lock; what was read is out of date.
        return Err(Error::unavailable("a distinct id was taken meanwhile"));
    }
    Ok(())
}

/// Brings the rows of stored persons to what they are now. They are there, since their versions
/// were looked at under the lock: what would be inserted is never used.
async fn write_known(write: &Write<'_>, persons: &[Placed<'_>]) -> Result<()> {
    let row = |(id, settled): &Placed<'_>| {
        settled.person.id.map(|_| {
            json!({
                "id": id,
                "uuid": settled.uuid.simple().to_string(),
                "properties": settled.properties,
                "times": settled.times,
                "searched": settled.searched,
                "identified": settled.person.is_identified,
                "version": settled.version,
            })
        })
    };
    let known: Vec<Value> = persons.iter().filter_map(row).collect();
    let sql = update(write.backend());
    for chunk in known.chunks(ROWS) {
        let values = vec![json!(chunk).to_string().into(), write.id.into(), write.now.into()];
        rows::execute(write.txn, &sql, values).await?;
    }
    Ok(())
}

pub(super) fn update(backend: DbBackend) -> String {
    let columns = [
        ("id", "bigint"),
        ("uuid", "text"),
        ("properties", "text"),
        ("times", "text"),
        ("searched", "text"),
        ("identified", "boolean"),
        ("version", "bigint"),
    ];
    let (uuid, now) = match backend {
        DbBackend::Postgres => ("CAST(x.uuid AS uuid)", "CAST($3 AS timestamptz)"),
        _ => ("unhex(x.uuid)", "$3"),
    };
    format!(
        "INSERT INTO person (id, project_id, uuid, properties, property_times, search_text, \
         is_identified, created_at, updated_at, version) \
         SELECT x.id, CAST($2 AS bigint), {uuid}, x.properties, x.times, x.searched, \
         x.identified, {now}, {now}, x.version FROM {} WHERE true \
         ON CONFLICT (id) DO UPDATE SET properties = excluded.properties, \
         property_times = excluded.property_times, search_text = excluded.search_text, \
         is_identified = excluded.is_identified, updated_at = excluded.updated_at, \
         version = excluded.version",
        rows::unfolded(backend, &columns)
    )
}
