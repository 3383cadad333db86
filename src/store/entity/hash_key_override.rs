//! `hash_key_override`: what keeps a person's variant across a login.

use sea_orm::entity::prelude::*;

/// One person's fixed hash key for one flag.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "hash_key_override")]
pub struct Model {
    /// The owning project; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub project_id: i64,
    /// The person; the row goes with them.
    #[sea_orm(primary_key, auto_increment = false)]
    pub person_id: i64,
    /// The flag, by key: the override outlives a flag's row.
    #[sea_orm(primary_key, auto_increment = false)]
    pub feature_flag_key: String,
    /// What is hashed in place of the distinct id.
    pub hash_key: String,
    /// When the row was made.
    pub created_at: DateTimeUtc,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
