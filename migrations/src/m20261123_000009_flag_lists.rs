//! What lists of flags are served by, in projects of very many.
//!
//! One index holds a list's order and what it is filtered by, so that a page
//! and its total are read from the index alone. Text searches anywhere in a
//! name need trigrams, which only PostgreSQL has, as an extension that an
//! installation may lack: without it a search reads every flag's text, which
//! is slower and answers the same.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

const LISTED: &str = "feature_flag_listed_idx";
const SEARCH: &str = "feature_flag_search_text_idx";

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_index(listed()).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            manager.get_connection().execute_unprepared(&trigrams()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let drop_search = format!("DROP INDEX IF EXISTS {SEARCH}");
        manager.get_connection().execute_unprepared(&drop_search).await?;
        manager.drop_index(Index::drop().name(LISTED).table("feature_flag").to_owned()).await
    }
}

fn listed() -> IndexCreateStatement {
    let columns = [
        "project_id",
        "deleted",
        "internal",
        "archived",
        "created_at",
        "id",
        "active",
        "has_variants",
        "evaluation_runtime",
        "created_by_id",
        "is_remote_configuration",
    ];
    let mut index = Index::create().name(LISTED).table("feature_flag").take();
    for column in columns {
        index.col(column);
    }
    index
}

/// Whoever migrates may not be allowed to add the extension; that is no reason to stop.
fn trigrams() -> String {
    format!(
        "DO $$ BEGIN \
           CREATE EXTENSION IF NOT EXISTS pg_trgm; \
           CREATE INDEX {SEARCH} ON feature_flag USING gin (search_text gin_trgm_ops); \
         EXCEPTION WHEN OTHERS THEN \
           RAISE NOTICE 'searches of flags go without an index: %', SQLERRM; \
         END $$"
    )
}
