//! `feature_flag`: a flag as it now is.
//!
//! Earlier states are rebuilt from `activity_log`. The last columns repeat what queries
//! need of `filters`; the transaction that writes one writes both.

use sea_orm::entity::prelude::*;

/// A feature flag, live or softly deleted.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "feature_flag")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
    /// Up to 400 characters, unique in its project, softly deleted flags included.
    pub key: String,
    /// The description people read; it is called a name for history.
    pub name: String,
    /// JSON object, as normalised when it was written.
    pub filters: String,
    /// Softly deleted: not evaluated, and kept for its history.
    pub deleted: bool,
    /// Whether it is evaluated at all.
    pub active: bool,
    /// Put away; an archived flag is never active.
    pub archived: bool,
    /// Raised by each change, counted under the row's lock; null on rows from
    /// before versions.
    pub version: Option<i64>,
    /// Null when no user made it, or that user is gone.
    pub created_by_id: Option<i64>,
    /// Null when no user changed it, or that user is gone.
    pub last_modified_by_id: Option<i64>,
    /// When it was made, as far as its maker said.
    pub created_at: DateTimeUtc,
    /// Set by every save.
    pub updated_at: Option<DateTimeUtc>,
    /// Whether a person keeps their variant across a login.
    pub ensure_experience_continuity: Option<bool>,
    /// JSON that is kept and given back, and never acted on.
    pub rollback_conditions: Option<String>,
    /// Kept for clients; any write that activates the flag makes it false.
    pub performed_rollback: Option<bool>,
    /// The generated dashboard; null when there is none, or its row is gone.
    pub usage_dashboard_id: Option<i64>,
    /// Whether events of viewing or interacting with the feature were seen.
    pub has_enriched_analytics: Option<bool>,
    /// Whether it only delivers its payload.
    pub is_remote_configuration: Option<bool>,
    /// Whether the payloads in `filters` are ciphertext.
    pub has_encrypted_payloads: Option<bool>,
    /// `server`, `client` or `all`; null reads as `all`.
    pub evaluation_runtime: Option<String>,
    /// `distinct_id` or `device_id`; null reads as `distinct_id`.
    pub bucketing_identifier: Option<String>,
    /// The newest `$feature_flag_called` event; never moves back, never raises a
    /// revision.
    pub last_called_at: Option<DateTimeUtc>,
    /// Made by the service for itself, and left out of lists.
    pub internal: bool,
    /// Activity rows of this flag.
    pub activity_count: i64,
    /// Whether `filters` is multivariate.
    pub has_variants: bool,
    /// Whether `filters` gives everyone the same answer.
    pub fully_rolled_out: bool,
    /// What list searches match in, in lower case.
    pub search_text: String,
}

/// The joins that start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The user who made the flag.
    #[sea_orm(
        belongs_to = "super::user::Entity",
        from = "Column::CreatedById",
        to = "super::user::Column::Id"
    )]
    CreatedBy,
    /// The user who last changed the flag.
    #[sea_orm(
        belongs_to = "super::user::Entity",
        from = "Column::LastModifiedById",
        to = "super::user::Column::Id"
    )]
    LastModifiedBy,
}

impl ActiveModelBehavior for ActiveModel {}
