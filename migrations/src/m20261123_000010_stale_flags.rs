//! What lists of stale flags are counted by.
//!
//! Other lists are chosen in memory. When a flag was called changes without a revision, so memory
//! does not follow it, and the database counts: flags called before an instant, and those never
//! called that were made before it and give everyone the same, are a range of this index each.
//! It takes the place of one that had no other use.

use sea_orm_migration::prelude::*;

const STALE: &str = "feature_flag_stale_idx";
const CALLED: &str = "feature_flag_project_id_last_called_at_idx";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            "project_id",
            "deleted",
            "internal",
            "archived",
            "active",
            "last_called_at",
            "fully_rolled_out",
            "created_at",
        ];
        manager.create_index(over(STALE, &columns)).await?;
        manager.drop_index(Index::drop().name(CALLED).table("feature_flag").to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(over(CALLED, &["project_id", "last_called_at"])).await?;
        manager.drop_index(Index::drop().name(STALE).table("feature_flag").to_owned()).await
    }
}

fn over(name: &str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create().name(name).table("feature_flag").take();
    for column in columns {
        index.col(*column);
    }
    index
}
