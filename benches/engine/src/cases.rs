//! One question each: some flags, some people, and what is asked.

use std::{collections::HashMap, hint::black_box, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sha1::{Digest, Sha1};

use crate::engine::{
    Audience, Cohort, CohortSource, Facts, Flag, FlagSet, FlagSource, Properties, Selection,
    Settings, Subject, evaluate, evaluate_one,
};

/// The names of all cases. `sha1` is the yardstick: one hash of the bytes that
/// `rollout` hashes.
pub const NAMES: [&str; 13] = [
    "sha1",
    "rollout",
    "variant",
    "ten-properties",
    "regex",
    "look-behind",
    "list-of-10",
    "list-of-10000",
    "cohort-tree",
    "dependency",
    "flags-100",
    "flags-2000",
    "explain",
];

/// How many people take turns.
pub const PEOPLE: usize = 64;

const KEY: &str = "beta-search";

/// Something to measure.
#[derive(Debug)]
pub struct Case {
    question: Question,
    set: FlagSet,
    people: Vec<Person>,
    now: DateTime<Utc>,
}

#[derive(Debug)]
enum Question {
    Hash,
    One,
    All,
    Explain,
}

#[derive(Debug)]
struct Person {
    id: String,
    /// The bytes that the flag's rollout hashes.
    hashed: String,
    properties: Properties,
}

impl Case {
    /// The case of this name.
    ///
    /// # Panics
    ///
    /// If there is none.
    #[must_use]
    pub fn named(name: &str) -> Self {
        let question = match name {
            "sha1" => Question::Hash,
            "flags-100" | "flags-2000" => Question::All,
            "explain" => Question::Explain,
            _ => Question::One,
        };
        Self { question, set: set(name), people: people(), now: DateTime::UNIX_EPOCH }
    }

    /// Asks about one person, a different one each round. Everything that a
    /// request has to do for the engine is in here.
    pub fn ask(&self, round: usize) {
        let person = &self.people[round % PEOPLE];
        let facts = Facts { sent: Some(&person.properties), ..Facts::default() };
        match self.question {
            Question::Hash => {
                black_box(Sha1::digest(black_box(&person.hashed)));
            }
            Question::One => {
                let subject = Subject::new(&person.id, facts);
                let audience = Audience::default();
                black_box(evaluate_one(&self.set, &subject, black_box(KEY), &audience, self.now));
            }
            Question::All => {
                let subject = Subject::new(&person.id, facts);
                black_box(evaluate(&self.set, &subject, &Selection::default(), self.now));
            }
            Question::Explain => {
                let subject = Subject::new(&person.id, facts);
                let flag = &self.set.flags()[0];
                black_box(crate::engine::explain(&self.set, flag, &subject, self.now));
            }
        }
    }
}

fn people() -> Vec<Person> {
    let id = |at: usize| format!("0192d7a4-6f0c-7b6e-9c55-{at:012}");
    let person = |at: usize| Person {
        id: id(at),
        hashed: format!("{KEY}.{}", id(at)),
        properties: object(json!({
            "email": format!("person-{at}@example.com"), "plan": format!("plan-{}", at * 157),
            "age": 20 + at, "country": "NL", "version": "1.14.2", "joined": "2023-04-05",
            "company": "Acme & Sons", "seats": at * 3, "$browser": "Firefox", "admin": true,
        })),
    };
    (0..PEOPLE).map(person).collect()
}

fn set(name: &str) -> FlagSet {
    let rollout = json!({"groups": [{"rollout_percentage": 50}]});
    let filters = match name {
        "variant" => variants(),
        "ten-properties" | "explain" => on(ten_properties()),
        "regex" => on(json!([filter("email", "regex", json!(r"^[\w.+-]+@example\.(com|org)$"))])),
        "look-behind" => on(json!([filter("email", "regex", json!(r"(?<!admin)@example\.com$"))])),
        "list-of-10" => on(json!([filter("plan", "exact", list(10))])),
        "list-of-10000" => on(json!([filter("plan", "exact", list(10_000))])),
        "cohort-tree" => on(json!([{"type": "cohort", "key": "id", "value": 3, "operator": "in"}])),
        "dependency" => on(json!([{"type": "flag", "key": "1", "operator": "flag_evaluates_to",
            "value": true}])),
        _ => rollout.clone(),
    };
    let count = match name {
        "flags-100" => 100,
        "flags-2000" => 2_000,
        _ => 2,
    };
    let others = [rollout, variants(), on(ten_properties()), on(json!([]))];
    let mut flags = vec![flag(0, KEY, &filters)];
    flags.extend(
        (1..count).map(|id: i64| flag(id, &format!("flag-{id}"), &others[id as usize % 4])),
    );
    FlagSet::new(Settings { group_types: HashMap::new(), ..Settings::default() }, flags, cohorts())
}

fn flag(id: i64, key: &str, filters: &Value) -> Arc<Flag> {
    Arc::new(Flag::compile(&FlagSource { version: Some(1), ..FlagSource::new(id, key, filters) }))
}

fn on(properties: Value) -> Value {
    json!({"groups": [{"properties": properties, "rollout_percentage": 100}]})
}

fn filter(key: &str, operator: &str, value: Value) -> Value {
    json!({"key": key, "type": "person", "operator": operator, "value": value})
}

fn variants() -> Value {
    let share = |key: &str| json!({"key": key, "rollout_percentage": 25});
    let shares = ["a", "b", "c", "d"].map(share);
    json!({"groups": [{}], "multivariate": {"variants": shares}})
}

/// Plans, of which each person has one.
fn list(length: usize) -> Value {
    (0..length).map(|at| Value::from(format!("plan-{at}"))).collect()
}

/// Ten filters that all hold, so that all are evaluated.
fn ten_properties() -> Value {
    json!([
        filter("country", "exact", json!(["NL", "BE"])),
        filter("plan", "is_not", json!("free")),
        filter("email", "icontains", json!("@example.com")),
        filter("age", "gt", json!(18)),
        filter("seats", "lt", json!("1000")),
        filter("$browser", "is_set", json!("is_set")),
        filter("company", "starts_with", json!("acme")),
        filter("version", "semver_gte", json!("1.4.0")),
        filter("joined", "is_date_after", json!("2020-01-01")),
        filter("admin", "exact", json!(true)),
    ])
}

fn cohorts() -> Vec<Arc<Cohort>> {
    let grown = json!({"type": "AND", "values": [
        filter("age", "gte", json!(18)),
        {"type": "OR", "values": [filter("country", "exact", json!("DE")), filter("country", "exact", json!("NL"))]},
    ]});
    let employees =
        json!({"type": "OR", "values": [filter("email", "ends_with", json!("@acme.com"))]});
    let both = json!({"type": "AND", "values": [
        {"key": "id", "type": "cohort", "value": 1, "operator": "in"},
        {"key": "id", "type": "cohort", "value": 2, "operator": "in", "negation": true},
    ]});
    let cohort = |(id, tree): (i64, Value)| {
        let filters = json!({"properties": tree});
        let source = CohortSource { id, is_static: false, filters: Some(&filters), groups: None };
        Arc::new(Cohort::compile(&source))
    };
    (1..).zip([grown, employees, both]).map(cohort).collect()
}

fn object(value: Value) -> Properties {
    match value {
        Value::Object(entries) => entries,
        _ => Properties::new(),
    }
}
