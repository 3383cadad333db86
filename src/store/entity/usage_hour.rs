//! `usage_hour`: how often flags were called, by the hour.

use sea_orm::entity::prelude::*;

/// One hour's calls with one answer.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "usage_hour")]
pub struct Model {
    /// The owning project; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub project_id: i64,
    /// The flag, by key as the event named it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub flag_key: String,
    /// The event's name, such as `$feature_flag_called`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub event: String,
    /// What the flag answered: a variant key, `true` or `false`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub variant: String,
    /// The start of the hour, UTC.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hour: DateTimeUtc,
    /// Calls in that hour.
    pub count: i64,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
