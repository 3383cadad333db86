//! What an event says that is worth keeping: of persons, groups and the use of
//! flags (architecture 4).
//!
//! [`Event::parse`] takes one JSON object in any of the shapes that clients
//! send, and says in words what is wrong with one that it cannot use. An event
//! with nothing to keep is fine: it is counted, and makes no person.
//!
//! **Who becomes a person.** An event with `$set`, `$set_once` or `$unset`, an
//! `$identify`, an alias or a merge is about a person, who is made where there
//! is none. Other events make nobody: what evaluation reads of persons are
//! properties, identities and memberships, and those come with the events named.
//! `$process_person_profile: false` keeps an event from being about a person at
//! all: its person properties are let go, and what would change identities is
//! refused.
//!
//! **When.** See `time::occurred_at`.

mod identity;
mod time;
mod usage;

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

pub use identity::Identity;
pub use time::{Sent, instant};
pub use usage::Usage;

use super::{
    json::{self, MAX_DEPTH, Object},
    property_history::{Change, ChangeKind, MAX_PROPERTIES, MAX_STORED_BYTES},
    stored_id::{MAX_ID_CHARS, stored_id},
};

/// What kind of event it is, for counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// Person properties and nothing else.
    Properties,
    /// `$identify`.
    Identify,
    /// `$create_alias` or `$merge_dangerously`.
    Alias,
    /// `$groupidentify`.
    Group,
    /// A flag was called, viewed or interacted with.
    Usage,
    /// Counted and let go.
    Other,
}

impl EventKind {
    /// The name in metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Properties => "properties",
            Self::Identify => "identify",
            Self::Alias => "alias",
            Self::Group => "group",
            Self::Usage => "usage",
            Self::Other => "other",
        }
    }
}

/// Why an event with half of a surrogate pair is refused.
pub const LONE_SURROGATE: &str = "it holds half of a surrogate pair, which is not text";

/// Properties of a group.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupSet {
    /// The group type's name.
    pub group_type: String,
    /// Which group of that type.
    pub key: String,
    /// A `set`.
    pub change: Change,
}

/// An event, as far as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The sender's id for it, or one that it got on arrival: of two events with one id the first
    /// counts.
    pub uuid: Option<Uuid>,
    /// What kind it is.
    pub kind: EventKind,
    /// Whose it is.
    pub distinct_id: String,
    /// When it happened, at most 23 hours after it arrived.
    pub occurred_at: DateTime<Utc>,
    /// When it arrived.
    pub arrived_at: DateTime<Utc>,
    /// What it says of a person or group, as JSON in bytes.
    pub bytes: usize,
    /// Changes to the person's properties, in the order in which they apply.
    pub changes: Vec<Change>,
    /// Who else the person is.
    pub identity: Option<Identity>,
    /// What it says of a group.
    pub group: Option<GroupSet>,
    /// Which flag was used.
    pub usage: Option<Usage>,
}

impl Event {
    /// Reads an event.
    ///
    /// `unnamed` is what an event without a name is called, on paths that allow that.
    ///
    /// # Errors
    ///
    /// A sentence for people, saying what cannot be used.
    pub fn parse(raw: Value, sent: &Sent, unnamed: Option<&str>) -> Result<Self, String> {
        if json::too_deep(&raw) {
            return Err(format!("it is nested deeper than {MAX_DEPTH} levels"));
        }
        let mut fields = match without_nul(raw) {
            Value::Object(fields) => fields,
            other => return Err(format!("it is a {}, not an object", json::type_name(&other))),
        };
        let mut properties = taken_object(&mut fields, "properties")?;
        let name = name(&mut fields, unnamed)?;
        let distinct_id = distinct_id(&mut fields, &mut properties)?;
        let uuid = uuid(&fields)?;
        let occurred_at = time::occurred_at(&fields, &properties, sent)?;
        let is_about_person = !is_personless(&fields, &properties);
        let change = |kind, properties| Change { kind, properties, occurred_at, event_uuid: uuid };
        let (mut changes, mut bytes) = (Vec::new(), 0);
        if is_about_person && name != "$groupidentify" {
            let (said, size) = person_properties(&mut fields, &mut properties)?;
            changes.extend(said.into_iter().map(|(kind, said)| change(kind, said)));
            bytes = size;
        }
        let identity = Identity::of(&name, &mut fields, &mut properties)?;
        if (identity.is_some() || name == "$identify") && !is_about_person {
            return Err(format!(
                "`{name}` is about a person, and `$process_person_profile` is false"
            ));
        }
        let group = match name.as_str() {
            "$groupidentify" => {
                let (group, size) = group(&mut properties, |said| change(ChangeKind::Set, said))?;
                bytes = size;
                Some(group)
            }
            _ => None,
        };
        let usage = Usage::of(&name, &properties)?;
        let kind = kind(&name, &changes, usage.as_ref());
        let arrived_at = sent.arrived_at;
        Ok(Self {
            uuid,
            kind,
            distinct_id,
            occurred_at,
            arrived_at,
            bytes,
            changes,
            identity,
            group,
            usage,
        })
    }

