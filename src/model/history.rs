//! A flag as it was at an earlier version, rebuilt from the present one and its
//! activity rows (management-api 4.5).
//!
//! Rows say what each change replaced, so going back is undoing: of each
//! field, what the oldest undone change replaced is what it was. A version
//! whose row is missing makes every state before it unknown; that is told,
//! never guessed.

use std::{borrow::Cow, collections::HashSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    encrypted::redaction,
    error::{BodyKind, Error, Result},
    fields::{self, timestamp},
    flag::{FeatureFlag, User},
    json::{self, Object},
};

/// One activity row of a flag, as far as history needs it.
#[derive(Clone, Debug)]
pub struct Step {
    /// The version it led to; `None` for a change that counts none.
    pub version: Option<i64>,
    /// `created`, `updated`, `deleted` or `restored`.
    pub activity: String,
    /// The row's detail, as stored.
    pub detail: String,
    /// When it was done.
    pub at: DateTime<Utc>,
    /// The number of the user who did it.
    pub by: Option<i64>,
}

/// A flag at one version.
#[derive(Clone, Debug, PartialEq)]
pub struct FlagVersion {
    /// The flag with its tracked fields as they were; labels and links are those of now.
    pub flag: FeatureFlag,
    /// Whether it is another version than the current one.
    pub is_historical: bool,
    /// When the version came to be.
    pub at: DateTime<Utc>,
    /// The number of the user who made it.
    pub by: Option<i64>,
}

/// What a flag's rows up to a moment say of it then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// The version that the newest row with one led to.
    pub version: Option<i64>,
    /// Whether the newest deletion or restoration was a deletion.
    pub is_deleted: bool,
}

/// One line of a flag's history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionSummary {
    /// The version.
    pub version: i64,
    /// When it came to be.
    pub at: DateTime<Utc>,
    /// The number of the user who made it.
    pub by: Option<i64>,
    /// `created`, `updated`, `deleted` or `restored`.
    pub activity: String,
    /// The fields that changed, `version` left out.
    pub changed_fields: Vec<String>,
    /// Whether it is the version in force.
    pub is_current: bool,
}

/// Where a wanted version lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// It is the flag as it stands.
    Current,
    /// It lies this far back, and steps are needed down to it.
    Past(i64),
}

/// Whether a flag has a history that can be shown.
///
/// # Errors
///
/// `Blocked` for remote configurations and encrypted flags, whose history would tell secrets.
pub fn check_readable(flag: &FeatureFlag) -> Result<()> {
    let detail = match (flag.is_remote_configuration, flag.has_encrypted_payloads) {
        (Some(true), _) => "Version history is not available for remote configuration flags.",
        (_, Some(true)) => UNREADABLE,
        _ => return Ok(()),
    };
    Err(Error::blocked(detail).with_body(BodyKind::Detail))
}

const UNREADABLE: &str =
    "Version history is not available for remote configuration or encrypted flags.";

/// Judges a wanted version before anything is read for it.
///
/// # Errors
///
/// In this order: `Blocked` as [`check_readable`], `Unprocessable` for a flag that counts no
/// versions, `NotFound` for a version that it has not.
pub fn target(flag: &FeatureFlag, wanted: i128) -> Result<Target> {
    check_readable(flag)?;
    let no_version = || Error::unprocessable("Flag has no version set").with_body(BodyKind::Detail);
    let current = flag.version.ok_or_else(no_version)?;
    match i64::try_from(wanted) {
        Ok(wanted) if wanted == current => Ok(Target::Current),
        Ok(wanted) if (1..current).contains(&wanted) => Ok(Target::Past(wanted)),
        _ => {
            let detail = format!("Version {wanted} not found (current version is {current})");
            Err(Error::missing(detail).with_body(BodyKind::Detail))
        }
    }
}

/// The version that a body asks for.
///
/// # Errors
///
/// `Invalid` on `version` when it is missing or no whole number.
pub fn wanted(body: &Object) -> Result<i128> {
    let version = body.get("version").ok_or_else(|| fields::required("version"))?;
    fields::integer("version", version).map(i128::from)
}

