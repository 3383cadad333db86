//! `flag_dependency`: which flags read which others, as `filters` say.

use sea_orm::entity::prelude::*;

/// One flag that reads another.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "flag_dependency")]
pub struct Model {
    /// The flag that reads; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub flag_id: i64,
    /// The id that is read. No foreign key: a flag may outlive what it reads.
    #[sea_orm(primary_key, auto_increment = false)]
    pub depends_on_id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