    /// Gives an event that has no id one, so that writing it twice counts once.
    pub fn identify(&mut self, new_uuid: impl FnOnce() -> Uuid) {
        if self.uuid.is_none() {
            let uuid = new_uuid();
            self.uuid = Some(uuid);
            let of_group = self.group.iter_mut().map(|group| &mut group.change);
            let changes = self.changes.iter_mut().chain(of_group);
            changes.for_each(|change| change.event_uuid = Some(uuid));
        }
    }

    /// How many values it gives.
    #[must_use]
    pub fn property_count(&self) -> usize {
        self.changes
            .iter()
            .filter_map(|change| change.properties.as_object())
            .map(Object::len)
            .sum()
    }

    /// Whether it makes a person where there is none.
    #[must_use]
    pub fn is_about_person(&self) -> bool {
        self.kind == EventKind::Identify || self.identity.is_some() || !self.changes.is_empty()
    }
}

fn kind(name: &str, changes: &[Change], usage: Option<&Usage>) -> EventKind {
    match name {
        "$identify" => EventKind::Identify,
        "$create_alias" | "$merge_dangerously" => EventKind::Alias,
        "$groupidentify" => EventKind::Group,
        _ if usage.is_some() => EventKind::Usage,
        _ if !changes.is_empty() => EventKind::Properties,
        _ => EventKind::Other,
    }
}

/// Takes NUL characters out of every text; PostgreSQL cannot store one.
fn without_nul(value: Value) -> Value {
    fn clean(value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(text.replace('\0', "")),
            Value::Array(items) => items.into_iter().map(clean).collect(),
            Value::Object(fields) => fields
                .into_iter()
                .map(|(name, value)| (name.replace('\0', ""), clean(value)))
                .collect(),
            other => other,
        }
    }
    if json::has_nul(&value) { clean(value) } else { value }
}

/// An object taken out of another; absent or null is the empty one.
fn taken_object(fields: &mut Object, name: &str) -> Result<Object, String> {
    match fields.shift_remove(name) {
        None | Some(Value::Null) => Ok(Object::new()),
        Some(Value::Object(object)) => Ok(object),
        Some(other) => Err(format!("`{name}` is a {}, not an object", json::type_name(&other))),
    }
}

fn name(fields: &mut Object, unnamed: Option<&str>) -> Result<String, String> {
    match (fields.shift_remove("event"), unnamed) {
        (Some(Value::String(name)), _) if !name.trim().is_empty() => Ok(name),
        (None | Some(Value::Null), Some(unnamed)) => Ok(unnamed.to_owned()),
        (None | Some(Value::Null | Value::String(_)), _) => Err("`event` is missing".into()),
        (Some(other), _) => Err(format!("`event` is a {}, not text", json::type_name(&other))),
    }
}

fn distinct_id(fields: &mut Object, properties: &mut Object) -> Result<String, String> {
    let names = ["distinct_id", "$distinct_id"];
    let sent = |from: &mut Object| {
        names.iter().find_map(|name| from.shift_remove(*name).filter(|id| !id.is_null()))
    };
    let id = sent(fields).or_else(|| sent(properties));
    identifier(id.as_ref(), "distinct_id")
}

