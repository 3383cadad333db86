//! `activity_log`: who changed what, and how.
//!
//! A row is written in the transaction of its change, and never after, but to redact a payload that
//! became a secret.

use sea_orm::entity::prelude::*;

/// One activity row.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "activity_log")]
pub struct Model {
    /// Chosen by the service.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    /// The owning project; the row goes with it.
    pub project_id: i64,
    /// Null when no user did it, or that user is gone.
    pub user_id: Option<i64>,
    /// The verb, such as `created`, `updated` or `deleted`.
    pub activity: String,
    /// What kind of thing changed, such as `FeatureFlag`.
    pub scope: String,
    /// The changed thing's id, as text; null when the row is about no single thing.
    pub item_id: Option<String>,
    /// The version the change led to; null when it led to none.
    pub version: Option<i64>,
    /// The project's revision that the change led to; 0 for rows older than the column.
    pub revision: i64,
    /// JSON object: the changes, and the thing's name at that time.
    pub detail: String,
    /// Done by the service itself.
    pub is_system: bool,
    /// When the change landed.
    pub created_at: DateTimeUtc,
}

/// The joins that start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The user named by `user_id`.
    #[sea_orm(
        belongs_to = "super::user::Entity",
        from = "Column::UserId",
        to = "super::user::Column::Id"
    )]
    User,
}

impl Related<super::user::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::User.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
