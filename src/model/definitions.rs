//! What a project's flags are decided by, as it was at one moment.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{flag::FeatureFlag, project::Project};

/// A project's definitions, for whoever evaluates them elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Definitions {
    /// The project, at the revision that all of this belongs to.
    pub project: Project,
    /// The flags that others may know: neither deleted, nor encrypted, nor made by the service
    /// for itself. Sorted by key.
    pub flags: Vec<FeatureFlag>,
    /// The property trees of the cohorts that are described by one, by id.
    pub cohorts: BTreeMap<i64, Value>,
    /// Group type names by index.
    pub group_types: BTreeMap<i64, String>,
}