/// Text or a number that stands for somebody or something.
fn identifier(value: Option<&Value>, name: &str) -> Result<String, String> {
    let text = match value {
        Some(Value::String(text)) if !text.trim().is_empty() => text.clone(),
        Some(Value::Number(number)) => number.to_string(),
        None | Some(Value::Null | Value::String(_)) => return Err(format!("`{name}` is missing")),
        Some(other) => return Err(format!("`{name}` is a {}, not text", json::type_name(other))),
    };
    match stored_id(&text) {
        Some(id) => Ok(id.into_owned()),
        None => Err(format!("`{name}` is longer than {MAX_ID_CHARS} characters")),
    }
}

fn uuid(fields: &Object) -> Result<Option<Uuid>, String> {
    match fields.get("uuid") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => {
            text.parse().map(Some).map_err(|_| "`uuid` is not a UUID".into())
        }
        Some(_) => Err("`uuid` is not a UUID".into()),
    }
}

/// Where a client says that no person is meant.
fn is_personless(fields: &Object, properties: &Object) -> bool {
    let option = fields.get("options").and_then(|options| options.get("process_person_profile"));
    let said = properties.get("$process_person_profile").or(option);
    said.is_some_and(|said| said == false || said == "false")
}

/// What an event says of its person; what stands beside `properties` counts over what is in them.
///
/// Answers also how many bytes that is, as JSON.
fn person_properties(
    fields: &mut Object,
    properties: &mut Object,
) -> Result<(Vec<(ChangeKind, Value)>, usize), String> {
    let mut said = Vec::new();
    for (name, kind) in [("$set", ChangeKind::Set), ("$set_once", ChangeKind::SetOnce)] {
        let mut values = taken_object(properties, name)?;
        values.extend(taken_object(fields, name)?);
        said.push((kind, Value::Object(values)));
    }
    let mut names = unset_names(properties)?;
    names.extend(unset_names(fields)?);
    said.push((ChangeKind::Unset, names.into()));
    said.retain(|(_, said)| !json::is_empty(said));
    let bytes: usize = said.iter().map(|(_, said)| said.to_string().len()).sum();
    let count: usize = said.iter().filter_map(|(_, said)| said.as_object()).map(Object::len).sum();
    match (bytes <= MAX_STORED_BYTES, count <= MAX_PROPERTIES) {
        (true, true) => Ok((said, bytes)),
        (false, _) => {
            Err(format!("its person properties are larger than {MAX_STORED_BYTES} bytes"))
        }
        (_, false) => Err(format!("it has more than {MAX_PROPERTIES} person properties")),
    }
}

/// The names to unset: a list, or the keys of an object.
fn unset_names(fields: &mut Object) -> Result<Vec<Value>, String> {
    let names = match fields.shift_remove("$unset") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(names)) => names,
        Some(Value::Object(named)) => named.into_iter().map(|(name, _)| name.into()).collect(),
        Some(_) => return Err("`$unset` is not a list of names".into()),
    };
    match names.iter().all(Value::is_string) {
        true => Ok(names),
        false => Err("`$unset` is not a list of names".into()),
    }
}

fn group(
    properties: &mut Object,
    change: impl FnOnce(Value) -> Change,
) -> Result<(GroupSet, usize), String> {
    let group_type = identifier(properties.get("$group_type"), "$group_type")?;
    let key = identifier(properties.get("$group_key"), "$group_key")?;
    let values = taken_object(properties, "$group_set")?;
    if values.len() > MAX_PROPERTIES {
        return Err(format!("`$group_set` has more than {MAX_PROPERTIES} properties"));
    }
    let values = Value::Object(values);
    let bytes = values.to_string().len();
    match bytes <= MAX_STORED_BYTES {
        true => Ok((GroupSet { group_type, key, change: change(values) }, bytes)),
        false => Err(format!("`$group_set` is larger than {MAX_STORED_BYTES} bytes")),
    }
}

#[cfg(test)]
mod tests;
