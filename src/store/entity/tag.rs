//! `tag`: a project's tags.

use sea_orm::entity::prelude::*;

/// A tag.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tag")]
pub struct Model {
    /// Never reused, not even after the row is gone.
    #[sea_orm(primary_key)]
    pub id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
    /// Unique in its project.
    pub name: String,
}

/// The joins that start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// Where it is used.
    #[sea_orm(has_many = "super::feature_flag_tag::Entity")]
    FeatureFlagTag,
}

impl Related<super::feature_flag_tag::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::FeatureFlagTag.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
