//! Watches the write-ahead log of an embedded database.
//!
//! SQLite moves what is in the log to the database, and begins it anew, when nobody reads an older
//! state. A reader that stays, such as a shell with an open transaction, keeps the log growing
//! until the disk is full, and nothing fails before that.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use sea_orm::{ConnectionTrait, DbBackend, Statement};
use tokio::time::{MissedTickBehavior, interval};

use super::{Store, failure, sqlite_file};
use crate::model::error::Result;

const INTERVAL: Duration = Duration::from_secs(1);

/// What to log about the size of a write-ahead log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Notice {
    /// It is large, or twice as large as it was at the last notice.
    Grown,
    /// It is small again.
    Shrunk,
}

/// What was last logged about the size.
#[derive(Debug)]
struct Notices {
    /// From this size on the log is large.
    large_bytes: u64,
    /// The size at the last [`Notice::Grown`], unless it shrank since.
    noticed_bytes: Option<u64>,
}

impl Notices {
    /// Returns what to log when the log has this size.
    fn next(&mut self, bytes: u64) -> Option<Notice> {
        match self.noticed_bytes {
            None if bytes >= self.large_bytes => {
                self.noticed_bytes = Some(bytes);
                Some(Notice::Grown)
            }
            Some(noticed) if bytes >= noticed.saturating_mul(2) => {
                self.noticed_bytes = Some(bytes);
                Some(Notice::Grown)
            }
            Some(_) if bytes < self.large_bytes => {
                self.noticed_bytes = None;
                Some(Notice::Shrunk)
            }
            _ => None,
        }
    }
}

impl Store {
    /// Returns the write-ahead log of an embedded database; `None` without a file.
    #[must_use]
    pub fn sqlite_wal(&self) -> Option<PathBuf> {
        Self::sqlite_file(&self.url).map(|file| sqlite_file::beside(&file, "-wal"))
    }

    /// Keeps the size of a write-ahead log in `size`, and logs when it is `large_bytes` or more. A
    /// large one is moved to the database as far as its readers allow, and given back to the disk.
    pub async fn watch_wal(self, file: PathBuf, large_bytes: u64, size: Arc<AtomicU64>) {
        let mut notices = Notices { large_bytes, noticed_bytes: None };
        let mut ticks = interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let bytes = bytes_of(&file).await;
            size.store(bytes, Ordering::Relaxed);
            match notices.next(bytes) {
                Some(Notice::Grown) => tracing::warn!(
                    bytes,
                    "the write-ahead log of the database is large: another process may hold an old \
                     state of it open"
                ),
                Some(Notice::Shrunk) => {
                    tracing::info!(bytes, "the write-ahead log of the database is small again");
                }
                None => {}
            }
            if bytes >= large_bytes
                && let Err(error) = self.checkpoint().await
            {
                tracing::debug!(error = error.causes(), "the write-ahead log was not moved");
            }
        }
    }

    /// Moves what readers allow from the log to the database, without waiting for them; where that
    /// is all, empties the file.
    async fn checkpoint(&self) -> Result<()> {
        let ask = |mode: &str| {
            let pragma = format!("PRAGMA wal_checkpoint({mode})");
            Statement::from_string(DbBackend::Sqlite, pragma)
        };
        let moved = self.reader().query_one_raw(ask("PASSIVE")).await.map_err(failure)?;
        let Some(moved) = moved else { return Ok(()) };
        let number = |at| moved.try_get_by_index::<i32>(at).map_err(failure);
        if number(1)? == number(2)? {
            self.reader().query_one_raw(ask("TRUNCATE")).await.map_err(failure)?;
        }
        Ok(())
    }
}

async fn bytes_of(file: &Path) -> u64 {
    tokio::fs::metadata(file).await.map_or(0, |found| found.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_log_is_told_of_once_and_again_when_it_doubled() {
        let mut notices = Notices { large_bytes: 100, noticed_bytes: None };
        let cases = [
            (0, None),
            (99, None),
            (100, Some(Notice::Grown)),
            (150, None),
            (200, Some(Notice::Grown)),
            (399, None),
            (100, None),
            (99, Some(Notice::Shrunk)),
            (50, None),
            (120, Some(Notice::Grown)),
        ];
        for (at, (bytes, expected)) in cases.into_iter().enumerate() {
            assert_eq!(notices.next(bytes), expected, "{at}: {bytes}");
        }
    }
}
