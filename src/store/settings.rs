//! How many connections a store opens, and how long it waits for the database.

use std::time::Duration;

use super::pool::Limits;

/// Sizes of pools and time limits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// PostgreSQL: connections for changes and ingestion.
    pub write_connections: u32,
    /// PostgreSQL: connections for lists and other reads.
    pub read_connections: u32,
    /// PostgreSQL: connections for keys and for what evaluation reads of people and groups.
    pub facts_connections: u32,
    /// PostgreSQL: connections for reading what changed.
    pub follow_connections: u32,
    /// The wait for a connection, a BEGIN or any other short answer.
    pub timeout: Duration,
    /// The wait for any other statement and for a COMMIT; twice that for the turn to change a
    /// project.
    pub statement_timeout: Duration,
    /// The wait for a row or a file that somebody else is changing.
    pub lock_timeout: Duration,
    /// How many changes to one project may wait for their turn.
    pub project_queue: usize,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            write_connections: 10,
            read_connections: 5,
            facts_connections: 5,
            // As many as one project's changes are read on at once, for two projects.
            follow_connections: 6,
            timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(15),
            lock_timeout: Duration::from_secs(5),
            project_queue: 500,
        }
    }
}

impl PoolSettings {
    /// The limits of pools for any statement. A server that is there ends one first, and says why.
    pub(super) fn limits(&self) -> Limits {
        Limits { round_trip: self.timeout, statement: self.statement_timeout * 5 / 4 }
    }

    /// The limits of pools for statements that are quick, or not worth the wait.
    pub(super) fn short_limits(&self) -> Limits {
        Limits { round_trip: self.timeout, statement: self.timeout }
    }
}
