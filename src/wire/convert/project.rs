//! Projects on their way out to gRPC.

use super::values::timestamp;
use crate::{model, wire::v1::Project};

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
        created_at: Some(timestamp(project.created_at)),
    }
}
