//! Brings the schema up or down. On PostgreSQL one process does it at a time,
//! so that replicas may start together.

use migrations::Migrator;
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DbBackend, Statement,
};
use sea_orm_migration::{MigrationStatus, MigratorTrait};

use super::{ConnectError, Store, failure};
use crate::model::error::{Error, Result};

/// Any number will do, as long as every replica uses the same one.
const ADVISORY_LOCK: i64 = 0x0F1A_65AF;

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

    /// Takes everything away, data included.
    ///
    /// # Errors
    ///
    /// As [`Store::migrate_up`].
    pub async fn migrate_down(&self) -> Result<()> {
        let (connection, own) = self.migrating().await?;
        let outcome = Migrator::down(&connection, None).await.map_err(failure);
        self.unlock(connection, own).await;
        outcome
    }

    /// Every change, oldest first, and whether it is in.
    ///
    /// # Errors
    ///
    /// `Unavailable` or `Internal`, with the cause.
    pub async fn migration_states(&self) -> Result<Vec<MigrationState>> {
        let migrations = Migrator::get_migration_with_status(&self.write).await.map_err(failure)?;
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

    /// A connection to migrate on. On PostgreSQL it is one of its own, which holds the
    /// session's lock and has no statement time-out: an index on a large table takes long.
    async fn migrating(&self) -> Result<(DatabaseConnection, bool)> {
        if !self.is_postgres() {
            return Ok((self.write.clone(), false));
        }
        let mut options = ConnectOptions::new(&self.url);
        options.max_connections(1).min_connections(1).sqlx_logging(false);
        let connection = Database::connect(options).await.map_err(failure)?;
        let lock = format!("SELECT pg_advisory_lock({ADVISORY_LOCK})");
        let lock = Statement::from_string(DbBackend::Postgres, lock);
        connection.execute_raw(lock).await.map_err(Error::unavailable)?;
        Ok((connection, true))
    }

    /// Closing the session releases its lock.
    async fn unlock(&self, connection: DatabaseConnection, own: bool) {
        if own && let Err(error) = connection.close().await {
            tracing::warn!(%error, "migration connection did not close cleanly");
        }
    }
}
