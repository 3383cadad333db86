//! `feature_flag_evaluation_context`: the contexts a flag is limited to.

use sea_orm::entity::prelude::*;

/// One context of one flag.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "feature_flag_evaluation_context")]
pub struct Model {
    /// The flag; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub flag_id: i64,
    /// The context; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub evaluation_context_id: i64,
    /// The owning project; the row goes with it.
    pub project_id: i64,
}

/// The joins that start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    /// The context itself, for its name.
    #[sea_orm(
        belongs_to = "super::evaluation_context::Entity",
        from = "Column::EvaluationContextId",
        to = "super::evaluation_context::Column::Id"
    )]
    EvaluationContext,
}

impl Related<super::evaluation_context::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::EvaluationContext.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}
