//! What decided each property of persons and groups, so that an older change
//! that arrives late does not undo a newer one; and who was identified.
//!
//! What is stored already has no times, and counts as older than any change.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{boolean, text};

const TIMES: [&str; 2] = ["person", "group"];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in TIMES {
            let times = text("property_times").default("{}").take();
            manager.alter_table(Table::alter().table(table).add_column(times).take()).await?;
        }
        let identified = boolean("is_identified").default(false).take();
        manager.alter_table(Table::alter().table("person").add_column(identified).take()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let identified = Table::alter().table("person").drop_column("is_identified").take();
        manager.alter_table(identified).await?;
        for table in TIMES {
            let times = Table::alter().table(table).drop_column("property_times").take();
            manager.alter_table(times).await?;
        }
        Ok(())
    }
}
