//! Reads what is stored of people and groups that evaluation asks about, in
//! one statement however many there are.
//!
//! Names travel as JSON lists, so that the statement is the same for one
//! person and for a thousand and is prepared once. What is not asked for is
//! left out of it.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use chrono::{DateTime, SecondsFormat, Utc};
use sea_orm::{FromQueryResult, Statement};
use serde_json::{Map, Value};

use super::{Store, damage, failure};
use crate::model::error::{Error, Result};

/// Properties by name.
type Properties = Map<String, Value>;

/// Where filters find a column of the person's row (evaluation 6).
const CREATED_AT: &str = "__posthog_person_metadata__created_at";
/// Texts of more bytes than this are parsed where they hold nobody up.
const MOST_INLINE: usize = 128 << 10;

/// Whose facts to read, all of one project. Names without a NUL, which no database keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct FactsWanted {
    /// People, by distinct id.
    pub(crate) distinct_ids: Vec<String>,
    /// The static cohorts of which their membership counts.
    pub(crate) cohort_ids: Vec<i64>,
    /// Groups: index of the type, and key.
    pub(crate) groups: Vec<(i32, String)>,
}

/// What is stored; who is not in it is not known.
#[derive(Debug, Default)]
pub(crate) struct FactsFound {
    /// By distinct id.
    pub(crate) people: HashMap<String, PersonFacts>,
    /// Properties, by index of the type and key.
    pub(crate) groups: HashMap<(i32, String), GroupFacts>,
    /// People whose properties cannot be read, by distinct id.
    pub(crate) damaged_people: HashSet<String>,
    /// Groups whose properties cannot be read.
    pub(crate) damaged_groups: HashSet<(i32, String)>,
}

/// What is stored of a person.
#[derive(Clone, Debug, Default)]
pub(crate) struct PersonFacts {
    /// The person's row.
    pub(crate) id: i64,
    /// Their properties, and columns of the row under their reserved names.
    pub(crate) properties: Properties,
    /// Those of the cohorts asked for that list them.
    pub(crate) static_cohorts: HashSet<i64>,
    /// Stored hash keys by flag key, those of flags that are gone included.
    pub(crate) hash_keys: HashMap<String, String>,
    /// Roughly what this takes in memory.
    pub(crate) bytes: usize,
}

/// What is stored of a group.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupFacts {
    /// Its properties.
    pub(crate) properties: Arc<Properties>,
    /// Roughly what this takes in memory.
    pub(crate) bytes: usize,
}

impl FactsWanted {
    /// True if there is nothing to read.
    pub(crate) fn is_empty(&self) -> bool {
        self.distinct_ids.is_empty() && self.groups.is_empty()
    }
}

impl Store {
    /// Reads what is stored of these people and groups: one statement.
    ///
    /// # Errors
    ///
    /// `Unavailable` when the database is.
    pub(crate) async fn stored_facts(
        &self,
        project_id: i64,
        wanted: &FactsWanted,
    ) -> Result<FactsFound> {
        let statement = Statement::from_sql_and_values(
            self.facts.backend(),
            sql(self.is_postgres(), wanted),
            [
                project_id.into(),
                json(&wanted.distinct_ids)?.into(),
                json(&wanted.cohort_ids)?.into(),
                json(&wanted.groups)?.into(),
            ],
        );
        let rows = Row::find_by_statement(statement).all(self.facts()).await.map_err(failure)?;
        let bytes: usize = rows.iter().map(Row::bytes).sum();
        match bytes > MOST_INLINE {
            true => tokio::task::spawn_blocking(|| collect(rows)).await.map_err(Error::internal)?,
            false => collect(rows),
        }
    }
}

fn json<T: serde::Serialize>(names: &T) -> Result<String> {
    serde_json::to_string(names).map_err(Error::internal)
}

/// What a row tells.
mod kind {
    pub(super) const PERSON: i32 = 0;
    pub(super) const MEMBERSHIP: i32 = 1;
    pub(super) const HASH_KEY: i32 = 2;
    pub(super) const GROUP: i32 = 3;
}

/// One row of the statement, whatever it tells.
#[derive(Debug, FromQueryResult)]
struct Row {
    kind: i32,
    /// A distinct id, or a group's key.
    owner: String,
    /// A person's or a cohort's id, or the index of a group's type.
    number: i64,
    /// A flag's key.
    name: Option<String>,
    /// Properties, or a hash key.
    content: Option<String>,
    created_at: Option<DateTime<Utc>>,
}

