//! The documented `filters` schema: what is refused, in the documented order,
//! and what an accepted value is turned into before it is stored
//! (management-api 3.4 and 3.5).
//!
//! [`accept`] is the one way in. It refuses with the first failing check of
//! 3.5, and answers the normalised value. What needs no project is computed
//! before, by [`PreparedFilters::new`].

mod conditions;
mod definition;
mod dependencies;
mod known;
mod legacy;
mod meaning;
mod membership;
mod normalise;
mod operators;
mod pattern;
mod payloads;
mod prepared;
mod properties;
mod variants;

use serde_json::{Value, json};

use super::{
    config_version::check_reserved,
    decoration::same_undecorated,
    error::{Error, Result},
    fields,
    json::{Object, has_nul, type_name},
};

pub(super) use known::number;
pub use known::{Grammar, Known, KnownCohort, KnownFlag, Own, References};
pub use legacy::replace_legacy;
pub use meaning::same_meaning;
pub(super) use normalise::alias;
pub use operators::{behavioural_cohort, cohort_does_not_exist};
pub(super) use operators::{check_value, person_operator, shown};
pub(super) use pattern::{compiles as is_pattern, parts as pattern_parts};
pub use prepared::PreparedFilters;

/// The largest normalised value that is stored, as compact JSON in UTF-8 bytes.
pub const MAX_BYTES: usize = 512 * 1024;

/// Where a write comes from, which decides how strictly its filters are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A creation, PATCH or PUT of the API.
    #[default]
    Request,
    /// An operation that names no filters, such as disabling: what is stored stays as it is.
    Operation,
    /// An import: filters are taken as the source serves them, variants that do not sum to 100
    /// included.
    Import,
}

/// What the checks need to know beside the value itself.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// A creation; it must bring a condition, and other methods may bring none.
    pub creating: bool,
    /// Where the filters come from.
    pub origin: Origin,
    /// Whether the flag is, or becomes, a remote configuration.
    pub is_remote_configuration: bool,
    /// The flag that the filters are for.
    pub own: &'a Own,
    /// What the project knows.
    pub known: &'a Known,
}

impl Context<'_> {
    /// Whether conditions without a share get one of 100 %: a new remote configuration is for everybody.
    #[must_use]
    pub fn fills_rollout(self) -> bool {
        self.creating && self.is_remote_configuration
    }
}

/// Checks a value, and returns it as it is stored.
///
/// `prepared` is what [`PreparedFilters::new`] made of the same value.
///
/// # Errors
///
/// `attr: filters` with the message of the first check that fails. A named rules format comes first,
/// then the size: what is too large is not worth judging.
pub fn accept(sent: &Value, prepared: &PreparedFilters, context: Context<'_>) -> Result<Value> {
    let mut filters = fields::object("filters", sent)?.clone();
    check_reserved(sent)?;
    if has_nul(sent) {
        return Err(refuse("Null characters are not allowed."));
    }
    check_size(prepared.size)?;
    filters.entry("groups").or_insert_with(|| json!([]));
    check(&filters, prepared, context)?;
    let normalized = Value::Object(prepared.normalized.clone());
    let sound = definition::check(&filters).and_then(|()| evaluable(prepared.problem));
    // What is stored already may be sent back, so that other fields can still be changed.
    sound.or_else(|error| match same_undecorated(&normalized, &context.own.filters) {
        true => Ok(()),
        false => Err(error),
    })?;
    Ok(normalized)
}

/// Refuses what the parser of evaluation refuses.
fn evaluable(problem: Option<&str>) -> Result<()> {
    match problem {
        None => Ok(()),
        Some(problem) => Err(refuse(format!("Filters cannot be evaluated: {problem}."))),
    }
}

/// Checks the shape and the patterns of filters that are evaluated once and never stored.
///
/// # Errors
///
/// `attr: filters` with the message of the first check that fails.
pub fn check_shape(filters: &Object) -> Result<()> {
    conditions::check(filters, false)?;
    let groups = properties::groups(filters)?;
    properties::check_pattern_count(&groups)?;
    properties::check_patterns(&groups, |pattern| !pattern::compiles(pattern), &Own::nobody())
}

/// Checks 2–30, in their order.
fn check(filters: &Object, prepared: &PreparedFilters, context: Context<'_>) -> Result<()> {
    conditions::check(filters, context.creating)?;
    let groups = properties::groups(filters)?;
    properties::check_pattern_count(&groups)?;
    let is_invalid = |pattern: &str| prepared.invalid_patterns.contains(pattern);
    properties::check_patterns(&groups, is_invalid, context.own)?;
    variants::check_percentages(filters)?;
    properties::check_early_access(&groups, context.own)?;
    properties::check_types(&groups)?;
    dependencies::check(&groups, context.own, context.known)?;
    variants::check_whole(filters, context.origin)?;
    operators::check(&groups, context.known)?;
    payloads::check(filters)
}

/// The filters of a flag that was created without any.
#[must_use]
pub fn initial(context: Context<'_>) -> Value {
    let mut filters = Object::new();
    filters.insert("groups".into(), json!([]));
    if context.is_remote_configuration {
        normalise::apply(&mut filters, context.fills_rollout());
    }
    Value::Object(filters)
}

fn check_size(size: usize) -> Result<()> {
    if size <= MAX_BYTES {
        return Ok(());
    }
    Err(refuse(format!(
        "Feature flag filters exceed maximum size of {MAX_BYTES}. Current size: {size}. \
         Please simplify conditions or reduce payload sizes."
    )))
}

fn refuse(detail: impl Into<String>) -> Error {
    Error::field("filters", "invalid_input", detail)
}

/// The objects of a list, refusing a list or an item of another shape.
fn objects<'a>(list: Option<&'a Value>, path: &str) -> Result<Vec<&'a Object>> {
    let items = match list {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(other) => {
            return Err(refuse(format!("{path} must be a list, got {}", type_name(other))));
        }
    };
    let object = |(index, item): (usize, &'a Value)| {
        item.as_object().ok_or_else(|| {
            refuse(format!("{path}[{index}] must be an object, got {}", type_name(item)))
        })
    };
    items.iter().enumerate().map(object).collect()
}

/// A field that is a whole number or nothing.
fn integer_or_null(of: &Object, key: &str, path: &str) -> Result<()> {
    match of.get(key) {
        None | Some(Value::Null) => Ok(()),
        Some(Value::Number(number)) if super::json::is_integer(number) => Ok(()),
        Some(other) => {
            Err(refuse(format!("{path} must be an integer or null, got {}", type_name(other))))
        }
    }
}

/// A number between 0 and 100.
fn percentage(value: &Value, path: &str, or_null: &str) -> Result<()> {
    let Value::Number(number) = value else {
        let found = if value.is_null() { "null" } else { type_name(value) };
        return Err(refuse(format!("{path} must be a number{or_null}, got {found}")));
    };
    let Some(percentage) = number.as_f64().filter(|p| p.is_finite()) else {
        let infinite = if number.as_str().starts_with('-') { "-inf" } else { "inf" };
        return Err(refuse(format!("{path} must be finite, got {infinite}")));
    };
    if (0.0..=100.0).contains(&percentage) {
        return Ok(());
    }
    Err(refuse(format!("{path} must be between 0 and 100, got {number}")))
}

#[cfg(test)]
mod tests;
