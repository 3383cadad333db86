//! Groups: companies and the like, which flags can go by.

use chrono::{DateTime, Utc};

use super::json::Object;

/// How many group types a project may have; their indexes begin with 0.
pub const MOST_TYPES: i32 = 5;

/// A kind of group, such as `company`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupType {
    /// What `filters` name it by, `0..=4`.
    pub index: i32,
    /// What requests and events name it by.
    pub name: String,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its type.
    pub type_index: i32,
    /// Unique among the groups of its type.
    pub key: String,
    /// As they now are.
    pub properties: Object,
    /// When it was first seen.
    pub created_at: DateTime<Utc>,
}
