//! A cohort: a named set of persons, listed or described.
//!
//! A static cohort lists its members; any other describes them by a tree of
//! property filters, which may refer to further cohorts. What may be written
//! is judged in [`write`](mod@write), the tree in [`tree`], and what a cohort refers to
//! and is used by in [`others`].

pub mod criteria;
pub mod members;
pub mod others;
pub mod tree;
pub mod write;

use chrono::{DateTime, Utc};
use serde_json::Value;

/// A cohort as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cohort {
    /// What filters refer to.
    pub id: i64,
    /// The project it belongs to.
    pub project_id: i64,
    /// For people; not unique.
    pub name: String,
    /// Text for people; may be empty.
    pub description: String,
    /// Whether its members are listed, or found by `filters`.
    pub is_static: bool,
    /// `{"properties": tree}`, exactly as sent; the empty object for a static cohort.
    pub filters: Value,
    /// How many members a static cohort has; `None` where nobody counted.
    pub count: Option<i64>,
    /// Softly deleted: hidden, and kept.
    pub deleted: bool,
    /// When it was made.
    pub created_at: DateTime<Utc>,
}
