//! Lets one process at a time set up an embedded database.
//!
//! Of two processes that start on one new file, the second would find the journal locked and half
//! of the tables made. It waits instead. The lock is the system's on the folder of the file, so
//! that no file is left behind and nothing stays locked when a process is killed. PostgreSQL has
//! an advisory lock of its own for this.

use std::{
    fs::{File, TryLockError},
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::Store;

const RETRY_INTERVAL: Duration = Duration::from_millis(20);
/// After this the other process is not waited for: it may hold the folder for another reason.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// The right to set up an embedded database, until it is dropped.
#[derive(Debug)]
pub struct SetupLock {
    _folder: Option<File>,
}

impl SetupLock {
    /// Waits for the right to set up the database at `url`. Where the folder cannot be locked, or
    /// the database is none of files, there is nothing to wait for.
    pub async fn acquire(url: &str) -> Self {
        let folder = match Store::sqlite_file(url) {
            Some(file) => locked(&folder_of(&file)).await,
            None => None,
        };
        Self { _folder: folder }
    }
}

fn folder_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}

async fn locked(folder: &Path) -> Option<File> {
    let file = File::open(folder).ok()?;
    let began = Instant::now();
    let mut is_logged = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Some(file),
            Err(TryLockError::WouldBlock) if began.elapsed() < MAX_WAIT => {
                if !std::mem::replace(&mut is_logged, true) {
                    tracing::info!("waiting for another process to set up the database");
                }
                sleep(RETRY_INTERVAL).await;
            }
            Err(TryLockError::WouldBlock) => {
                tracing::warn!(folder = %folder.display(), "the folder of the database is locked");
                return None;
            }
            Err(TryLockError::Error(error)) => {
                tracing::debug!(%error, "the folder of the database cannot be locked");
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_second_waits_for_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}/x.db?mode=rwc", folder.path().display());
        let first = SetupLock::acquire(&url).await;
        let mut second = Box::pin(SetupLock::acquire(&url));
        assert!(futures::poll!(&mut second).is_pending());
        drop(first);
        assert!(second.await._folder.is_some());
        assert!(SetupLock::acquire("sqlite::memory:").await._folder.is_none());
        assert_eq!(folder_of(Path::new("x.db")), Path::new("."));
    }
}