/// The flag as it stands.
#[must_use]
pub fn current(flag: &FeatureFlag) -> FlagVersion {
    let mut flag = flag.clone();
    flag.filters = normalised(flag.filters);
    let at = flag.updated_at.unwrap_or(flag.created_at);
    let by = flag.last_modified_by.as_ref().map(|user| user.id);
    FlagVersion { flag, is_historical: false, at, by }
}

/// The flag as it was at version `wanted`, by its steps down to there, in any order.
///
/// # Errors
///
/// `Unprocessable` when a step is missing, told twice, or cannot be understood.
pub fn past(flag: &FeatureFlag, wanted: i64, steps: &[Step]) -> Result<FlagVersion> {
    rebuilt(flag, wanted, steps).ok_or_else(|| {
        let detail = format!("Activity log is incomplete. Cannot reconstruct version {wanted}.");
        Error::unprocessable(detail).with_body(BodyKind::Detail)
    })
}

fn rebuilt(flag: &FeatureFlag, wanted: i64, steps: &[Step]) -> Option<FlagVersion> {
    let mut counted: Vec<(i64, &Step)> =
        steps.iter().filter_map(|step| Some((step.version?, step))).collect();
    counted.retain(|(version, _)| *version >= wanted);
    counted.sort_by_key(|(version, _)| *version);
    let (own, undone) = match counted.first() {
        Some((version, step)) if *version == wanted => (Some(*step), &counted[1..]),
        _ => (None, &counted[..]),
    };
    let expected = wanted + 1..=flag.version?;
    if !undone.iter().map(|(version, _)| *version).eq(expected) {
        return None;
    }
    let created_by = flag.created_by.as_ref().map(|user| user.id);
    let (at, by) = match own {
        Some(step) => (step.at, step.by),
        None if wanted == 1 => (flag.created_at, created_by),
        None => return None,
    };
    let mut flag = undo(flag, undone.iter().map(|(_, step)| *step))?;
    flag.version = Some(wanted);
    flag.filters = normalised(flag.filters);
    Some(FlagVersion { flag, is_historical: true, at, by })
}

/// Undoes steps, given oldest first: of each field, the first that is met tells what it was.
fn undo<'s>(flag: &FeatureFlag, steps: impl Iterator<Item = &'s Step>) -> Option<FeatureFlag> {
    let mut flag = flag.clone();
    let mut settled: HashSet<String> = HashSet::new();
    for step in steps {
        let outline: Outline<'_> = json::parse_typed(&step.detail).ok()?;
        if outline.changes.iter().all(|change| settled.contains(change.field.as_ref())) {
            continue;
        }
        let detail: Detail = json::parse_typed(&step.detail).ok()?;
        for change in detail.changes {
            if settled.insert(change.field.clone()) {
                restore(&mut flag, &change.field, change.before)?;
            }
        }
    }
    Some(flag)
}

/// A row's detail with the values passed over, which is most of the work of reading one.
#[derive(Deserialize)]
struct Outline<'a> {
    #[serde(borrow)]
    changes: Vec<Mention<'a>>,
}

#[derive(Deserialize)]
struct Mention<'a> {
    #[serde(borrow)]
    field: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Detail {
    changes: Vec<Undo>,
}

#[derive(Deserialize)]
struct Undo {
    field: String,
    #[serde(default, deserialize_with = "json::deserialize_value")]
    before: Value,
}

/// Sets a field to what a change replaced; what was empty is logged as null. `None` for a value
/// that the field cannot have had. Fields that have no history are passed over.
fn restore(flag: &mut FeatureFlag, field: &str, before: Value) -> Option<()> {
    match field {
        "key" => flag.key = text(before)?.unwrap_or_default(),
        "name" => flag.name = text(before)?.unwrap_or_default(),
        "filters" => flag.filters = before,
        "deleted" => flag.deleted = boolean(&before)?.unwrap_or_default(),
        "active" => flag.active = boolean(&before)?.unwrap_or_default(),
        "rollback_conditions" => flag.rollback_conditions = before,
        "performed_rollback" => flag.performed_rollback = boolean(&before)?,
        "ensure_experience_continuity" => flag.ensure_experience_continuity = boolean(&before)?,
        "has_enriched_analytics" => flag.has_enriched_analytics = boolean(&before)?,
        "is_remote_configuration" => flag.is_remote_configuration = boolean(&before)?,
        "has_encrypted_payloads" => flag.has_encrypted_payloads = boolean(&before)?,
        "evaluation_runtime" => flag.evaluation_runtime = text(before)?,
        "bucketing_identifier" => flag.bucketing_identifier = text(before)?,
        "last_called_at" => {
            flag.last_called_at = fields::nullable(field, &before, fields::datetime).ok()?;
        }
        "archived" => flag.archived = boolean(&before)?.unwrap_or_default(),
        _ => {}
    }
    Some(())
}

