//! `feature_flag_tag`: which flags bear which tags.

use sea_orm::entity::prelude::*;

/// One tag on one flag.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "feature_flag_tag")]
pub struct Model {
    /// The flag; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub flag_id: i64,
    /// The tag; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub tag_id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
}

/// The joins that start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The tag itself, for its name.
    #[sea_orm(
        belongs_to = "super::tag::Entity",
        from = "Column::TagId",
        to = "super::tag::Column::Id"
    )]
    Tag,
}

impl Related<super::tag::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Tag.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
