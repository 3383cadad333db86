//! Brings the schema up or down. On PostgreSQL one process does it at a time,
//! so that replicas may start together.

use migrations::Migrator;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, EntityTrait,
    PaginatorTrait, QuerySelect, SqlxSqliteConnector, Statement,
};
use sea_orm_migration::{MigrationStatus, MigratorTrait, SchemaManager};

use super::{ConnectError, Store, entity::project, failure};
use crate::model::error::{Error, Result};

/// Any number will do, as long as every replica uses the same one.
const ADVISORY_LOCK: i64 = 0x0F1A_65AF;
/// The table of projects.
const PROJECTS: &str = "project";

/// One schema change, and whether the database has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigrationState {
    /// The change's name.
    pub name: String,
    /// Whether it is in.
    pub applied: bool,
}

impl Store {
    /// Applies what is pending.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Internal`, with the cause; a change that failed left nothing behind.
    pub async fn migrate_up(&self) -> Result<()> {
        let (connection, own) = self.migrating().await?;
        let outcome = Migrator::up(&connection, None).await.map_err(failure);
        self.unlock(connection, own).await;
        outcome
    }

    /// Takes back the last `steps` changes, with the data in them; all for `None`.
    ///
    /// # Errors
    ///
    /// As [`Store::migrate_up`].
    pub async fn migrate_down(&self, steps: Option<u32>) -> Result<()> {
        let (connection, own) = self.migrating().await?;
        let outcome = Migrator::down(&connection, steps).await.map_err(failure);
        self.unlock(connection, own).await;
        outcome
    }

    /// Returns the number of projects in the database; 0 before the schema has projects.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Internal`, with the cause.
    pub async fn project_count(&self) -> Result<u64> {
        let (connection, own) = self.schema_connection().await?;
        let has_projects = SchemaManager::new(&connection).has_table(PROJECTS).await;
        self.unlock(connection, own).await;
        match has_projects.map_err(failure)? {
            true => {
                let ids = project::Entity::find().select_only().column(project::Column::Id);
                ids.count(&self.write).await.map_err(failure)
            }
            false => Ok(0),
        }
    }

    /// Every change, oldest first, and whether it is in.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Internal`, with the cause.
    pub async fn migration_states(&self) -> Result<Vec<MigrationState>> {
        let (connection, own) = self.schema_connection().await?;
        let migrations = Migrator::get_migration_with_status(&connection).await.map_err(failure);
        self.unlock(connection, own).await;
        let migrations = migrations?;
        let state = |migration: &sea_orm_migration::Migration| MigrationState {
            name: migration.name().to_owned(),
            applied: migration.status() == MigrationStatus::Applied,
        };
        Ok(migrations.iter().map(state).collect())
    }

    /// Makes sure that the schema is whole, for commands that do not bring it up themselves.
    ///
    /// # Errors
    ///
    /// [`ConnectError`], naming `flagstaff migrate up`, when changes are pending.
    pub async fn require_schema(&self) -> Result<(), ConnectError> {
        let states = self.migration_states().await;
        let states = states.map_err(|error| ConnectError::Unreachable(error.causes()))?;
        match states.iter().all(|state| state.applied) {
            true => Ok(()),
            false => Err(ConnectError::Schema),
        }
    }

    /// A connection to migrate on, which on PostgreSQL holds the session's lock.
    async fn migrating(&self) -> Result<(DatabaseConnection, bool)> {
        let (connection, own) = self.schema_connection().await?;
        if !self.is_postgres() {
            return Ok((connection, own));
        }
        let ask = |function: &str| {
            let call = format!("SELECT {function}({ADVISORY_LOCK})");
            Statement::from_string(DbBackend::Postgres, call)
        };
        let row = connection.query_one_raw(ask("pg_try_advisory_lock")).await;
        let row = row.map_err(failure)?.ok_or_else(|| Error::internal("a lock without answer"))?;
        if !row.try_get_by_index::<bool>(0).map_err(failure)? {
            tracing::info!("waiting for another process to finish its schema changes");
            connection.execute_raw(ask("pg_advisory_lock")).await.map_err(failure)?;
        }
        Ok((connection, own))
    }

    /// SeaORM's own connection, and whether it is apart from the pools: on PostgreSQL it is, and
    /// has no statement time-out, since an index on a large table takes long.
    async fn schema_connection(&self) -> Result<(DatabaseConnection, bool)> {
        if let Some(pool) = self.write.sqlite_pool() {
            return Ok((SqlxSqliteConnector::from_sqlx_sqlite_pool(pool.clone()), false));
        }
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(1).min_connections(1).sqlx_logging(false);
        Ok((Database::connect(options).await.map_err(failure)?, true))
    }

    /// Closing the session releases its lock.
    async fn unlock(&self, connection: DatabaseConnection, own: bool) {
        if own && let Err(error) = connection.close().await {
            tracing::warn!(%error, "migration connection did not close cleanly");
        }
    }
}
