//! A flag's versions on their way out to gRPC.

use super::{
    filters,
    values::{timestamp, to_wire},
};
use crate::{
    model::history,
    wire::v1::{FeatureFlagVersion, FeatureFlagVersionSummary},
};

/// A flag at one version as a message.
#[must_use]
pub fn version(version: history::FlagVersion) -> FeatureFlagVersion {
    let flag = version.flag;
    FeatureFlagVersion {
        id: flag.id,
        key: flag.key,
        name: flag.name,
        filters: Some(filters::to_message(&flag.filters)),
        filters_json: flag.filters.to_string(),
        active: flag.active,
        deleted: flag.deleted,
        version: flag.version.unwrap_or_default(),
        rollback_conditions: (!flag.rollback_conditions.is_null())
            .then(|| to_wire(&flag.rollback_conditions)),
        rollback_conditions_json: flag.rollback_conditions.to_string(),
        performed_rollback: flag.performed_rollback,
        ensure_experience_continuity: flag.ensure_experience_continuity,
        has_enriched_analytics: flag.has_enriched_analytics,
        is_remote_configuration: flag.is_remote_configuration,
        has_encrypted_payloads: flag.has_encrypted_payloads,
        evaluation_runtime: flag.evaluation_runtime,
        bucketing_identifier: flag.bucketing_identifier,
        last_called_at: flag.last_called_at.map(timestamp),
        created_at: Some(timestamp(flag.created_at)),
        created_by: flag.created_by.map(|user| user.id),
        is_historical: version.is_historical,
        version_timestamp: Some(timestamp(version.at)),
        modified_by: version.by,
    }
}

/// A line of a flag's history as a message.
#[must_use]
pub fn version_summary(line: history::VersionSummary) -> FeatureFlagVersionSummary {
    FeatureFlagVersionSummary {
        version: line.version,
        version_timestamp: Some(timestamp(line.at)),
        modified_by: line.by,
        activity: line.activity,
        changed_fields: line.changed_fields,
        is_current: line.is_current,
    }
}
