//! Dashboards and their tiles, which show how flags are used.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, boolean, text, text_null};

use crate::shapes::{created_at, drop_tables, goes_with, index, numbered_of_project};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(dashboard()).await?;
        manager.create_index(index("dashboard", &["project_id"])).await?;
        manager.create_table(tile()).await?;
        manager.create_index(index("tile", &["dashboard_id"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["tile", "dashboard"]).await
    }
}

fn dashboard() -> TableCreateStatement {
    numbered_of_project("dashboard")
        .col(text("name"))
        .col(text("description"))
        .col(text("creation_mode"))
        .col(text("filters"))
        .col(text("tags"))
        .col(boolean("deleted").default(false).take())
        .col(created_at())
        .take()
}

fn tile() -> TableCreateStatement {
    numbered_of_project("tile")
        .col(big_integer("dashboard_id"))
        .col(text("name"))
        .col(text("description"))
        .col(text("query"))
        .col(text_null("color"))
        .col(text("layouts"))
        .col(created_at())
        .foreign_key(&mut goes_with("dashboard_id", "dashboard"))
        .take()
}
