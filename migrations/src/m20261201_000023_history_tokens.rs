//! A random token for each revision of a project, and an order in which polling reads revisions.
//!
//! A revision's number alone does not identify a state: after a fail-over that lost commits, or
//! after a restored backup, the same number is given again. The token of the newest revision is
//! stored with the project, and that of each revision in the change log. Beside it stands the token
//! of the newest revision that changed the definitions, which entity tags are made from.
//!
//! On PostgreSQL `transaction_id` is the number of the transaction that logged a revision; one row
//! of each revision carries it. SQLite has one writer, so the order of rows is that of commits, and
//! the column stays empty. Rows from before this change keep an empty token, except those of each
//! project's current revision.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const COLUMNS: [&str; 4] = [
    "ALTER TABLE project ADD COLUMN history_token BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE project ADD COLUMN definitions_token BIGINT NOT NULL DEFAULT 0",
    "ALTER TABLE change_log ADD COLUMN history_token BIGINT",
    "ALTER TABLE change_log ADD COLUMN transaction_id BIGINT",
];

/// Set after the column is made, so that old rows stay empty and the table is not rewritten.
const POSTGRES_DEFAULT: &str = "ALTER TABLE change_log ALTER COLUMN transaction_id \
    SET DEFAULT CAST(CAST(pg_current_xact_id() AS text) AS bigint)";

const SQLITE_TOKENS: &str = "UPDATE project SET history_token = random()";
const POSTGRES_TOKENS: &str = "UPDATE project SET history_token = \
    CAST(CAST('x' || substr(md5(CAST(gen_random_uuid() AS text)), 1, 16) AS bit(64)) AS bigint)";

const DEFINITIONS_TOKENS: &str = "UPDATE project SET definitions_token = history_token";

const CURRENT_REVISIONS: &str = "UPDATE change_log SET history_token = p.history_token \
    FROM project AS p WHERE p.id = change_log.project_id AND p.revision = change_log.revision";

const INDEX: &str = "CREATE INDEX change_log_transaction_id_idx ON change_log (transaction_id) \
    WHERE transaction_id IS NOT NULL";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        let tokens = if is_postgres { POSTGRES_TOKENS } else { SQLITE_TOKENS };
        let mut statements = COLUMNS.to_vec();
        statements.extend([tokens, DEFINITIONS_TOKENS, CURRENT_REVISIONS, INDEX]);
        statements.extend(is_postgres.then_some(POSTGRES_DEFAULT));
        run(manager, &statements).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let statements = [
            "DROP INDEX change_log_transaction_id_idx",
            "ALTER TABLE change_log DROP COLUMN transaction_id",
            "ALTER TABLE change_log DROP COLUMN history_token",
            "ALTER TABLE project DROP COLUMN definitions_token",
            "ALTER TABLE project DROP COLUMN history_token",
        ];
        run(manager, &statements).await
    }
}

async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    for statement in statements {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
