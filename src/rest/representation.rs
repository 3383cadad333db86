//! The documented JSON of an activity row, a dashboard, a project, a person and a cohort; a flag's is
//! [`ShownFlag::to_json`](crate::model::shown::ShownFlag::to_json).

use serde_json::{Value, json};

use crate::model::{
    activity::Activity,
    cohort::Cohort,
    dashboard::{Chart, ShownDashboard, Tile},
    fields::timestamp,
    person::Person,
    project::Project,
};

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

/// A dashboard with its numbers (architecture 2).
pub(super) fn dashboard(shown: &ShownDashboard) -> Value {
    let dashboard = &shown.dashboard;
    let tiles = dashboard.tiles.iter().zip(&shown.charts).map(tile);
    json!({
        "id": dashboard.id,
        "name": dashboard.name,
        "description": dashboard.description,
        "tags": dashboard.tags,
        "tiles": tiles.collect::<Vec<_>>(),
    })
}

fn tile((tile, chart): (&Tile, &Chart)) -> Value {
    let series = chart.series.iter().map(|line| json!({"label": line.label, "data": line.data}));
    json!({
        "id": tile.id,
        "insight": {
            "name": tile.name,
            "description": tile.description,
            "query": tile.query,
            "result": {"labels": chart.labels, "series": series.collect::<Vec<_>>()},
        },
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
        "strict_writes": project.strict_writes,
        "created_at": timestamp(project.created_at),
    })
}

/// A person (architecture 2).
pub(super) fn person(person: &Person) -> Value {
    json!({
        "id": person.id,
        "uuid": person.uuid,
        "distinct_ids": person.distinct_ids,
        "properties": person.properties,
        "created_at": timestamp(person.created_at),
    })
}

/// A cohort (architecture 2).
pub(super) fn cohort(cohort: &Cohort) -> Value {
    json!({
        "id": cohort.id,
        "name": cohort.name,
        "description": cohort.description,
        "is_static": cohort.is_static,
        "filters": cohort.filters,
        "count": cohort.count,
        "deleted": cohort.deleted,
        "created_at": timestamp(cohort.created_at),
    })
}
