//! `user`: a person who manages flags, not one who is evaluated.
//!
//! The name is a reserved word; SeaORM quotes it everywhere.

use sea_orm::entity::prelude::*;

/// A member of an organization.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "user")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The id that API answers show beside `id`. Unique.
    pub uuid: Uuid,
    /// The organization it belongs to; the user goes with it.
    pub organization_id: i64,
    /// Unique over all organizations.
    pub email: String,
    /// May be empty.
    pub first_name: String,
    /// May be empty.
    pub last_name: String,
    /// The id under which the user's own events would be sent.
    pub distinct_id: String,
    /// Null when nobody ever asked.
    pub is_email_verified: Option<bool>,
    /// When the row was made.
    pub created_at: DateTimeUtc,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
