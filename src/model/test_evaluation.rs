//! One flag tried out on one person, now or as it was (management-api 4.4):
//! what is asked, which state of the flag is meant, and what is told.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    error::{BodyKind, Code, Error, Result},
    fields,
    flag::FeatureFlag,
    history::{FlagVersion, Standing, Target},
    json::{Object, has_nul},
};

/// What a test asks.
#[derive(Clone, Debug, PartialEq)]
pub struct WantedTest {
    /// Whom to evaluate for.
    pub who: Who,
    /// The moment to go back to; `None` is now.
    pub at: Option<DateTime<Utc>>,
    /// Group keys by group type name.
    pub groups: Object,
}

/// A person, as a test names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// By one of their distinct ids, as sent.
    DistinctId(String),
    /// By UUID: the answer then tells no distinct id.
    PersonId(Uuid),
}

impl WantedTest {
    /// Reads `distinct_id`, `person_id`, `timestamp` and `groups`, judged in that order.
    ///
    /// # Errors
    ///
    /// `Invalid` on the first field that breaks a rule; without a field when not exactly one
    /// person is named; as `{"error"}` for a `person_id` that is no UUID.
    pub fn parse(body: &Object) -> Result<Self> {
        let distinct_id = identifier(body, "distinct_id")?;
        let person_id = identifier(body, "person_id")?;
        let at = body.get("timestamp").unwrap_or(&Value::Null);
        let at = fields::nullable("timestamp", at, fields::datetime)?;
        let groups = groups(body)?;
        let who = match (distinct_id, person_id) {
            (None, None) => {
                return Err(Error::rule("Either distinct_id or person_id must be provided"));
            }
            (Some(_), Some(_)) => {
                return Err(Error::rule("Cannot provide both distinct_id and person_id"));
            }
            (Some(id), None) => Who::DistinctId(id),
            (None, Some(id)) => Who::PersonId(id.trim().parse().map_err(|_| malformed())?),
        };
        Ok(Self { who, at, groups })
    }
}

/// An id as sent, since one that begins with a space is another one.
fn identifier(body: &Object, attr: &str) -> Result<Option<String>> {
    let Some(sent) = body.get(attr) else { return Ok(None) };
    let trimmed = fields::text(attr, sent)?;
    if trimmed.is_empty() {
        return Err(Error::field(attr, "blank", "This field may not be blank."));
    }
    Ok(Some(sent.as_str().map_or(trimmed, str::to_owned)))
}

fn groups(body: &Object) -> Result<Object> {
    let Some(sent) = body.get("groups") else { return Ok(Object::new()) };
    let groups = fields::object("groups", sent)?;
    if has_nul(sent) {
        let detail = "Null characters are not allowed.";
        return Err(Error::field("groups", "null_characters_not_allowed", detail));
    }
    Ok(groups.clone())
}

fn malformed() -> Error {
    Error::rule("Invalid parameters").with_body(BodyKind::Error)
}

impl Who {
    /// The failure for a person that nobody knows.
    #[must_use]
    pub fn unknown(&self) -> Error {
        let named = match self {
            Self::DistinctId(id) => format!("distinct_id: {id}"),
            Self::PersonId(id) => format!("person_id: {id}"),
        };
        Error::missing(format!("Person not found for {named}")).with_body(BodyKind::DetailError)
    }
}

/// The failure of looking for a person: in words of its own where the store failed.
#[must_use]
pub fn lookup_failed(error: Error) -> Error {
    match error.code {
        Code::Unavailable => error
            .saying("Person lookup service temporarily unavailable. Please retry.")
            .with_body(BodyKind::Error),
        _ => failed(error, "Failed to resolve person"),
    }
}

/// A defect in one step of a test, in the step's own words; other failures stay as they are.
#[must_use]
pub fn failed(error: Error, detail: &str) -> Error {
    match error.code {
        Code::Internal => error.saying(detail).with_body(BodyKind::Error),
        _ => error,
    }
}

