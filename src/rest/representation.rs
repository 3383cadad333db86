//! The documented JSON of a flag, an activity row and a project.

use serde_json::{Value, json};

use crate::model::{
    activity::Activity, fields::timestamp, flag::User, project::Project, shown::ShownFlag,
};

/// A flag, field by field in the documented order (management-api 3.2).
pub(super) fn flag(shown: &ShownFlag) -> Value {
    let flag = &shown.flag;
    json!({
        "id": flag.id,
        "name": flag.name,
        "key": flag.key,
        "filters": flag.filters,
        "deleted": flag.deleted,
        "active": flag.active,
        "created_by": flag.created_by.as_ref().map(user),
        "created_at": timestamp(flag.created_at),
        "updated_at": flag.updated_at.map(timestamp),
        "version": flag.version,
        "last_modified_by": flag.last_modified_by.as_ref().map(user),
        "ensure_experience_continuity": flag.ensure_experience_continuity,
        "experiment_set": [],
        "experiment_set_metadata": [],
        "surveys": [],
        "features": [],
        "rollback_conditions": flag.rollback_conditions,
        "performed_rollback": flag.performed_rollback,
        "can_edit": shown.can_edit,
        "tags": flag.tags,
        "evaluation_contexts": flag.evaluation_contexts,
        "usage_dashboard": flag.usage_dashboard,
        "analytics_dashboards": flag.analytics_dashboards,
        "has_enriched_analytics": flag.has_enriched_analytics,
        "user_access_level": shown.access_level(),
        "is_remote_configuration": flag.is_remote_configuration,
        "has_encrypted_payloads": flag.has_encrypted_payloads,
        "status": shown.status.upper(),
        "evaluation_runtime": flag.evaluation_runtime,
        "bucketing_identifier": flag.bucketing_identifier,
        "last_called_at": flag.last_called_at.map(timestamp),
        "is_used_in_replay_settings": false,
        "archived": flag.archived,
    })
}

fn user(user: &User) -> Value {
    json!({
        "id": user.id,
        "uuid": user.uuid,
        "distinct_id": user.distinct_id,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "is_email_verified": user.is_email_verified,
        "hedgehog_config": null,
        "role_at_organization": null,
    })
}

/// An activity row (management-api 4.6).
pub(super) fn activity(row: &Activity) -> Value {
    let user = row.user.as_ref().map_or_else(
        || json!({"first_name": "System", "email": null, "is_system": true}),
        |user| json!({"first_name": user.first_name, "email": user.email}),
    );
    json!({
        "id": row.id,
        "user": user,
        "activity": row.activity,
        "scope": row.scope,
        "item_id": row.item_id,
        "detail": row.detail,
        "created_at": timestamp(row.created_at),
    })
}

/// A project (architecture 2).
pub(super) fn project(project: &Project) -> Value {
    json!({
        "id": project.id,
        "name": project.name,
        "organization_id": project.organization_id,
        "api_token": project.api_token,
        "timezone": project.timezone,
        "property_matching_version": project.property_matching_version,
        "feature_flag_limit": project.feature_flag_limit,
        "require_evaluation_contexts": project.require_evaluation_contexts,
        "created_at": timestamp(project.created_at),
    })
}
