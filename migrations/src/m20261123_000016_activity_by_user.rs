//! What one user did, found without reading what everybody did.

use sea_orm_migration::prelude::*;

use crate::shapes::index;

const TABLE: &str = "activity_log";
const COLUMNS: [&str; 5] = ["project_id", "scope", "user_id", "created_at", "id"];
const NAME: &str = "activity_log_project_id_scope_user_id_created_at_id_idx";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(index(TABLE, &COLUMNS)).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_index(Index::drop().name(NAME).table(TABLE).to_owned()).await
    }
}