/// Which state of a flag was in force at a moment.
///
/// # Errors
///
/// All as `{"error"}`: `Invalid` before the flag was made and while it was deleted, and for a
/// version that it cannot have had; `Blocked` where its rows do not tell.
pub fn in_force(flag: &FeatureFlag, at: DateTime<Utc>, standing: Standing) -> Result<Target> {
    if at < flag.created_at || standing.is_deleted {
        let detail =
            format!("Feature flag '{}' did not exist at the specified timestamp.", flag.key);
        return Err(Error::rule(detail).with_body(BodyKind::Error));
    }
    let is_unchanged = flag.updated_at.is_none_or(|updated| updated <= at);
    let wanted = match standing.version {
        Some(version) => version,
        None if is_unchanged => return Ok(Target::Current),
        None => 1,
    };
    match flag.version {
        Some(current) if wanted == current => Ok(Target::Current),
        Some(current) if (1..current).contains(&wanted) => Ok(Target::Past(wanted)),
        Some(_) => Err(Error::rule("Invalid timestamp.").with_body(BodyKind::Error)),
        None => Err(gap()),
    }
}

/// The failure for a state that the rows do not tell.
#[must_use]
pub fn gap() -> Error {
    Error::blocked("Could not reconstruct flag at timestamp due to incomplete history.")
        .with_body(BodyKind::Error)
}

/// The flag as it was at a moment at which it was not deleted. Its key is the one of now, so
/// that people stay in their buckets.
#[must_use]
pub fn as_it_was(now: &FeatureFlag, then: FlagVersion) -> FeatureFlag {
    FeatureFlag { key: now.key.clone(), deleted: false, ..then.flag }
}

/// What came of a test.
#[derive(Clone, Debug, PartialEq)]
pub struct Tested {
    /// The flag's key.
    pub flag_key: String,
    /// A variant's key, or a boolean.
    pub result: Value,
    /// One of the documented codes.
    pub reason: &'static str,
    /// The reason in words.
    pub reason_description: String,
    /// The condition that the reason speaks of.
    pub condition_index: Option<u32>,
    /// The payload of the result, as JSON text.
    pub payload: Option<String>,
    /// Of the person's properties those that the conditions name.
    pub person_properties: Object,
    /// The distinct id of the request; `None` where there was none.
    pub evaluation_distinct_id: Option<String>,
    /// One for each condition, in stored order.
    pub conditions: Vec<TestedCondition>,
}

/// What came of one condition.
#[derive(Clone, Debug, PartialEq)]
pub struct TestedCondition {
    /// Its position, from 0.
    pub index: u32,
    /// Whether it decided; true for one at most.
    pub matched: bool,
    /// Whether all of its properties hold.
    pub properties_matched: bool,
    /// Why, in words.
    pub explanation: String,
    /// 0 to 100.
    pub rollout_percentage: f64,
    /// Whether its properties hold, and the rollout leaves the person out.
    pub rollout_excluded: bool,
    /// The variant that it asks for.
    pub variant: Option<String>,
    /// One for each of its properties, in stored order.
    pub properties: Vec<TestedProperty>,
}

/// What came of one property of a condition.
#[derive(Clone, Debug, PartialEq)]
pub struct TestedProperty {
    /// What it reads.
    pub key: String,
    /// How it compares.
    pub operator: String,
    /// What with; null where it names nothing.
    pub value: Value,
    /// Where it looks: `person`, `group`, `cohort`, `flag` or `person_metadata`.
    pub kind: &'static str,
    /// What was found there; `None` if nothing was, or it is not to be told.
    pub actual_value: Option<Value>,
    /// Whether it holds.
    pub matched: bool,
    /// Why, in words.
    pub explanation: String,
}

impl Tested {
    /// The documented fields, in their order, and the reason in words.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "flag_key": self.flag_key,
            "result": self.result,
            "reason": self.reason,
            "condition_index": self.condition_index,
            "payload": self.payload,
            "person_properties": self.person_properties,
            "evaluation_distinct_id": self.evaluation_distinct_id,
            "conditions": self.conditions.iter().map(TestedCondition::to_json).collect::<Vec<_>>(),
            "reason_description": self.reason_description,
        })
    }
}

impl TestedCondition {
    fn to_json(&self) -> Value {
        json!({
            "index": self.index,
            "matched": self.matched,
            "properties_matched": self.properties_matched,
            "explanation": self.explanation,
            "rollout_percentage": self.rollout_percentage,
            "rollout_excluded": self.rollout_excluded,
            "variant": self.variant,
            "properties": self.properties.iter().map(TestedProperty::to_json).collect::<Vec<_>>(),
        })
    }
}

impl TestedProperty {
    fn to_json(&self) -> Value {
        json!({
            "key": self.key,
            "operator": self.operator,
            "value": self.value,
            "type": self.kind,
            "actual_value": self.actual_value,
            "matched": self.matched,
            "explanation": self.explanation,
        })
    }
}

#[cfg(test)]
mod tests;
