//! `api_key`: credentials other than the public project token.
//!
//! Only a hash is kept, so a copy of the database opens nothing.

use sea_orm::entity::prelude::*;

/// A personal or project secret key.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_key")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// `personal` or `project_secret`.
    pub kind: String,
    /// SHA-256 of the whole token, in lower-case hex. Unique.
    pub token_hash: String,
    /// The few characters of the token that lists may show.
    pub token_hint: String,
    /// What its owner calls it.
    pub label: String,
    /// The organization it belongs to; the key goes with it.
    pub organization_id: i64,
    /// Whom a personal key acts for; null for a project secret key. The key goes
    /// with the user.
    pub user_id: Option<i64>,
    /// Whether it opens every project of the organization, or only those in
    /// `api_key_project`.
    pub all_projects: bool,
    /// JSON array of scope names, such as `feature_flag:read`.
    pub scopes: String,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// From when it opens nothing; null for never.
    pub expires_at: Option<DateTimeUtc>,
    /// When it was withdrawn; null while it may be used.
    pub revoked_at: Option<DateTimeUtc>,
    /// About when it was last accepted; null before the first use.
    pub last_used_at: Option<DateTimeUtc>,
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