fn text(value: Value) -> Option<Option<String>> {
    match value {
        Value::Null => Some(None),
        Value::String(text) => Some(Some(text)),
        _ => None,
    }
}

fn boolean(value: &Value) -> Option<Option<bool>> {
    match value {
        Value::Null => Some(None),
        other => Some(Some(other.as_bool()?)),
    }
}

/// Filters always have groups.
fn normalised(filters: Value) -> Value {
    match filters {
        Value::Object(mut fields) => {
            fields.entry("groups").or_insert_with(|| json!([]));
            Value::Object(fields)
        }
        _ => json!({"groups": []}),
    }
}

impl Step {
    /// The step as a line of the flag's history; `None` for one that led to no version.
    #[must_use]
    pub fn summary(&self, current: Option<i64>) -> Option<VersionSummary> {
        let is_first = self.activity == "created";
        let version = self.version.or(is_first.then_some(1))?;
        let outline: Option<Outline<'_>> = json::parse_typed(&self.detail).ok();
        let fields = outline.into_iter().flat_map(|outline| outline.changes);
        let fields = fields.map(|change| change.field.into_owned());
        Some(VersionSummary {
            version,
            at: self.at,
            by: self.by,
            activity: self.activity.clone(),
            changed_fields: fields.filter(|field| field != "version").collect(),
            is_current: Some(version) == current,
        })
    }
}

impl FlagVersion {
    /// The PATCH that brings a flag back to this state: its configuration, but neither its key
    /// nor what other operations look after.
    ///
    /// # Errors
    ///
    /// `Blocked` for a version whose payloads were encrypted, then or later: its rows do not tell them.
    pub fn as_patch(&self) -> Result<Object> {
        let flag = &self.flag;
        if flag.has_encrypted_payloads == Some(true) || redaction::is_redacted(&flag.filters) {
            return Err(Error::blocked(UNREADABLE).with_body(BodyKind::Detail));
        }
        Ok(Object::from_iter([
            ("name".to_owned(), json!(flag.name)),
            ("filters".to_owned(), flag.filters.clone()),
            ("active".to_owned(), json!(flag.active)),
            ("ensure_experience_continuity".to_owned(), json!(flag.ensure_experience_continuity)),
            ("evaluation_runtime".to_owned(), json!(flag.evaluation_runtime)),
            ("bucketing_identifier".to_owned(), json!(flag.bucketing_identifier)),
        ]))
    }

    /// The documented fields, in their order.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let flag = &self.flag;
        json!({
            "id": flag.id,
            "key": flag.key,
            "name": flag.name,
            "filters": flag.filters,
            "active": flag.active,
            "deleted": flag.deleted,
            "version": flag.version,
            "rollback_conditions": flag.rollback_conditions,
            "performed_rollback": flag.performed_rollback,
            "ensure_experience_continuity": flag.ensure_experience_continuity,
            "has_enriched_analytics": flag.has_enriched_analytics,
            "is_remote_configuration": flag.is_remote_configuration,
            "has_encrypted_payloads": flag.has_encrypted_payloads,
            "evaluation_runtime": flag.evaluation_runtime,
            "bucketing_identifier": flag.bucketing_identifier,
            "last_called_at": flag.last_called_at.map(timestamp),
            "created_at": timestamp(flag.created_at),
            "created_by": flag.created_by.as_ref().map(|user: &User| user.id),
            "is_historical": self.is_historical,
            "version_timestamp": timestamp(self.at),
            "modified_by": self.by,
        })
    }
}

impl VersionSummary {
    /// The line as REST shows it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "version": self.version,
            "version_timestamp": timestamp(self.at),
            "modified_by": self.by,
            "activity": self.activity,
            "changed_fields": self.changed_fields,
            "is_current": self.is_current,
        })
    }
}

#[cfg(test)]
mod tests;
