//! Groups: companies and the like, which flags can go by.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::error::{Error, Result};

pub mod write;

/// The largest index of a group type; a project has at most five (evaluation 7).
pub const LAST_INDEX: i32 = 4;
/// The most group types of a project.
pub const MAX_GROUP_TYPES: usize = 5;

/// A kind of group, such as `company`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupType {
    /// What `filters` name it by, `0..=4`.
    pub index: i32,
    /// What requests and events name it by.
    pub name: String,
    /// What people call one group of it.
    pub name_singular: Option<String>,
    /// What they call several.
    pub name_plural: Option<String>,
}

impl GroupType {
    /// A group type without names for display.
    #[must_use]
    pub fn new(index: i32, name: String) -> Self {
        Self { index, name, name_singular: None, name_plural: None }
    }
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its type.
    pub type_index: i32,
    /// Unique among the groups of its type.
    pub key: String,
    /// As they now are: an object.
    pub properties: Value,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
}

/// The index of a group type, if it can be one.
///
/// # Errors
///
/// `min_value` or `max_value` on `group_type_index`.
pub fn type_index(index: i32) -> Result<i32> {
    let refuse = |code, detail: String| Err(Error::field("group_type_index", code, detail));
    match index {
        ..0 => refuse("min_value", "Ensure this value is greater than or equal to 0.".into()),
        0..=LAST_INDEX => Ok(index),
        _ => {
            refuse("max_value", format!("Ensure this value is less than or equal to {LAST_INDEX}."))
        }
    }
}
