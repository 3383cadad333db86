//! Projects on their way out to gRPC, and their wanted settings on the way in.

use prost_types::FieldMask;
use serde_json::Value;

use super::{
    mask::{Field, masked},
    values::timestamp,
};
use crate::{
    model::{self, error::Result, json::Object},
    wire::v1::{Project, ProjectInput},
};

/// A project as a message.
#[must_use]
pub fn project(project: model::project::Project) -> Project {
    Project {
        id: project.id,
        name: project.name,
        organization_id: project.organization_id,
        api_token: project.api_token,
        timezone: project.timezone,
        property_matching_version: project.property_matching_version,
        feature_flag_limit: i32::try_from(project.feature_flag_limit).unwrap_or(i32::MAX),
        require_evaluation_contexts: project.require_evaluation_contexts,
        strict_writes: project.strict_writes,
        created_at: Some(timestamp(project.created_at)),
    }
}

/// The settings that a creation or an update wants, as a REST body has them.
///
/// # Errors
///
/// `Invalid` on `update_mask` for a name that no setting has.
pub fn project_body(input: Option<ProjectInput>, mask: Option<FieldMask>) -> Result<Object> {
    let input = input.unwrap_or_default();
    let fields: [Field; 6] = [
        ("name", "name", input.name.map(Value::from)),
        ("timezone", "timezone", input.timezone.map(Value::from)),
        (
            "property_matching_version",
            "property_matching_version",
            input.property_matching_version.map(Value::from),
        ),
        ("feature_flag_limit", "feature_flag_limit", input.feature_flag_limit.map(Value::from)),
        (
            "require_evaluation_contexts",
            "require_evaluation_contexts",
            input.require_evaluation_contexts.map(Value::from),
        ),
        ("strict_writes", "strict_writes", input.strict_writes.map(Value::from)),
    ];
    Ok(masked(&fields, mask)?.0)
}
