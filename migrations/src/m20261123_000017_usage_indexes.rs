//! What usage is read by: a flag's event over a range of hours, and whether a
//! flag's views or interactions were seen at all.
//!
//! The columns never change once a row is there, so counting up costs nothing
//! more. The second kind of index holds the two rare events alone.

use sea_orm_migration::prelude::*;

use crate::shapes::index;

const ENRICHED: &str = "usage_hour_enriched_idx";
const RANGED: [&str; 2] = ["usage_hour", "usage_unique"];
const COLUMNS: [&str; 4] = ["project_id", "flag_key", "event", "hour"];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in RANGED {
            manager.create_index(index(table, &COLUMNS)).await?;
        }
        manager.get_connection().execute_unprepared(&enriched()).await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(ENRICHED).table("usage_hour").to_owned()).await?;
        for table in RANGED {
            let name = format!("{table}_{}_idx", COLUMNS.join("_"));
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        Ok(())
    }
}

/// Partial: both databases take it, for queries that name the same two events.
fn enriched() -> String {
    format!(
        "CREATE INDEX {ENRICHED} ON usage_hour (project_id, flag_key) \
         WHERE event IN ('$feature_view', '$feature_interaction')"
    )
}
