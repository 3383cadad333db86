//! Who changed what: the history that answers and old versions are read from.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer_null, boolean, text, text_null, uuid};

use crate::shapes::{created_at, drop_tables, index, of_project, outlives};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(activity_log()).await?;
        manager
            .create_index(index("activity_log", &["project_id", "scope", "created_at", "id"]))
            .await?;
        manager
            .create_index(index(
                "activity_log",
                &["project_id", "scope", "item_id", "created_at", "id"],
            ))
            .await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["activity_log"]).await
    }
}

/// `version` is the one the change led to.
fn activity_log() -> TableCreateStatement {
    of_project("activity_log")
        .col(uuid("id").primary_key().take())
        .col(big_integer_null("user_id"))
        .col(text("activity"))
        .col(text("scope"))
        .col(text_null("item_id"))
        .col(big_integer_null("version"))
        .col(text("detail"))
        .col(boolean("is_system").default(false).take())
        .col(created_at())
        .foreign_key(&mut outlives("user_id", "user"))
        .take()
}
