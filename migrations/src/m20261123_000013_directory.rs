//! What lists and searches of persons and groups are served by.
//!
//! A page is cut from an index that has its order, so that the last page of a
//! million persons costs about what the first does. Searches look anywhere in
//! a text, which takes trigrams: PostgreSQL has them as an extension that an
//! installation may lack, and without it a search reads every text.

use sea_orm_migration::prelude::*;
use sea_orm_migration::schema::text;
use sea_orm_migration::sea_orm::DbBackend;

use crate::shapes::index;

const SEARCHES: [(&str, &str); 2] = [
    ("person_search_text_idx", "person USING gin (search_text gin_trgm_ops)"),
    (
        "person_distinct_id_lower_idx",
        "person_distinct_id USING gin (lower(distinct_id) gin_trgm_ops)",
    ),
];

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let searched = text("search_text").default("").take();
        let person = Table::alter().table("person").add_column(searched).take();
        manager.alter_table(person).await?;
        manager.create_index(listed_persons()).await?;
        manager.create_index(listed_groups()).await?;
        if manager.get_database_backend() == DbBackend::Postgres {
            for (name, of) in SEARCHES {
                manager.get_connection().execute_unprepared(&trigrams(name, of)).await?;
            }
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for (name, _) in SEARCHES {
            let drop_search = format!("DROP INDEX IF EXISTS {name}");
            manager.get_connection().execute_unprepared(&drop_search).await?;
        }
        for (name, table) in [
            ("group_project_id_group_type_index_id_idx", "group"),
            ("person_project_id_id_idx", "person"),
        ] {
            manager.drop_index(Index::drop().name(name).table(table).to_owned()).await?;
        }
        let person = Table::alter().table("person").drop_column("search_text").take();
        manager.alter_table(person).await
    }
}

fn listed_persons() -> IndexCreateStatement {
    index("person", &["project_id", "id"])
}

fn listed_groups() -> IndexCreateStatement {
    index("group", &["project_id", "group_type_index", "id"])
}

/// Whoever migrates may not be allowed to add the extension; that is no reason to stop.
fn trigrams(name: &str, of: &str) -> String {
    format!(
        "DO $$ BEGIN \
           CREATE EXTENSION IF NOT EXISTS pg_trgm; \
           CREATE INDEX {name} ON {of}; \
         EXCEPTION WHEN OTHERS THEN \
           RAISE NOTICE 'searches of persons go without an index: %', SQLERRM; \
         END $$"
    )
}
