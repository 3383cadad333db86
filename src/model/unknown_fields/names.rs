//! The names that written objects may hold: one registry for both edges.
//!
//! Clients send back what they read, so the fields that only answers hold are here too, as are
//! those that clients of the reference send.

use serde_json::Value;

/// The names that an object may hold.
#[derive(Debug)]
pub struct Shape {
    pub(super) names: &'static [&'static str],
    /// Names of older generations that say nothing while they are null, and would be read by nobody
    /// otherwise.
    null_names: &'static [&'static str],
    nested: &'static [(&'static str, Nested)],
}

/// What a named member holds.
#[derive(Debug)]
pub(super) enum Nested {
    /// An object.
    Object(&'static Shape),
    /// A list of objects.
    List(&'static Shape),
}

impl Shape {
    pub(super) fn takes(&self, name: &str, value: &Value) -> bool {
        self.names.contains(&name) || (value.is_null() && self.null_names.contains(&name))
    }

    pub(super) fn nested(&self, name: &str) -> Option<&'static Nested> {
        self.nested.iter().find(|(member, _)| *member == name).map(|(_, nested)| nested)
    }
}

/// A flag (management-api 3.2 and 3.3).
pub static FLAG: Shape = Shape {
    names: &[
        "id",
        "key",
        "name",
        "filters",
        "deleted",
        "active",
        "archived",
        "version",
        "original_flag",
        "created_by",
        "created_at",
        "updated_at",
        "last_modified_by",
        "ensure_experience_continuity",
        "experiment_set",
        "experiment_set_metadata",
        "surveys",
        "features",
        "rollback_conditions",
        "performed_rollback",
        "can_edit",
        "tags",
        "evaluation_contexts",
        "evaluation_tags",
        "usage_dashboard",
        "analytics_dashboards",
        "has_enriched_analytics",
        "user_access_level",
        "creation_context",
        "is_remote_configuration",
        "has_encrypted_payloads",
        "status",
        "evaluation_runtime",
        "bucketing_identifier",
        "last_called_at",
        "is_used_in_replay_settings",
        "is_simple_flag",
        "team_id",
        "personal_api_key",
        "_create_in_folder",
        "_should_create_usage_dashboard",
    ],
    null_names: &["rollout_percentage"],
    nested: &[("filters", Nested::Object(&FILTERS))],
};

/// The filters of a flag (management-api 3.4). Payloads have keys of their own.
static FILTERS: Shape = Shape {
    names: &[
        "groups",
        "multivariate",
        "payloads",
        "aggregation_group_type_index",
        "holdout",
        "feature_enrollment",
        "early_exit",
        "super_groups",
        "holdout_groups",
        "version",
    ],
    null_names: &[],
    nested: &[
        ("groups", Nested::List(&CONDITION)),
        ("super_groups", Nested::List(&CONDITION)),
        ("holdout_groups", Nested::List(&CONDITION)),
        ("multivariate", Nested::Object(&MULTIVARIATE)),
        ("holdout", Nested::Object(&HOLDOUT)),
    ],
};

static CONDITION: Shape = Shape {
    names: &[
        "properties",
        "rollout_percentage",
        "variant",
        "aggregation_group_type_index",
        "description",
        "sort_key",
        "users_affected",
    ],
    null_names: &[],
    nested: &[("properties", Nested::List(&PROPERTY))],
};

static PROPERTY: Shape = Shape {
    names: &[
        "key",
        "type",
        "operator",
        "value",
        "group_type_index",
        "negation",
        "label",
        "cohort_name",
        "group_key_names",
        "dependency_chain",
    ],
    null_names: &[],
    nested: &[],
};

static MULTIVARIATE: Shape = Shape {
    names: &["variants"],
    null_names: &[],
    nested: &[("variants", Nested::List(&VARIANT))],
};

static VARIANT: Shape = Shape {
    names: &["key", "name", "rollout_percentage", "description"],
    null_names: &[],
    nested: &[],
};

static HOLDOUT: Shape =
    Shape { names: &["id", "exclusion_percentage"], null_names: &[], nested: &[] };

/// A cohort.
pub static COHORT: Shape = Shape {
    names: &[
        "id",
        "name",
        "description",
        "is_static",
        "filters",
        "count",
        "deleted",
        "created_at",
        "created_by",
        "groups",
        "query",
        "is_calculating",
        "last_calculation",
        "errors_calculating",
        "last_error_message",
        "experiment_set",
        "cohort_type",
        "version",
        "pending_version",
        "_create_in_folder",
        "_create_static_person_ids",
    ],
    null_names: &[],
    nested: &[("filters", Nested::Object(&COHORT_FILTERS))],
};

static COHORT_FILTERS: Shape = Shape {
    names: &["properties", "groups"],
    null_names: &[],
    nested: &[("properties", Nested::Object(&NODE)), ("groups", Nested::List(&OLDER_GROUP))],
};

/// A tree, or one of its leaves; those about events are stored and not evaluated.
static NODE: Shape = Shape {
    names: &[
        "type",
        "values",
        "key",
        "operator",
        "value",
        "negation",
        "label",
        "group_type_index",
        "cohort_name",
        "bytecode",
        "bytecode_error",
        "conditionHash",
        "event_type",
        "event_filters",
        "time_value",
        "time_interval",
        "operator_value",
        "explicit_datetime",
        "explicit_datetime_to",
        "seq_event",
        "seq_event_type",
        "seq_time_value",
        "seq_time_interval",
        "total_periods",
        "min_periods",
    ],
    null_names: &[],
    nested: &[("values", Nested::List(&NODE))],
};

/// A group of a cohort older than trees; its properties may be a map of values by any name.
static OLDER_GROUP: Shape = Shape {
    names: &[
        "properties",
        "event_id",
        "action_id",
        "days",
        "count",
        "count_operator",
        "start_date",
        "end_date",
        "label",
        "name",
        "id",
    ],
    null_names: &[],
    nested: &[("properties", Nested::List(&NODE))],
};

/// A project.
pub static PROJECT: Shape = Shape {
    names: &[
        "id",
        "organization_id",
        "name",
        "api_token",
        "timezone",
        "property_matching_version",
        "feature_flag_limit",
        "require_evaluation_contexts",
        "strict_writes",
        "created_at",
    ],
    null_names: &[],
    nested: &[],
};