impl Row {
    fn bytes(&self) -> usize {
        self.content.as_ref().map_or(0, String::len)
    }

    /// Roughly what its content takes once it is parsed.
    fn weight(&self) -> usize {
        64 + self.owner.len() + 4 * self.bytes()
    }
}

/// What a FROM of each part has, for the two databases.
struct Sources {
    /// Wanted ids with the person of each, as `d`.
    ids: &'static str,
    /// The person of each `d`, as `p`.
    persons: &'static str,
    /// The hash keys of each `d`, as `o`.
    hash_keys: &'static str,
    /// Those of the cohorts asked about that list each `d`, as `m`.
    memberships: &'static str,
    /// Wanted groups, as `g`.
    groups: &'static str,
}

/// PostgreSQL is told to look each of them up. Left to itself it may, without statistics, compare
/// each with each.
const POSTGRES: Sources = Sources {
    ids: "json_array_elements_text(CAST($2 AS json)) AS w(id) CROSS JOIN LATERAL \
          (SELECT distinct_id, person_id FROM person_distinct_id \
           WHERE project_id = $1 AND distinct_id = w.id LIMIT 1) AS d",
    persons: "CROSS JOIN LATERAL (SELECT id, properties, created_at FROM person \
              WHERE id = d.person_id LIMIT 1) AS p",
    hash_keys: "CROSS JOIN LATERAL (SELECT feature_flag_key, hash_key FROM hash_key_override \
                WHERE project_id = $1 AND person_id = d.person_id OFFSET 0) AS o",
    memberships: "CROSS JOIN LATERAL (SELECT cohort_id FROM cohort_member \
                  WHERE person_id = d.person_id AND cohort_id = ANY (ARRAY(\
                   SELECT CAST(item AS bigint) \
                   FROM json_array_elements_text(CAST($3 AS json)) AS l(item))) OFFSET 0) AS m",
    groups: "json_array_elements(CAST($4 AS json)) AS w(pair) CROSS JOIN LATERAL \
             (SELECT group_key, group_type_index, properties FROM \"group\" \
              WHERE project_id = $1 AND group_type_index = CAST(w.pair ->> 0 AS integer) \
              AND group_key = w.pair ->> 1 LIMIT 1) AS g",
};

/// The order of a cross join is kept, and so an index is used to its last column.
const SQLITE: Sources = Sources {
    ids: "json_each($2) AS w CROSS JOIN person_distinct_id AS d \
          ON d.project_id = $1 AND d.distinct_id = w.value",
    persons: "CROSS JOIN person AS p ON p.id = d.person_id",
    hash_keys: "CROSS JOIN hash_key_override AS o \
                ON o.project_id = d.project_id AND o.person_id = d.person_id",
    memberships: "CROSS JOIN cohort_member AS m ON m.person_id = d.person_id \
                  AND m.cohort_id IN (SELECT value FROM json_each($3))",
    groups: "json_each($4) AS w CROSS JOIN \"group\" AS g ON g.project_id = $1 \
             AND g.group_type_index = json_extract(w.value, '$[0]') \
             AND g.group_key = json_extract(w.value, '$[1]')",
};

/// The statement for the parts that are asked for. `$1` is the project, `$2` to `$4` are lists.
fn sql(is_postgres: bool, wanted: &FactsWanted) -> String {
    let from = if is_postgres { POSTGRES } else { SQLITE };
    let (people, mut parts) = (from.ids, Vec::new());
    if !wanted.distinct_ids.is_empty() {
        parts.push(format!(
            "SELECT 0 AS kind, d.distinct_id AS owner, p.id AS number, CAST(NULL AS text) AS name, \
             p.properties AS content, p.created_at AS created_at FROM {people} {}",
            from.persons
        ));
        parts.push(format!(
            "SELECT 2 AS kind, d.distinct_id AS owner, d.person_id AS number, \
             o.feature_flag_key AS name, o.hash_key AS content, \
             CAST(NULL AS timestamp with time zone) AS created_at FROM {people} {}",
            from.hash_keys
        ));
    }
    if !wanted.distinct_ids.is_empty() && !wanted.cohort_ids.is_empty() {
        parts.push(format!(
            "SELECT 1 AS kind, d.distinct_id AS owner, m.cohort_id AS number, \
             CAST(NULL AS text) AS name, CAST(NULL AS text) AS content, \
             CAST(NULL AS timestamp with time zone) AS created_at FROM {people} {}",
            from.memberships
        ));
    }
    if !wanted.groups.is_empty() {
        parts.push(format!(
            "SELECT 3 AS kind, g.group_key AS owner, CAST(g.group_type_index AS bigint) AS number, \
             CAST(NULL AS text) AS name, g.properties AS content, \
             CAST(NULL AS timestamp with time zone) AS created_at FROM {}",
            from.groups
        ));
    }
    parts.join(" UNION ALL ")
}

