//! What people call group types: names for display beside the one that events
//! and requests use, which never changes.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text_null;

const NAMES: [&str; 2] = ["name_singular", "name_plural"];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in NAMES {
            let column = text_null(name);
            manager
                .alter_table(Table::alter().table("group_type").add_column(column).take())
                .await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in NAMES {
            manager
                .alter_table(Table::alter().table("group_type").drop_column(name).take())
                .await?;
        }
        Ok(())
    }
}
