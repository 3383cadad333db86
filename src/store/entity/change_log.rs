//! `change_log`: what changed at each revision of a project.
//!
//! Snapshots are patched from it, and watchers resume by it.

use sea_orm::entity::prelude::*;

/// One thing changed at one revision.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "change_log")]
pub struct Model {
    /// The owning project; the row goes with it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub project_id: i64,
    /// The project's revision that the change led to.
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    /// What kind of thing changed, such as `flag` or `cohort`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub kind: String,
    /// The changed thing's id, as text.
    #[sea_orm(primary_key, auto_increment = false)]
    pub item_id: String,
    /// A tombstone: the thing is gone.
    pub deleted: bool,
    /// When the row was made.
    pub created_at: DateTimeUtc,
    /// The token of the revision; `None` in rows from before there were tokens.
    pub history_token: Option<i64>,
    /// On PostgreSQL the number of the writing transaction, by default; set on one row of each
    /// revision. Empty on SQLite, where rows are in the order of their commits.
    pub transaction_id: Option<i64>,
}

/// No joins start here.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
