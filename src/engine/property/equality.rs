//! `exact` and `is_not`: membership in a list of values, or agreement in truth.

use serde_json::Value;

use super::{Matching, form};
use crate::engine::lookup::Set;

/// The values a filter accepts, ready to look a property up.
#[derive(Debug)]
pub(super) struct Equality {
    /// Lower-cased string forms.
    accepted: Set<Box<str>>,
    truth: Truth,
}

/// Whether the filter asks for truth rather than for a value.
#[derive(Debug)]
enum Truth {
    /// Never: it names a value that is no boolean.
    Irrelevant,
    /// A boolean, or a list of booleans: classic matching compares truth.
    Classic(bool),
    /// The empty list, which asks for a truthy property in either mode.
    Always,
}

impl Equality {
    pub(super) fn compile(filter: &Value) -> Self {
        let elements = match filter {
            Value::Array(elements) => elements.as_slice(),
            scalar => std::slice::from_ref(scalar),
        };
        let accepted = elements
            .iter()
            .map(|element| form::lowered(form::form(element), |lower| lower.into()))
            .collect();
        let truth = match filter {
            Value::Array(elements) if elements.is_empty() => Truth::Always,
            _ if is_boolean_like(filter) => Truth::Classic(is_truthy(filter)),
            _ => Truth::Irrelevant,
        };
        Self { accepted, truth }
    }

    pub(super) fn hits(&self, property: &Value, matching: Matching) -> bool {
        match (&self.truth, matching) {
            (Truth::Always, _) => is_truthy(property),
            (Truth::Classic(expected), Matching::Classic) => is_truthy(property) == *expected,
            _ => form::lowered(form::form(property), |lower| self.accepted.contains(lower)),
        }
    }
}

/// A boolean, its name in any case, or a list of nothing else.
fn is_boolean_like(value: &Value) -> bool {
    match value {
        Value::Bool(_) => true,
        Value::String(text) => {
            text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")
        }
        Value::Array(elements) => elements.iter().all(is_boolean_like),
        _ => false,
    }
}

/// `true`, its name in any case, or a list of nothing else. Numbers, `null`,
/// objects and other strings are not truthy.
fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Bool(truth) => *truth,
        Value::String(text) => text.eq_ignore_ascii_case("true"),
        Value::Array(elements) => elements.iter().all(is_truthy),
        _ => false,
    }
}
