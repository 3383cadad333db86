//! `evaluation_context`: where a project's flags may be evaluated.

use sea_orm::entity::prelude::*;

/// An evaluation context, such as `production`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "evaluation_context")]
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
    #[sea_orm(has_many = "super::feature_flag_evaluation_context::Entity")]
    FeatureFlagEvaluationContext,
}

impl Related<super::feature_flag_evaluation_context::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::FeatureFlagEvaluationContext.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
