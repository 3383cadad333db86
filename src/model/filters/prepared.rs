//! What is known of filters before the project is looked at.
//!
//! Normalizing, measuring and compiling take time in proportion to what was sent, and need nothing
//! but it. They are done before the project is locked; the checks under the lock look results up.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::{
    Grammar, MAX_BYTES, normalise, pattern,
    properties::{are_few, patterns},
};
use crate::model::json::{Object, canonical};

/// Filters as sent, normalized, measured and compiled.
#[derive(Clone, Debug, Default)]
pub struct PreparedFilters {
    /// The value that is stored if every check passes.
    pub(super) normalized: Object,
    /// The compact size of that value, in bytes.
    pub(super) size: usize,
    /// The patterns that do not compile.
    pub(super) invalid_patterns: HashSet<String>,
    /// Why evaluation could not use the value; `None` if it can.
    pub(super) problem: Option<&'static str>,
}

impl PreparedFilters {
    /// Prepares a value of any shape. Nothing is compiled of one that is refused for its size or its
    /// number of patterns.
    #[must_use]
    pub fn new(sent: &Value, fills_rollout: bool, grammar: &Grammar) -> Self {
        let Some(sent) = sent.as_object() else { return Self::default() };
        let mut normalized = sent.clone();
        normalized.entry("groups").or_insert_with(|| json!([]));
        normalise::apply(&mut normalized, fills_rollout);
        let value = Value::Object(normalized);
        let size = canonical(&value).len();
        let is_bounded = size <= MAX_BYTES && are_few(patterns(&value));
        let (mut invalid_patterns, mut problem) = (HashSet::new(), None);
        if is_bounded {
            let distinct: HashSet<&str> = patterns(&value).collect();
            let invalid = distinct.into_iter().filter(|pattern| !pattern::compiles(pattern));
            invalid_patterns = invalid.map(str::to_owned).collect();
            problem = (grammar.problem)(&value);
        }
        let normalized = match value {
            Value::Object(normalized) => normalized,
            _ => Object::new(),
        };
        Self { normalized, size, invalid_patterns, problem }
    }
}