/// Joins rows, which come in any order, by whom they are about.
fn collect(rows: Vec<Row>) -> Result<FactsFound> {
    let mut found = FactsFound::default();
    for row in rows {
        let bytes = row.weight();
        if row.kind == kind::GROUP {
            let index = i32::try_from(row.number).map_err(Error::internal)?;
            let text = row.content.as_deref().unwrap_or("{}");
            match damage::object("group.properties", &row.owner, text).map(Arc::new) {
                Some(properties) => {
                    found.groups.insert((index, row.owner), GroupFacts { properties, bytes });
                }
                None => drop(found.damaged_groups.insert((index, row.owner))),
            }
            continue;
        }
        if row.kind == kind::PERSON {
            let text = row.content.as_deref().unwrap_or("{}");
            let Some(properties) = damage::object("person.properties", row.number, text) else {
                found.damaged_people.insert(row.owner);
                continue;
            };
            let person = found.people.entry(row.owner).or_default();
            person.bytes += bytes;
            person.id = row.number;
            person.properties = match row.created_at {
                Some(created_at) => with_columns(properties, created_at),
                None => properties,
            };
            continue;
        }
        let person = found.people.entry(row.owner).or_default();
        person.bytes += bytes;
        match (row.kind, row.name, row.content) {
            (kind::MEMBERSHIP, ..) => {
                person.static_cohorts.insert(row.number);
            }
            (kind::HASH_KEY, Some(flag_key), Some(hash_key)) => {
                person.hash_keys.insert(flag_key, hash_key);
            }
            _ => {}
        }
    }
    Ok(found)
}

/// A person's properties, and the columns of their row under their reserved names.
pub(super) fn with_columns(mut properties: Properties, created_at: DateTime<Utc>) -> Properties {
    let text = created_at.to_rfc3339_opts(SecondsFormat::AutoSi, true);
    properties.insert(CREATED_AT.to_owned(), text.into());
    properties
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: i32, owner: &str, number: i64, name: Option<&str>, content: Option<&str>) -> Row {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let (name, content) = (text(name), text(content));
        Row { kind, owner: owner.into(), number, name, content, created_at: None }
    }

    #[test]
    fn rows_are_joined_in_whatever_order_they_come() {
        let rows = vec![
            row(kind::HASH_KEY, "ann", 7, Some("flag"), Some("anon")),
            row(kind::MEMBERSHIP, "ann", 3, None, None),
            row(kind::GROUP, "acme", 1, None, Some(r#"{"size": 9}"#)),
            row(kind::PERSON, "ann", 7, None, Some(r#"{"plan": "pro"}"#)),
            row(kind::PERSON, "bob", 8, None, Some("{}")),
        ];
        let found = collect(rows).unwrap();
        let ann = &found.people["ann"];
        assert_eq!((ann.id, ann.properties["plan"].as_str()), (7, Some("pro")));
        assert_eq!(ann.static_cohorts, HashSet::from([3]));
        assert_eq!(ann.hash_keys["flag"], "anon");
        assert_eq!((found.people["bob"].id, found.people.len()), (8, 2));
        assert_eq!(found.groups[&(1, "acme".to_owned())].properties["size"], 9);
        let damaged = collect(vec![row(kind::PERSON, "ann", 7, None, Some("{"))]).unwrap();
        assert!(damaged.damaged_people.contains("ann") && damaged.people.is_empty());
    }

    #[test]
    fn the_statement_has_the_parts_that_are_asked_for() {
        let ids = vec!["ann".to_owned()];
        let groups = vec![(0, "acme".to_owned())];
        let wanted = FactsWanted { distinct_ids: ids, cohort_ids: vec![1], groups };
        for is_postgres in [true, false] {
            let parts =
                |wanted: &FactsWanted| sql(is_postgres, wanted).split(" UNION ALL ").count();
            assert_eq!(parts(&wanted), 4);
            assert_eq!(parts(&FactsWanted { cohort_ids: vec![], ..wanted.clone() }), 3);
            assert_eq!(parts(&FactsWanted { distinct_ids: vec![], ..wanted.clone() }), 1);
        }
    }
}
