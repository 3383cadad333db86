//! What changed at each revision of a project, deletions included.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, text};

use crate::shapes::{created_at, drop_tables, of_project};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(change_log()).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["change_log"]).await
    }
}

fn change_log() -> TableCreateStatement {
    of_project("change_log")
        .col(big_integer("revision"))
        .col(text("kind"))
        .col(text("item_id"))
        .col(boolean("deleted").default(false).take())
        .col(created_at())
        .primary_key(Index::create().col("project_id").col("revision").col("kind").col("item_id"))
        .take()
}
