//! Stored text that cannot be read. A damaged row costs no more than itself: it is shown without
//! what is damaged, logged once, and counted each time that it is read.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Display,
    sync::{LazyLock, Mutex, PoisonError},
};

use serde_json::Value;

use crate::model::{
    json::{self, Object},
    property_history::Properties,
};

/// How many damaged values are remembered as logged.
const MAX_LOGGED: usize = 10_000;

/// The damage that this process found.
#[derive(Default)]
struct Found {
    reads: BTreeMap<&'static str, u64>,
    logged: HashSet<(&'static str, String)>,
}

static FOUND: LazyLock<Mutex<Found>> = LazyLock::new(Mutex::default);

/// Returns how often damaged values were read, by table and column.
pub(crate) fn reads() -> Vec<(&'static str, u64)> {
    let found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    found.reads.iter().map(|(column, reads)| (*column, *reads)).collect()
}

/// Notes that a value cannot be read. `column` is the table and the column, `id` the row.
pub(super) fn note(column: &'static str, id: impl Display, problem: impl Display) {
    let id = id.to_string();
    let mut found = FOUND.lock().unwrap_or_else(PoisonError::into_inner);
    *found.reads.entry(column).or_default() += 1;
    if found.logged.len() < MAX_LOGGED && found.logged.insert((column, id.clone())) {
        tracing::error!(column, row.id = id, %problem, "a stored value is damaged");
    }
}

/// Parses stored JSON; `None` if it is damaged.
pub(super) fn json(column: &'static str, id: impl Display, text: &str) -> Option<Value> {
    json::parse_stored(text).map_err(|problem| note(column, id, problem)).ok()
}

/// Parses a stored JSON object; `None` if it is damaged.
pub(super) fn object(column: &'static str, id: impl Display, text: &str) -> Option<Object> {
    match json::parse_stored(text) {
        Ok(Value::Object(fields)) => return Some(fields),
        Ok(_) => note(column, id, "it is no JSON object"),
        Err(problem) => note(column, id, problem),
    }
    None
}

/// As [`object`], as a value that is null if it is damaged.
pub(super) fn object_or_null(column: &'static str, id: impl Display, text: &str) -> Value {
    object(column, id, text).map_or(Value::Null, Value::Object)
}

/// Parses stored properties with what decided them, which is unknown if that is damaged; `None` if
/// the properties are.
pub(super) fn properties(
    column: &'static str,
    id: i64,
    values: &str,
    times: &str,
) -> Option<Properties> {
    let values = object(column, id, values)?;
    let times = json("property_times", id, times).unwrap_or_default();
    Some(Properties::stored(values, &times))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn damage_is_counted_by_column_and_costs_the_value_alone() {
        const COLUMN: &str = "test.column";
        assert_eq!(object_or_null(COLUMN, 1, r#"{"a": 1}"#), json!({"a": 1}));
        assert!(reads().iter().all(|(column, _)| *column != COLUMN));
        for (count, damaged) in (1..).zip(["", "{", "[1]", "null", "{\"a\":", "1"]) {
            assert_eq!(object_or_null(COLUMN, 1, damaged), Value::Null, "{damaged}");
            assert!(reads().contains(&(COLUMN, count)), "{damaged}");
        }
    }
}
