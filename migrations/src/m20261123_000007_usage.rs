//! How often flags were called and by how many, and the events already counted.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::{big_integer, blob, text, timestamp_with_time_zone, uuid};

use crate::shapes::{drop_tables, index, of_project};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(usage_hour()).await?;
        manager.create_table(usage_unique()).await?;
        manager.create_table(ingested_event()).await?;
        manager.create_index(index("ingested_event", &["received_at"])).await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        drop_tables(manager, &["ingested_event", "usage_unique", "usage_hour"]).await
    }
}

fn usage_hour() -> TableCreateStatement {
    of_project("usage_hour")
        .col(text("flag_key"))
        .col(text("event"))
        .col(text("variant"))
        .col(timestamp_with_time_zone("hour"))
        .col(big_integer("count"))
        .primary_key(
            Index::create()
                .col("project_id")
                .col("flag_key")
                .col("event")
                .col("variant")
                .col("hour"),
        )
        .take()
}

/// `sketch` counts distinct users, and merges with those of other hours.
fn usage_unique() -> TableCreateStatement {
    of_project("usage_unique")
        .col(text("flag_key"))
        .col(text("event"))
        .col(text("variant"))
        .col(timestamp_with_time_zone("hour"))
        .col(blob("sketch"))
        .primary_key(
            Index::create()
                .col("project_id")
                .col("flag_key")
                .col("event")
                .col("variant")
                .col("hour"),
        )
        .take()
}

fn ingested_event() -> TableCreateStatement {
    of_project("ingested_event")
        .col(uuid("uuid"))
        .col(timestamp_with_time_zone("received_at"))
        .primary_key(Index::create().col("project_id").col("uuid"))
        .take()
}
