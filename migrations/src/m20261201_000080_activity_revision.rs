//! Activity in the order of its commits, whatever the clocks said.
//!
//! A row is of the revision that its change led to, which grows under the project's lock. Rows from
//! before are of revision 0, and among each other stay in the order of their times.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

use crate::shapes::index;

const TABLE: &str = "activity_log";
const COLUMN: &str = "revision";
/// The name of an index, and the column that narrows it to one item or one user.
const ORDERED: [(&str, Option<&str>); 3] = [
    ("activity_log_revision_idx", None),
    ("activity_log_item_revision_idx", Some("item_id")),
    ("activity_log_user_revision_idx", Some("user_id")),
];
/// What these replace; the index of all rows by time stays, for ranges of time.
const REPLACED: [(&str, [&str; 5]); 2] = [
    (
        "activity_log_project_id_scope_item_id_created_at_id_idx",
        ["project_id", "scope", "item_id", "created_at", "id"],
    ),
    (
        "activity_log_project_id_scope_user_id_created_at_id_idx",
        ["project_id", "scope", "user_id", "created_at", "id"],
    ),
];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let revision = big_integer(COLUMN).default(0).take();
        let table = Table::alter().table(TABLE).add_column(revision).take();
        manager.alter_table(table).await?;
        for (name, narrowed) in ORDERED {
            manager.create_index(ordered(name, narrowed)).await?;
        }
        for (name, _) in REPLACED {
            drop_index(manager, name).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (_, columns) in REPLACED {
            manager.create_index(index(TABLE, &columns)).await?;
        }
        for (name, _) in ORDERED {
            drop_index(manager, name).await?;
        }
        manager.alter_table(Table::alter().table(TABLE).drop_column(COLUMN).take()).await
    }
}

/// An index in the order that rows are listed in.
fn ordered(name: &str, narrowed: Option<&'static str>) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table(TABLE).take();
    for column in ["project_id", "scope"].into_iter().chain(narrowed) {
        index.col(column);
    }
    index.col(COLUMN).col("created_at").col("id").take()
}

async fn drop_index(manager: &SchemaManager<'_>, name: &str) -> Result<(), DbErr> {
    manager.drop_index(Index::drop().name(name).table(TABLE).to_owned()).await
}
