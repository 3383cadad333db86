//! Persons: who the events are about is read, what becomes of them is written.

use std::collections::{BTreeSet, HashMap};

use sea_orm::{
    ActiveValue::Set,
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{LockType, OnConflict},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Project, Written, merges,
    rows::{execute, unfolded},
};
use crate::{
    model::{
        error::{Error, Result},
        event::Event,
        people::PeopleChanged,
        person::search_text,
        persons::{Person, Persons, Step},
        property_history::Properties,
    },
    store::{
        entity::{person, person_distinct_id},
        failure,
        persons_write::{ROWS, known_persons},
        stored_json,
    },
};

/// A person as they will stand, and the number of their row.
pub(super) type Settled = (i64, Person);

impl Project<'_> {
    /// Takes in what the events say of persons.
    pub(super) async fn write_people(
        &self,
        events: &[(usize, &Event)],
        written: &mut Written,
        changed: &mut PeopleChanged,
    ) -> Result<()> {
        let mut persons = self.read_persons(events).await?;
        for (place, event) in events {
            match persons.apply(event) {
                Ok(Step::Done) => {}
                Ok(Step::NeedsHistory(person)) => {
                    let stored = self.stored_changes(&persons.rows_of(person)).await?;
                    persons.replay(person, stored);
                }
                Err(reason) => written.refused.push((*place, reason)),
            }
        }
        let settled = self.settle(persons.into_changed().collect()).await?;
        if settled.is_empty() {
            return Ok(());
        }
        self.note(&settled, changed).await?;
        merges::write(self, &settled).await?;
        self.write_distinct_ids(&settled).await?;
        self.write_persons(&settled).await?;
        self.write_history(&settled).await
    }

    /// Everybody whom the events name and who is stored.
    async fn read_persons(&self, events: &[(usize, &Event)]) -> Result<Persons> {
        let about = events.iter().map(|(_, event)| *event).filter(|event| event.is_about_person());
        let ids: BTreeSet<&str> = about
            .flat_map(|event| {
                let other = event.identity.as_ref().map(|identity| identity.other.as_str());
                [Some(event.distinct_id.as_str()), other]
            })
            .flatten()
            .collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let mut names: HashMap<i64, Vec<String>> = HashMap::new();
        for (distinct_id, person_id) in known_persons(self.txn, self.id, &ids).await? {
            names.entry(person_id).or_default().push(distinct_id);
        }
        let mut numbers: Vec<i64> = names.keys().copied().collect();
        numbers.sort_unstable();
        let mut persons = Persons::default();
        for chunk in numbers.chunks(ROWS) {
            let rows = person::Entity::find()
                .filter(person::Column::ProjectId.eq(self.id))
                .filter(person::Column::Id.is_in(chunk.iter().copied()))
                .order_by_asc(person::Column::Id)
                .lock(LockType::NoKeyUpdate)
                .all(self.txn)
                .await
                .map_err(failure)?;
            for row in rows {
                let distinct_ids = names.remove(&row.id).unwrap_or_default();
                persons.add_stored(stored(row)?, distinct_ids);
            }
        }
        Ok(persons)
    }

    /// Makes rows for those who have none, as they will stand.
    async fn settle(&self, persons: Vec<Person>) -> Result<Vec<Settled>> {
        let mut settled = Vec::with_capacity(persons.len());
        let (known, new): (Vec<Person>, Vec<Person>) =
            persons.into_iter().partition(|person| person.id.is_some());
        settled.extend(known.into_iter().filter_map(|person| Some((person.id?, person))));
        let mut new: HashMap<Uuid, Person> =
            new.into_iter().map(|person| (Uuid::now_v7(), person)).collect();
        let uuids: Vec<Uuid> = new.keys().copied().collect();
        for chunk in uuids.chunks(ROWS) {
            let rows = chunk.iter().map(|uuid| self.new_row(*uuid, &new[uuid]));
            person::Entity::insert_many(rows)
                .exec_without_returning(self.txn)
                .await
                .map_err(failure)?;
            let made: Vec<(i64, Uuid)> = person::Entity::find()
                .select_only()
                .columns([person::Column::Id, person::Column::Uuid])
                .filter(person::Column::ProjectId.eq(self.id))
                .filter(person::Column::Uuid.is_in(chunk.iter().copied()))
                .into_tuple()
                .all(self.txn)
                .await
                .map_err(failure)?;
            settled
                .extend(made.into_iter().filter_map(|(id, uuid)| Some((id, new.remove(&uuid)?))));
        }
        Ok(settled)
    }

    fn new_row(&self, uuid: Uuid, person: &Person) -> person::ActiveModel {
        person::ActiveModel {
            project_id: Set(self.id),
            uuid: Set(uuid),
            properties: Set(text(&person.properties)),
            property_times: Set(person.properties.times().to_string()),
            search_text: Set(searched(&person.properties)),
            is_identified: Set(person.is_identified),
            created_at: Set(person.created_at),
            updated_at: Set(self.now),
            ..Default::default()
        }
    }

    /// Names everybody who changed, by every id they have or had.
    async fn note(&self, settled: &[Settled], changed: &mut PeopleChanged) -> Result<()> {
        for (_, person) in settled {
            person.gained_ids.iter().for_each(|id| changed.note_person(id));
        }
        let rows: Vec<i64> = settled
            .iter()
            .flat_map(|(_, person)| person.id.iter().chain(&person.absorbed).copied())
            .collect();
        for chunk in rows.chunks(ROWS) {
            if changed.is_many() {
                return Ok(());
            }
            let ids: Vec<String> = person_distinct_id::Entity::find()
                .select_only()
                .column(person_distinct_id::Column::DistinctId)
                .filter(person_distinct_id::Column::ProjectId.eq(self.id))
                .filter(person_distinct_id::Column::PersonId.is_in(chunk.iter().copied()))
                // More than are ever named; then everybody is meant.
                .limit(10_000)
                .into_tuple()
                .all(self.txn)
                .await
                .map_err(failure)?;
            ids.into_iter().for_each(|id| changed.note_person(id));
        }
        Ok(())
    }

    async fn write_distinct_ids(&self, settled: &[Settled]) -> Result<()> {
        let row = |person_id: i64, distinct_id: &String| person_distinct_id::ActiveModel {
            project_id: Set(self.id),
            person_id: Set(person_id),
            distinct_id: Set(distinct_id.clone()),
            ..Default::default()
        };
        let rows: Vec<_> = settled
            .iter()
            .flat_map(|(id, person)| person.gained_ids.iter().map(|gained| row(*id, gained)))
            .collect();
        let taken = [person_distinct_id::Column::ProjectId, person_distinct_id::Column::DistinctId];
        for chunk in rows.chunks(ROWS) {
            let written = person_distinct_id::Entity::insert_many(chunk.to_vec())
                .on_conflict(OnConflict::columns(taken).do_nothing().to_owned())
                .exec_without_returning(self.txn)
                .await
                .map_err(failure)?;
            if usize::try_from(written) != Ok(chunk.len()) {
                // Somebody without the lock; what was read is out of date.
                return Err(Error::unavailable("a distinct id was taken meanwhile"));
            }
        }
        Ok(())
    }

    /// Brings the rows of known persons to what they are now.
    async fn write_persons(&self, settled: &[Settled]) -> Result<()> {
        let known = settled.iter().filter_map(|(_, person)| {
            Some(json!({
                "id": person.id?,
                "properties": text(&person.properties),
                "times": person.properties.times().to_string(),
                "searched": searched(&person.properties),
                "identified": person.is_identified,
            }))
        });
        let known: Vec<Value> = known.collect();
        let columns = [
            ("id", "bigint"),
            ("properties", "text"),
            ("times", "text"),
            ("searched", "text"),
            ("identified", "boolean"),
        ];
        for chunk in known.chunks(ROWS) {
            let sql = format!(
                "UPDATE person SET properties = x.properties, property_times = x.times, \
                 search_text = x.searched, \
                 is_identified = x.identified, updated_at = $3 FROM {} \
                 WHERE person.id = x.id AND person.project_id = $2",
                unfolded(self.backend(), &columns)
            );
            let values = vec![json!(chunk).to_string().into(), self.id.into(), self.now.into()];
            execute(self.txn, &sql, values).await?;
        }
        Ok(())
    }
}

/// What searches look in, stored whenever properties are.
fn searched(properties: &Properties) -> String {
    search_text(&Value::Object(properties.values().clone()))
}

fn text(properties: &Properties) -> String {
    Value::Object(properties.values().clone()).to_string()
}

fn stored(row: person::Model) -> Result<Person> {
    let Value::Object(values) = stored_json(&row.properties)? else {
        return Err(Error::internal("a person's properties are no object"));
    };
    let properties = Properties::stored(values, &stored_json(&row.property_times)?);
    let mut person = Person::stored(row.id, row.created_at, properties, row.properties.len());
    person.is_identified = row.is_identified;
    Ok(person)
}
