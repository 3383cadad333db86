//! What the engine's tests build their cases from.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Flag, FlagSet, FlagSource, Settings};

/// An active flag that nothing special is known of.
pub(super) fn source<'a>(id: i64, key: &'a str, filters: &'a Value) -> FlagSource<'a> {
    FlagSource::new(id, key, filters)
}

pub(super) fn flag(id: i64, key: &str, filters: Value) -> Arc<Flag> {
    Arc::new(Flag::compile(&source(id, key, &filters)))
}

/// A project without settings or cohorts.
pub(super) fn set(flags: impl IntoIterator<Item = Arc<Flag>>) -> FlagSet {
    FlagSet::new(Settings::default(), flags.into_iter().collect(), Vec::new())
}

/// The instant of an RFC 3339 text.
pub(super) fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).expect("an RFC 3339 text").to_utc()
}

/// When tests take place that do not care.
pub(super) fn now() -> DateTime<Utc> {
    at("2024-03-31T12:00:00Z")
}

/// A file of the conformance vectors, where they are at hand.
pub(super) fn vectors(file: &str) -> Option<Value> {
    let path = format!("{}/../shared/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: no conformance vectors at {path}");
        return None;
    };
    Some(serde_json::from_str(&text).expect("vectors are JSON"))
}

/// A list in a vector file.
pub(super) fn items<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().expect("a list of vectors")
}
