//! How often the row of a person or group was written.
//!
//! Ingestion reads rows, works out what events make of them, and writes them
//! only if nobody wrote them meanwhile, which their versions tell.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::big_integer;

const VERSIONED: [&str; 2] = ["person", "group"];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in VERSIONED {
            let version = big_integer("version").default(0).take();
            manager.alter_table(Table::alter().table(table).add_column(version).take()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in VERSIONED {
            let version = Table::alter().table(table).drop_column("version").take();
            manager.alter_table(version).await?;
        }
        Ok(())
    }
}
