//! A flag on its way out to gRPC.

use prost_types::Struct;
use serde_json::Number;

use super::{
    filters,
    values::{timestamp, to_struct, to_wire},
};
use crate::{
    model::{
        flag,
        link::{Link, LinkKind},
        shown::ShownFlag,
        status::{RolloutSummary, Status},
    },
    wire::v1::{
        DependentFlag, ExperimentMetadata, FeatureFlag, FeatureFlagRollout, FeatureFlagStatus,
        MinimalFeatureFlag, User,
    },
};

/// A shown flag as a message.
#[must_use]
pub fn flag(shown: ShownFlag) -> FeatureFlag {
    let status = status(shown.status);
    let access_level = shown.access_level().to_owned();
    let flag = shown.flag;
    let links = flag.links.clone();
    let of_kind = |kind| links.iter().filter(move |link: &&Link| link.is_live(kind));
    FeatureFlag {
        id: flag.id,
        name: flag.name,
        key: flag.key,
        filters: Some(filters::to_message(&flag.filters)),
        filters_json: flag.filters.to_string(),
        deleted: flag.deleted,
        active: flag.active,
        created_by: flag.created_by.map(user),
        created_at: Some(timestamp(flag.created_at)),
        updated_at: flag.updated_at.map(timestamp),
        version: flag.version,
        last_modified_by: flag.last_modified_by.map(user),
        ensure_experience_continuity: flag.ensure_experience_continuity,
        experiment_set: of_kind(LinkKind::Experiment).map(|link| link.ref_id).collect(),
        experiment_set_metadata: of_kind(LinkKind::Experiment).map(experiment).collect(),
        surveys: of_kind(LinkKind::Survey).map(summary).collect(),
        features: of_kind(LinkKind::EarlyAccess).map(summary).collect(),
        rollback_conditions: (!flag.rollback_conditions.is_null())
            .then(|| to_wire(&flag.rollback_conditions)),
        rollback_conditions_json: flag.rollback_conditions.to_string(),
        performed_rollback: flag.performed_rollback,
        can_edit: shown.can_edit,
        tags: flag.tags,
        evaluation_contexts: flag.evaluation_contexts,
        usage_dashboard: flag.usage_dashboard,
        analytics_dashboards: flag.analytics_dashboards,
        has_enriched_analytics: flag.has_enriched_analytics,
        user_access_level: access_level,
        is_remote_configuration: flag.is_remote_configuration,
        has_encrypted_payloads: flag.has_encrypted_payloads,
        status: status.into(),
        evaluation_runtime: flag.evaluation_runtime,
        bucketing_identifier: flag.bucketing_identifier,
        last_called_at: flag.last_called_at.map(timestamp),
        is_used_in_replay_settings: of_kind(LinkKind::Replay).next().is_some(),
        archived: flag.archived,
    }
}

/// What a list of the caller's own values shows of a flag.
#[must_use]
pub fn minimal_flag(shown: ShownFlag) -> MinimalFeatureFlag {
    let flag = shown.flag;
    MinimalFeatureFlag {
        id: flag.id,
        team_id: flag.project_id,
        name: flag.name,
        key: flag.key,
        filters: Some(filters::to_message(&flag.filters)),
        filters_json: flag.filters.to_string(),
        deleted: flag.deleted,
        active: flag.active,
        ensure_experience_continuity: flag.ensure_experience_continuity,
        version: flag.version,
        evaluation_runtime: flag.evaluation_runtime,
        bucketing_identifier: flag.bucketing_identifier,
        evaluation_contexts: flag.evaluation_contexts,
    }
}

/// A flag that reads another, in short.
#[must_use]
pub fn dependent(flag: flag::FeatureFlag) -> DependentFlag {
    DependentFlag { id: flag.id, name: flag.title().to_owned(), key: flag.key }
}

fn experiment(link: &Link) -> ExperimentMetadata {
    ExperimentMetadata {
        id: link.ref_id,
        name: link.name.clone(),
        is_running: Some(link.is_running()),
    }
}

fn summary(link: &Link) -> Struct {
    link.to_json().as_object().map(to_struct).unwrap_or_default()
}

/// A flag's state as a message.
#[must_use]
pub fn status(status: Status) -> FeatureFlagStatus {
    match status {
        Status::Active => FeatureFlagStatus::Active,
        Status::Stale => FeatureFlagStatus::Stale,
        Status::Archived => FeatureFlagStatus::Archived,
        Status::Deleted => FeatureFlagStatus::Deleted,
    }
}

/// How far a flag is rolled out, as a message.
#[must_use]
pub fn rollout_summary(rollout: &RolloutSummary) -> FeatureFlagRollout {
    let percentage = rollout.max_rollout_percentage.as_ref();
    FeatureFlagRollout {
        effectively_full_rollout: rollout.effectively_full_rollout,
        has_targeting_conditions: rollout.has_targeting_conditions,
        max_rollout_percentage: percentage.and_then(Number::as_f64),
        is_multivariate: rollout.is_multivariate,
    }
}

fn user(user: flag::User) -> User {
    User {
        id: user.id,
        uuid: user.uuid.to_string(),
        distinct_id: user.distinct_id,
        first_name: user.first_name,
        last_name: user.last_name,
        email: user.email,
        is_email_verified: user.is_email_verified,
        hedgehog_config: None,
        role_at_organization: None,
    }
}
