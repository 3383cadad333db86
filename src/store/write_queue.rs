//! Where those wait who want to change the same project.
//!
//! One of them writes at a time in any case, under the lock of the project's row; here they wait
//! without a connection, so that one project's writers do not keep all others from the database.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use crate::model::error::{Error, Result};

/// The queues of all projects that have writers now. Cheap to clone; clones share.
#[derive(Clone, Debug)]
pub(super) struct WriteQueue {
    queues: Arc<Mutex<HashMap<i64, Weak<Queue>>>>,
    capacity: usize,
    patience: Duration,
}

#[derive(Debug)]
struct Queue {
    /// Those who wait, and the one who writes.
    places: Arc<Semaphore>,
    turn: Arc<Semaphore>,
}

/// The right to change a project, until it is dropped.
#[derive(Debug)]
#[expect(dead_code, reason = "held to be dropped")]
pub(super) struct Turn {
    turn: OwnedSemaphorePermit,
    place: OwnedSemaphorePermit,
    queue: Arc<Queue>,
}

impl WriteQueue {
    /// Queues in which `capacity` callers a project may wait, each for `patience`.
    pub(super) fn new(capacity: usize, patience: Duration) -> Self {
        Self { queues: Arc::default(), capacity, patience }
    }

    /// Waits for the right to change a project.
    ///
    /// # Errors
    ///
    /// `Overloaded` at once where as many as may wait do so already; `Unavailable` after the time
    /// limit.
    pub(super) async fn enter(&self, project_id: i64) -> Result<Turn> {
        let queue = self.queue(project_id);
        let place = Arc::clone(&queue.places).try_acquire_owned();
        let place = place.map_err(|_| Error::overloaded())?;
        let turn = timeout(self.patience, Arc::clone(&queue.turn).acquire_owned()).await;
        let turn = turn.map_err(|_| Error::unavailable("the project is being changed by others"));
        Ok(Turn { turn: turn?.map_err(Error::internal)?, place, queue })
    }

    fn queue(&self, project_id: i64) -> Arc<Queue> {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(&project_id).and_then(Weak::upgrade) {
            return queue;
        }
        if queues.len() == queues.capacity() {
            queues.retain(|_, queue| queue.strong_count() > 0);
        }
        let queue = Arc::new(Queue {
            places: Arc::new(Semaphore::new(self.capacity + 1)),
            turn: Arc::new(Semaphore::new(1)),
        });
        queues.insert(project_id, Arc::downgrade(&queue));
        queue
    }
}

#[cfg(test)]
mod tests {
    use futures::poll;

    use super::*;
    use crate::model::error::Code;

    #[tokio::test]
    async fn writers_of_a_project_take_turns_and_are_refused_beyond_the_bound() {
        let queue = WriteQueue::new(1, Duration::from_millis(100));
        let first = queue.enter(1).await.unwrap();
        let second = queue.enter(1);
        tokio::pin!(second);
        assert!(poll!(&mut second).is_pending(), "one writes at a time");
        assert_eq!(queue.enter(1).await.unwrap_err().code, Code::Overloaded);
        drop(queue.enter(2).await.expect("other projects do not wait"));
        assert_eq!(second.await.unwrap_err().code, Code::Unavailable, "after the limit");

        let third = queue.enter(1);
        tokio::pin!(third);
        assert!(poll!(&mut third).is_pending());
        drop(first);
        drop(third.await.expect("its turn has come"));
        drop(queue.enter(1).await.unwrap());
    }

    #[tokio::test]
    async fn queues_without_writers_are_forgotten() {
        let queue = WriteQueue::new(1, Duration::from_secs(3));
        for project_id in 0..10_000 {
            drop(queue.enter(project_id).await.unwrap());
        }
        assert!(queue.queues.lock().unwrap().len() < 100);
    }
}
