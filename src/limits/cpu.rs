//! Decodes large bodies on threads of their own, few at a time, so that they
//! take processor time from other requests only in a fixed share.

use std::{num::NonZero, sync::Arc, thread::available_parallelism, time::Duration};

use tokio::{sync::Semaphore, task::spawn_blocking, time::timeout};

use crate::model::error::{Error, Result};

/// How long a large body may wait for its turn to be decoded.
const QUEUE_TIMEOUT: Duration = Duration::from_secs(10);

/// Runs decoding work of large bodies: half of the processors work on it, and at least one.
/// Clones share.
#[derive(Clone, Debug)]
pub struct DecodePool(Arc<Semaphore>);

impl Default for DecodePool {
    fn default() -> Self {
        let processors = available_parallelism().map_or(1, NonZero::get);
        Self(Arc::new(Semaphore::new((processors / 2).max(1))))
    }
}

impl DecodePool {
    /// Runs `work` outside of the asynchronous workers, after the work that came before it.
    ///
    /// # Errors
    ///
    /// `Overloaded` when its turn does not come in time; `Internal` when it panics.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let permit = timeout(QUEUE_TIMEOUT, Arc::clone(&self.0).acquire_owned()).await;
        let permit = permit.map_err(|_| Error::overloaded())?.map_err(Error::internal)?;
        let work = spawn_blocking(move || {
            // Held by the work itself, as its caller may leave before it ends.
            let _permit = permit;
            work()
        });
        work.await.map_err(Error::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_runs_and_its_panic_stays_there() {
        let pool = DecodePool::default();
        assert_eq!(pool.run(|| 1).await.unwrap(), 1);
        let panicked = pool.run(|| panic!("as tests may")).await.map(|()| 0);
        assert_eq!(panicked.unwrap_err().code.http_status(), 500);
        assert_eq!(pool.run(|| 2).await.unwrap(), 2, "its permit came back");
    }
}
